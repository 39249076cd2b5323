/** Handles one batch; the outcomes are in the order of the items, or missing where there is nothing to say. */
export type Flush<Item, Outcome> = (items: readonly Item[]) => Promise<readonly Outcome[]>

/** Why a whole batch failed. */
export interface BatchFailure {
  readonly reason: unknown
}

/** Told once: with the failure of the whole batch, else with the outcomes of the group's items. */
export type GroupDone<Outcome> = (failure: BatchFailure | undefined, outcomes: readonly Outcome[]) => void

interface Group<Item, Outcome> {
  readonly items: readonly Item[]
  readonly done: GroupDone<Outcome>
}

/**
 * Turns many single operations into few batched ones: everything that is added in one turn of the event loop, or while
 * as many batches as may be are under way, travels together.
 *
 * Callbacks instead of promises: this stands in the path of every message, and a promise per message is what that path
 * would cost most. A flush that wants to fail only some items returns outcomes that say so.
 */
export class Coalescer<Item, Outcome> {
  readonly #flush: Flush<Item, Outcome>
  readonly #maxBatch: number
  #waiting: Group<Item, Outcome>[] = []
  readonly #maxFlights: number
  #isScheduled = false
  /** Batches under way. */
  #flights = 0
  #idleListeners: (() => void)[] = []

  /**
   * @param maxBatch - Most items handed to `flush` at once, unless one group alone has more.
   * @param maxFlights - Most batches under way at once.
   */
  constructor(flush: Flush<Item, Outcome>, maxBatch: number, maxFlights = 1) {
    this.#flush = flush
    this.#maxBatch = maxBatch
    this.#maxFlights = maxFlights
  }

  /** Adds items that travel together. */
  push(items: readonly Item[], done: GroupDone<Outcome>): void {
    this.#waiting.push({ items, done })
    this.#schedule()
  }

  /** Adds items; resolves to their outcomes. */
  add(items: readonly Item[]): Promise<readonly Outcome[]> {
    return new Promise((resolve, reject) => {
      this.push(items, (failure, outcomes) => {
        if (failure === undefined) resolve(outcomes)
        else reject(failure.reason)
      })
    })
  }

  /** Resolves when nothing waits and nothing is under way. */
  drained(): Promise<void> {
    if (this.#isIdle) return Promise.resolve()
    return new Promise((resolve) => this.#idleListeners.push(resolve))
  }

  get #isIdle(): boolean {
    return this.#flights === 0 && this.#waiting.length === 0
  }

  #schedule(): void {
    if (this.#isScheduled || this.#flights >= this.#maxFlights) return
    this.#isScheduled = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    this.#isScheduled = false
    this.#flights += 1
    const groups = this.#take()
    const only = groups.length === 1 ? groups[0] : undefined
    const items = only ? only.items : groups.flatMap((group) => group.items)
    this.#flush(items).then(
      (outcomes) => {
        this.#next()
        if (only) {
          only.done(undefined, outcomes)
          return
        }
        let position = 0
        for (const group of groups) {
          group.done(undefined, outcomes.slice(position, position + group.items.length))
          position += group.items.length
        }
      },
      (reason: unknown) => {
        this.#next()
        for (const group of groups) group.done({ reason: reason ?? new Error('A batch failed without a reason.') }, [])
      },
    )
  }

  #take(): readonly Group<Item, Outcome>[] {
    const waiting = this.#waiting
    let size = 0
    let count = 0
    for (; count < waiting.length; count += 1) {
      size += waiting[count]?.items.length ?? 0
      if (size > this.#maxBatch && count > 0) break
    }
    this.#waiting = count === waiting.length ? [] : waiting.slice(count)
    return count === waiting.length ? waiting : waiting.slice(0, count)
  }

  #next(): void {
    this.#flights -= 1
    if (this.#waiting.length > 0) this.#schedule()
    if (!this.#isIdle) return
    const listeners = this.#idleListeners
    this.#idleListeners = []
    for (const tell of listeners) tell()
  }
}
