import type { Claimed } from './fair-claim.ts'

/** A worker that comes back within so many milliseconds is fast: the next messages can be on their way meanwhile. */
const FAST_MS = 5
/** What a fast worker did not come back for in so many milliseconds goes to others. */
const UNUSED_MS = 50
/** Most messages that are claimed ahead, as a multiple of what the worker asks for. */
const MAX_AHEAD = 3

export interface ReadAheadParts<D> {
  readonly claim: (queues: readonly string[], max: number) => Promise<Claimed<D>>
  /** Came, and nobody fetched it: to be handed back. */
  readonly onUnused: () => void
  /** A claim failed: what it took is not known. */
  readonly onFailed: () => void
}

/** With what the worker leaves. */
export interface Leave {
  /** Messages it asked for. */
  readonly max: number
  /** Messages it got. */
  readonly given: number
  /** Messages that wait here for it. */
  readonly kept: number
}

/**
 * Claims the next messages while the worker is at the last ones, so that neither waits for the other: as many as the worker
 * gets through in five milliseconds. Only for workers whose tasks are over in milliseconds; messages never wait here
 * behind long ones.
 */
export class ReadAhead<D> {
  readonly #parts: ReadAheadParts<D>
  #pending: Promise<readonly D[]> | undefined
  #leftAt = 0
  /** Given to the worker when it left. */
  #given = 0
  /** What the worker gets through in {@link FAST_MS}; 0 = it is not fast. */
  #pace = 0
  #timer: NodeJS.Timeout | undefined

  constructor(parts: ReadAheadParts<D>) {
    this.#parts = parts
  }

  get isClaiming(): boolean {
    return this.#pending !== undefined
  }

  /** The worker is back. */
  back(): void {
    const tookMs = performance.now() - this.#leftAt
    this.#pace = tookMs < FAST_MS ? (this.#given * FAST_MS) / Math.max(tookMs, 0.1) : 0
    clearTimeout(this.#timer)
  }

  /** @returns What was claimed meanwhile, or is being claimed; `undefined` = nothing. */
  take(): Promise<readonly D[]> | undefined {
    const pending = this.#pending
    this.#pending = undefined
    return pending
  }

  /** The worker leaves, and there may be more. */
  left(queues: readonly string[], { max, given, kept }: Leave): void {
    this.#leftAt = performance.now()
    this.#given = given
    if (kept > 0) this.#handBackLater()
    const wanted = Math.min(Math.max(Math.round(this.#pace), max), MAX_AHEAD * max) - kept
    // Not for a few: each claim costs as much as many messages.
    if (this.#pace === 0 || this.#pending || wanted < max) return
    const claimed = this.#parts.claim(queues, wanted).then(
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
      else this.#handBackLater()
    })
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#pending = undefined
  }

  #handBackLater(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#parts.onUnused(), UNUSED_MS).unref()
  }
}
