import { MAX_TIMER_MS } from '../../util/abort.ts'

export interface AttemptLimits {
  /** Milliseconds. */
  readonly timeoutMs: number
  /** Ends the wait; the attempt rejects with its reason. */
  readonly signal: AbortSignal
  /** Makes the error of an attempt that takes too long. */
  readonly late: () => Error
}

/** The outcome of the work, or an error as soon as a limit is reached; the work itself cannot be stopped. */
export function attempt<T>(work: () => Promise<T>, { timeoutMs, signal, late }: AttemptLimits): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
    const fail = (error: unknown): void => {
      end()
      reject(error)
    }
    const abort = (): void => fail(signal.reason)
    const timer = setTimeout(() => fail(late()), Math.min(timeoutMs, MAX_TIMER_MS))
    signal.addEventListener('abort', abort, { once: true })
    started(work).then((value) => {
      end()
      resolve(value)
    }, fail)
  })
}

/** What is thrown before there is a promise is a rejection too. */
async function started<T>(work: () => Promise<T>): Promise<T> {
  return await work()
}
