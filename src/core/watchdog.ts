import { Worker as Thread } from 'node:worker_threads'

import type { WatchdogData } from './watchdog-thread.ts'

/**
 * Kills this process from a thread of its own, since a task that blocks the event loop for ever would also block every
 * timer that could end it: when the deadline after {@link Watchdog.arm} is over, or when its parent has been gone for
 * that long. While such a process lives its leases are renewed, and nobody else gets its messages.
 */
export interface Watchdog {
  /** An earlier deadline stays. */
  arm(deadlineMs: number): void
}

export function startWatchdog(data: WatchdogData): Watchdog {
  const thread = new Thread(new URL('./watchdog-thread.js', import.meta.url), {
    workerData: data,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2 },
  })
  // A watchdog that cannot run is no reason to end; the parent has its own deadline.
  thread.on('error', () => {})
  thread.unref()
  return { arm: (deadlineMs) => thread.postMessage(deadlineMs) }
}
