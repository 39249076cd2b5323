/** Program of the thread of {@link startWatchdog}. Messages are deadlines in milliseconds from now. */
import { parentPort, workerData } from 'node:worker_threads'

import { MAX_TIMER_MS } from '../util/abort.ts'

export interface WatchdogData {
  /** The parent that this process must not outlive for long. */
  readonly parentPid: number
  /** Milliseconds this process has after the end of the parent. */
  readonly orphanDeadlineMs: number
}

const CHECK_MS = 1_000

const { parentPid, orphanDeadlineMs } = workerData as WatchdogData

parentPort?.on('message', arm)

// Whoever adopts an orphan has another id.
const check = setInterval(() => {
  if (process.ppid === parentPid) return
  clearInterval(check)
  arm(orphanDeadlineMs)
}, CHECK_MS)

function arm(deadlineMs: number): void {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), Math.min(deadlineMs, MAX_TIMER_MS))
}
