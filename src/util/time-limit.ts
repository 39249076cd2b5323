import { MAX_TIMER_MS } from './abort.ts'

/**
 * The work, or an error when it takes too long; what hangs is left to itself.
 *
 * @param ms - Milliseconds; more than 24 days are cut to that.
 * @param late - Makes the error.
 */
export function withTimeLimit<T>(work: PromiseLike<T>, ms: number, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), Math.min(ms, MAX_TIMER_MS))
    work.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
