interface Waiting<Item, Outcome> {
  readonly item: Item
  readonly resolve: (outcome: Outcome) => void
  readonly reject: (error: unknown) => void
}

/** Handles one batch; the outcomes are in the order of the items. */
export type Flush<Item, Outcome> = (items: readonly Item[]) => Promise<readonly Outcome[]>

/**
 * Turns many single operations into few batched ones: everything that is added in one turn of the event loop, or while
 * an earlier batch is under way, travels together.
 *
 * A batch whose flush rejects rejects all its items; a flush that wants to fail only some returns outcomes that say so.
 */
export class Coalescer<Item, Outcome> {
  readonly #flush: Flush<Item, Outcome>
  readonly #maxBatch: number
  #waiting: Waiting<Item, Outcome>[] = []
  #scheduled = false
  #running = false
  #idle: (() => void)[] = []

  /** @param maxBatch - Most items handed to `flush` at once. */
  constructor(flush: Flush<Item, Outcome>, maxBatch: number) {
    this.#flush = flush
    this.#maxBatch = maxBatch
  }

  add(item: Item): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      this.#schedule()
    })
  }

  /** Adds several items that must not be waited for one by one. */
  addAll(items: readonly Item[]): Promise<Outcome[]> {
    return Promise.all(items.map((item) => this.add(item)))
  }

  /** Resolves when nothing waits and nothing is under way. */
  drained(): Promise<void> {
    if (!this.#running && this.#waiting.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  #schedule(): void {
    if (this.#scheduled || this.#running) return
    this.#scheduled = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    this.#scheduled = false
    this.#running = true
    const batch = this.#waiting.length <= this.#maxBatch ? this.#waiting : this.#waiting.slice(0, this.#maxBatch)
    this.#waiting = batch === this.#waiting ? [] : this.#waiting.slice(this.#maxBatch)
    this.#flush(batch.map((waiting) => waiting.item)).then(
      (outcomes) => {
        this.#done()
        for (let i = 0; i < batch.length; i += 1) batch[i]?.resolve(outcomes[i] as Outcome)
      },
      (error: unknown) => {
        this.#done()
        for (const waiting of batch) waiting.reject(error)
      },
    )
  }

  #done(): void {
    this.#running = false
    if (this.#waiting.length > 0) {
      this.#schedule()
      return
    }
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}
