import { MAX_TIMER_MS } from './abort.ts'

export interface TimeLimit {
  /** Milliseconds; more than 24 days are cut to that. */
  readonly ms: number
  /** Makes the error of work that takes longer. */
  readonly late: () => Error
  /** Ends the wait, too; it rejects with the reason. */
  readonly signal?: AbortSignal | undefined
}

/** The work, or an error as soon as a limit is reached; what hangs is left to itself. */
export function withTimeLimit<T>(work: PromiseLike<T>, { ms, late, signal }: TimeLimit): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
    const fail = (error: unknown): void => {
      end()
      reject(error)
    }
    const abort = (): void => fail(signal?.reason)
    const timer = setTimeout(() => fail(late()), Math.min(ms, MAX_TIMER_MS))
    signal?.addEventListener('abort', abort, { once: true })
    work.then((value) => {
      end()
      resolve(value)
    }, fail)
  })
}
