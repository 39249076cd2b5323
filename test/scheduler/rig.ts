import { onTestFinished } from 'vitest'

import type { ScheduleSource } from '../../src/contract/index.ts'
import type { Broker } from '../../src/index.ts'
import { Scheduler } from '../../src/scheduler/index.ts'
import type { SchedulerOptions } from '../../src/scheduler/index.ts'
import type { RecordingLogger } from '../support/recording-logger.ts'
import { recordingLogger } from '../support/recording-logger.ts'

export const SOON = { timeoutMs: 10_000 }

export interface RunningScheduler {
  readonly scheduler: Scheduler
  readonly log: RecordingLogger
  /** Ends it; resolves when it has ended. Harmless when called twice. */
  readonly stop: () => Promise<void>
}

/** Runs a scheduler until the end of the test, or until it is stopped. */
export function runScheduler(
  broker: Broker,
  sources: readonly ScheduleSource[],
  options: SchedulerOptions = {},
): RunningScheduler {
  const log = recordingLogger()
  const scheduler = new Scheduler(broker, sources, { lease: '1s', logger: log, ...options })
  const end = new AbortController()
  const running = scheduler.run({ signal: end.signal })
  const stop = async (): Promise<void> => {
    end.abort()
    await running
  }
  onTestFinished(stop)
  return { scheduler, log, stop }
}

/** The messages of a log at that level. */
export function messagesOf({ lines }: RecordingLogger, level: 'info' | 'warn' | 'error'): readonly string[] {
  return lines.filter((line) => line.level === level).map(({ message }) => message)
}
