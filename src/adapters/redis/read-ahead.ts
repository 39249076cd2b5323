import type { Claimed } from './fair-claim.ts'

/** A worker that comes back within so many milliseconds is fast: the next messages can be on their way meanwhile. */
const FAST_MS = 5
/** What a fast worker did not come back for in so many milliseconds goes to others. */
const UNUSED_MS = 50

export interface ReadAheadParts<D> {
  readonly claim: (queues: readonly string[], max: number) => Promise<Claimed<D>>
  /** Came, and nobody fetched it: to be handed back. */
  readonly onUnused: () => void
  /** A claim failed: what it took is not known. */
  readonly onFailed: () => void
}

/**
 * Claims the next messages while the worker is at the last ones, so that neither waits for the other. Only for workers
 * whose tasks are over in milliseconds; messages never wait here behind long ones.
 */
export class ReadAhead<D> {
  readonly #parts: ReadAheadParts<D>
  #pending: Promise<readonly D[]> | undefined
  #leftAt = 0
  #isFast = false
  #timer: NodeJS.Timeout | undefined

  constructor(parts: ReadAheadParts<D>) {
    this.#parts = parts
  }

  /** The worker is back. @returns What was claimed meanwhile, or is being claimed; `undefined` = nothing. */
  back(): Promise<readonly D[]> | undefined {
    this.#isFast = performance.now() - this.#leftAt < FAST_MS
    clearTimeout(this.#timer)
    const pending = this.#pending
    this.#pending = undefined
    return pending
  }

  /** The worker leaves with as many messages as it wanted, so there may be more. */
  left(queues: readonly string[], max: number): void {
    this.#leftAt = performance.now()
    if (!this.#isFast) return
    const claimed = this.#parts.claim(queues, max).then(
      ({ deliveries }) => deliveries,
      () => {
        this.#parts.onFailed()
        return []
      },
    )
    this.#pending = claimed
    void claimed.then((deliveries) => {
      if (this.#pending !== claimed) return
      if (deliveries.length === 0) this.#pending = undefined
      else this.#timer = setTimeout(() => this.#parts.onUnused(), UNUSED_MS).unref()
    })
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#pending = undefined
  }
}
