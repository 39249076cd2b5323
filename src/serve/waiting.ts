import type { BatchOutcome } from './batcher.ts'

/** An item, and who waits for its outcome. */
export class Waiting<T, R> {
  readonly item: T
  readonly weight: number
  /** When it came, by the clock of the batcher. */
  readonly since: number
  readonly outcome: Promise<R>
  /** It came in this turn of the event loop. */
  isFresh = true
  isSettled = false
  /** It is part of a batch. */
  hasBegun = false
  #resolve: (value: R) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(item: T, weight: number, since: number) {
    this.item = item
    this.weight = weight
    this.since = since
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** The first outcome counts: who gave up is not told of a later one. */
  settle(outcome: BatchOutcome<R>): void {
    if (this.isSettled) return
    this.isSettled = true
    if ('value' in outcome) this.#resolve(outcome.value)
    else this.#reject(outcome.error)
  }
}
