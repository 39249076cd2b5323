/** What an execution in this process tells at once. `changed`: the records say more. */
export type LiveEvent =
  | { readonly type: 'changed' }
  | { readonly type: 'progress'; readonly value: unknown }
  | { readonly type: 'output'; readonly output: object }

type Listener = (event: LiveEvent) => void

/** Brings what executions of this process tell to those who follow their jobs here. */
export class LiveRuns {
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly #running = new Map<string, number>()

  /** @returns Ends it. */
  listen(jobId: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(jobId) ?? new Set()
    listeners.add(listener)
    this.#listeners.set(jobId, listeners)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.#listeners.get(jobId) === listeners) this.#listeners.delete(jobId)
    }
  }

  tell(jobId: string, event: LiveEvent): void {
    for (const listener of this.#listeners.get(jobId) ?? []) listener(event)
  }

  /** Whether the job runs in this process. */
  has(jobId: string): boolean {
    return this.#running.has(jobId)
  }

  /** @returns Ends it. */
  begin(jobId: string): () => void {
    this.#running.set(jobId, (this.#running.get(jobId) ?? 0) + 1)
    return () => {
      const left = (this.#running.get(jobId) ?? 1) - 1
      if (left === 0) this.#running.delete(jobId)
      else this.#running.set(jobId, left)
    }
  }
}
