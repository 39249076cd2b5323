import { sleep } from '../util/abort.ts'

/** Something to do, which is told of now and then, and waited for by one. What is told meanwhile is not lost. */
export class ChangeSignal {
  #isRaised = false
  #waiting: AbortController | undefined

  raise = (): void => {
    this.#isRaised = true
    this.#waiting?.abort()
  }

  /** Resolves when it was raised since the last wait, after that time, or at the end of `signal`. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#isRaised && !signal.aborted) {
      const waiting = new AbortController()
      const end = (): void => waiting.abort()
      this.#waiting = waiting
      signal.addEventListener('abort', end, { once: true })
      await sleep(ms, waiting.signal)
      signal.removeEventListener('abort', end)
      this.#waiting = undefined
    }
    this.#isRaised = false
  }
}
