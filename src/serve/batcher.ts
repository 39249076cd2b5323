import { ConfigError, KiqError, systemClock } from '../contract/index.ts'
import type { Clock } from '../contract/index.ts'
import { show } from '../util/show.ts'
import { AdaptiveSize } from './adaptive-size.ts'
import { BusyError } from './busy-error.ts'
import { Waiting } from './waiting.ts'

export type BatchOutcome<R> = { readonly value: R } | { readonly error: unknown }

export interface BatcherOptions<T, R> {
  /** Most items in a batch, ≥ 1. */
  readonly maxBatchSize: number
  /**
   * Milliseconds that an item may wait for others, counted from the one that waits longest; ≥ 0.
   *
   * @defaultValue `0`: a batch is what has come in one turn of the event loop
   */
  readonly waitMs?: number | undefined
  /**
   * Items that may wait, ≥ 1; more are refused.
   *
   * @defaultValue `1_000`
   */
  readonly maxQueueSize?: number | undefined
  /**
   * Batches in work at once, ≥ 1.
   *
   * @defaultValue `1`
   */
  readonly concurrency?: number | undefined
  /**
   * Batches that may begin beyond that, ≥ 0, only full ones: they wait where the work is done, so that it does not stand
   * still between two batches.
   *
   * @defaultValue `0`
   */
  readonly ahead?: number | undefined
  /** What an item counts, > 0; needs `maxBatchWeight`. */
  readonly weigh?: ((item: T) => number) | undefined
  /** Most that the items of a batch may count together. One that counts more comes alone. */
  readonly maxBatchWeight?: number | undefined
  /**
   * Whether batches are only as large as pays, by what was measured; see {@link AdaptiveSize}.
   *
   * @defaultValue `false`
   */
  readonly adaptive?: boolean | undefined
  /** @defaultValue the system's */
  readonly clock?: Clock | undefined
  /**
   * Does the work.
   *
   * @param signal - Aborts when nobody waits for any of the items any more.
   * @param begins - For work that has waited where it is done: call it when it begins, so that the wait does not count as work.
   * @returns One outcome per item, in their order. If it rejects, all items fail with that.
   */
  readonly process: (
    items: readonly T[],
    signal: AbortSignal,
    begins: () => void,
  ) => Promise<readonly BatchOutcome<R>[]>
  /** Is told of every batch that has ended. */
  readonly onBatch?: ((facts: BatchFacts) => void) | undefined
}

export interface BatchFacts {
  readonly size: number
  /** Milliseconds that the work took. */
  readonly ms: number
  /** Milliseconds that each item waited for it. */
  readonly waitedMs: readonly number[]
}

export interface SubmitOptions {
  /** Gives the item up: it leaves the queue, or nobody waits for its outcome any more. */
  readonly signal?: AbortSignal | undefined
}

/** How it goes. */
export interface BatcherStats {
  /** Items that wait. */
  readonly waiting: number
  /** Batches in work. */
  readonly running: number
  /** Batches done. */
  readonly batches: number
  /** Items done. */
  readonly items: number
}

interface Batch<T, R> {
  readonly items: readonly Waiting<T, R>[]
  readonly controller: AbortController
}

/**
 * Collects single items into batches.
 *
 * A batch begins when it is full, or when the item that waits longest has waited `waitMs`; in both cases as soon as one of
 * the `concurrency` places is free, full ones also `ahead` of that. While all are taken items go on collecting, so that a busy service has full batches,
 * and an idle one answers after `waitMs` at most. Items come in the order of their submission; a batch ends before the
 * first that does not fit in by weight.
 *
 * States: *open*; *closing* after {@link Batcher.close}: takes nothing more; *closed* when all is done.
 */
export class Batcher<T, R> {
  readonly #options: BatcherOptions<T, R>
  readonly #waitMs: number
  readonly #maxQueueSize: number
  readonly #concurrency: number
  readonly #ahead: number
  readonly #clock: Clock
  readonly #adaptive: AdaptiveSize | undefined
  /** Oldest first. Those that were given up stay until they are come upon, and count no more. */
  #queue: Waiting<T, R>[] = []
  #waiting = 0
  readonly #running = new Set<Batch<T, R>>()
  #stopTimer: (() => void) | undefined
  #isClosing = false
  #allDone: (() => void) | undefined
  #batches = 0
  #items = 0
  /** Of the last batches, smoothed. */
  #msPerItem: number | undefined

  constructor(options: BatcherOptions<T, R>) {
    this.#options = options
    const { maxBatchSize, waitMs = 0, maxQueueSize = 1_000, concurrency = 1 } = options
    for (const [name, value] of Object.entries({ maxBatchSize, maxQueueSize, concurrency })) assertCount(name, value)
    if (!Number.isFinite(waitMs) || waitMs < 0) throw invalid('waitMs', waitMs, 'milliseconds ≥ 0')
    if ((options.weigh === undefined) !== (options.maxBatchWeight === undefined)) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        '`weigh` and `maxBatchWeight` belong together. Give both, or neither.',
      )
    }
    this.#waitMs = waitMs
    this.#maxQueueSize = maxQueueSize
    this.#concurrency = concurrency
    this.#ahead = options.ahead ?? 0
    if (!Number.isSafeInteger(this.#ahead) || this.#ahead < 0) throw invalid('ahead', this.#ahead, 'a whole number ≥ 0')
    this.#clock = options.clock ?? systemClock
    this.#adaptive = options.adaptive ? new AdaptiveSize(maxBatchSize) : undefined
  }

  get stats(): BatcherStats {
    return { waiting: this.#waiting, running: this.#running.size, batches: this.#batches, items: this.#items }
  }

  /**
   * Resolves with the outcome of the item.
   *
   * @throws {BusyError} when too many wait already; it says when to try again.
   * @throws the reason of the signal, or what the work failed with.
   */
  async submit(item: T, { signal }: SubmitOptions = {}): Promise<R> {
    signal?.throwIfAborted()
    if (this.#isClosing) {
      throw new KiqError(
        'KIQ_SERVE_STOPPING',
        'The service stops and takes nothing more. Send the request to another one.',
      )
    }
    if (this.#waiting >= this.#maxQueueSize) throw this.#busy()
    const weight = this.#options.weigh?.(item) ?? 1
    if (!Number.isFinite(weight) || weight <= 0) {
      throw new KiqError(
        'KIQ_PIPELINE_INVALID',
        `An item weighs ${show(weight)}. \`weigh\` has to return a number > 0.`,
      )
    }
    const waiting = new Waiting<T, R>(item, weight, this.#clock.now())
    this.#queue.push(waiting)
    this.#waiting += 1
    const giveUp = (): void => this.#giveUp(waiting, signal?.reason)
    signal?.addEventListener('abort', giveUp, { once: true })
    this.#plan()
    try {
      return await waiting.outcome
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
  }

  /**
   * Takes nothing more, and resolves when all is done.
   *
   * @param options.waiting - What becomes of items that wait: `finish` (default) works them off, `fail` fails them.
   */
  async close(options: { readonly waiting?: 'finish' | 'fail' | undefined } = {}): Promise<void> {
    this.#isClosing = true
    if (options.waiting === 'fail') {
      const error = new KiqError('KIQ_SERVE_STOPPING', 'The service stopped before the request began. Send it again.')
      for (const one of [...this.#queue]) this.#giveUp(one, error)
    }
    this.#plan()
    if (this.#waiting + this.#running.size === 0) return
    await new Promise<void>((resolve) => {
      const before = this.#allDone
      this.#allDone = () => {
        before?.()
        resolve()
      }
    })
  }

  /** Starts what can start, and sets the timer for what has to wait. */
  #plan(): void {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    while (this.#running.size < this.#concurrency + this.#ahead) {
      const next = this.#next()
      const [oldest] = next.items
      if (oldest === undefined || (this.#running.size >= this.#concurrency && !next.isFull)) break
      const leftMs = this.#isClosing ? 0 : oldest.since + this.#effectiveWaitMs() - this.#clock.now()
      if (!next.isFull && leftMs > 0) {
        this.#stopTimer = this.#clock.schedule(leftMs, () => this.#plan())
        break
      }
      // Those that come in this turn of the event loop come along.
      if (!next.isFull && oldest.isFresh && this.#effectiveWaitMs() === 0) {
        this.#afterTurn(oldest)
        break
      }
      this.#begin(next.items)
    }
    if (this.#waiting + this.#running.size === 0) {
      this.#allDone?.()
      this.#allDone = undefined
    }
  }

  #afterTurn(oldest: Waiting<T, R>): void {
    const immediate = setImmediate(() => {
      oldest.isFresh = false
      this.#plan()
    })
    this.#stopTimer = () => clearImmediate(immediate)
  }

  #effectiveWaitMs(): number {
    return this.#adaptive?.limit === 1 ? 0 : this.#waitMs
  }

  #next(): { readonly items: readonly Waiting<T, R>[]; readonly isFull: boolean } {
    const limit = Math.min(this.#options.maxBatchSize, this.#adaptive?.limit ?? Infinity)
    const maxWeight = this.#options.maxBatchWeight ?? Infinity
    const items: Waiting<T, R>[] = []
    let weight = 0
    for (const one of this.#queue) {
      if (one.isSettled) continue
      if (items.length > 0 && weight + one.weight > maxWeight) return { items, isFull: true }
      items.push(one)
      weight += one.weight
      if (items.length >= limit || weight >= maxWeight) return { items, isFull: true }
    }
    return { items, isFull: false }
  }

  #begin(items: readonly Waiting<T, R>[]): void {
    const batch = { items, controller: new AbortController() }
    const last = items.at(-1) as Waiting<T, R>
    this.#queue = this.#queue.slice(this.#queue.indexOf(last) + 1)
    this.#waiting -= items.length
    for (const one of items) one.hasBegun = true
    this.#running.add(batch)
    void this.#run(batch)
  }

  async #run(batch: Batch<T, R>): Promise<void> {
    const { items, controller } = batch
    let startedAt = this.#clock.now()
    const begins = (): void => {
      startedAt = this.#clock.now()
    }
    try {
      const outcomes = await this.#options.process(
        items.map(({ item }) => item),
        controller.signal,
        begins,
      )
      for (const [i, one] of items.entries()) one.settle(outcomes[i] ?? { error: missingOutcome(i, items.length) })
    } catch (error) {
      for (const one of items) one.settle({ error })
    }
    const ms = this.#clock.now() - startedAt
    this.#measure(items.length, ms)
    this.#options.onBatch?.({ size: items.length, ms, waitedMs: items.map(({ since }) => startedAt - since) })
    this.#running.delete(batch)
    this.#plan()
  }

  #measure(size: number, ms: number): void {
    this.#batches += 1
    this.#items += size
    this.#adaptive?.note(size, ms)
    const perItem = ms / size
    this.#msPerItem = this.#msPerItem === undefined ? perItem : this.#msPerItem + (perItem - this.#msPerItem) / 8
  }

  #giveUp(one: Waiting<T, R>, reason: unknown): void {
    if (one.isSettled) return
    one.settle({ error: reason })
    if (!one.hasBegun) {
      this.#waiting -= 1
      this.#plan()
      return
    }
    for (const { items, controller } of this.#running) {
      if (items.includes(one) && items.every(({ isSettled }) => isSettled)) controller.abort(reason)
    }
  }

  #busy(): BusyError {
    const ms = ((this.#msPerItem ?? 0) * this.#waiting) / this.#concurrency
    return new BusyError(this.#waiting, Math.max(1_000, Math.ceil(ms)))
  }
}

function missingOutcome(position: number, count: number): KiqError {
  return new KiqError(
    'KIQ_PIPELINE_INVALID',
    `The work on a batch of ${count} gave no outcome for item ${position}. It has to give one for each.`,
  )
}

function assertCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) throw invalid(name, value, 'a whole number ≥ 1')
}

function invalid(name: string, value: unknown, wanted: string): ConfigError {
  return new ConfigError('KIQ_CONFIG_INVALID', `\`${name}\` of a batcher is ${show(value)}. Use ${wanted}.`)
}
