import type { Body, ResultRecord } from '../../contract/index.ts'

interface Kept {
  readonly body: Body
  /** Milliseconds since the epoch; `Infinity` = for ever. */
  readonly expiresAt: number
}

/** Bodies by task id: at most so many, the oldest are dropped first, and each for its time. */
export class ResultStore {
  readonly #kept = new Map<string, Kept>()
  readonly #maxKept: number
  // One iterator for all evictions: a new one would have to step over the holes that the earlier evictions left.
  #oldest: Iterator<string, undefined> | undefined
  #putsUntilSweep = 1

  /** @param maxKept - ≥ 1, `Infinity` = no limit. */
  constructor(maxKept: number) {
    this.#maxKept = maxKept
  }

  put({ taskId, body, ttlMs }: ResultRecord, now: number): void {
    this.#kept.delete(taskId) // a replaced record is a new one: it moves to the end of the line
    this.#kept.set(taskId, { body, expiresAt: ttlMs === undefined ? Infinity : now + ttlMs })
    if (this.#kept.size > this.#maxKept) this.#dropOldest()
    this.#putsUntilSweep -= 1
    if (this.#putsUntilSweep === 0) this.#sweep(now)
  }

  get(taskId: string, now: number): Body | undefined {
    const kept = this.#kept.get(taskId)
    if (kept === undefined) return undefined
    if (kept.expiresAt > now) return kept.body
    this.#kept.delete(taskId)
    return undefined
  }

  delete(taskId: string): void {
    this.#kept.delete(taskId)
  }

  #dropOldest(): void {
    this.#oldest ??= this.#kept.keys()
    const { value, done } = this.#oldest.next()
    if (done !== true) this.#kept.delete(value)
  }

  /** As often as there are records, so that expired ones cost constant time per put and at most double the memory. */
  #sweep(now: number): void {
    for (const [taskId, kept] of this.#kept) {
      if (kept.expiresAt <= now) this.#kept.delete(taskId)
    }
    this.#putsUntilSweep = this.#kept.size + 100
  }
}
