import type { InferenceWorker } from './inference-worker.ts'

const CACHED_MS = 1_000

/** Asks all workers that are ready whether they can serve, at most once a second. */
export class HealthCheck<I, O> {
  readonly #workers: () => readonly InferenceWorker<I, O>[]
  #answer: Promise<boolean> | undefined

  constructor(workers: () => readonly InferenceWorker<I, O>[]) {
    this.#workers = workers
  }

  async ask(): Promise<boolean> {
    this.#answer ??= this.#ask()
    return await this.#answer
  }

  async #ask(): Promise<boolean> {
    const answers = await Promise.all(this.#workers().map(async (worker) => await worker.isHealthy()))
    setTimeout(() => (this.#answer = undefined), CACHED_MS).unref()
    return !answers.includes(false)
  }
}
