import { MAX_TIMER_MS } from '../util/abort.ts'

/** Where the time comes from: the system's, or a test's. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /**
   * Calls back once, when `ms` milliseconds have passed.
   *
   * @returns Takes the call back; harmless when it was made.
   */
  schedule(ms: number, callback: () => void): () => void
}

/** The time of the system. A call that is scheduled keeps the process alive; after 24 days at most it is made. */
export const systemClock: Clock = {
  now: () => Date.now(),
  schedule: (ms, callback) => {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), MAX_TIMER_MS))
    return () => clearTimeout(timer)
  },
}
