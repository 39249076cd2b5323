import { ConfigError } from '../contract/index.ts'
import type { Clock } from '../contract/index.ts'
import { durationMs } from '../core/index.ts'
import type { Duration } from '../util/duration.ts'
import { Heap } from '../util/heap.ts'

interface Call {
  readonly at: number
  /** Calls of one time are made in the order in which they were scheduled. */
  readonly sequence: number
  readonly callback: () => void
  isTaken: boolean
}

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  readonly #calls = new Heap<Call>((a, b) => a.at < b.at || (a.at === b.at && a.sequence < b.sequence))
  #now: number
  #sequence = 0

  /** @param start - What it shows first. The default is 2030-01-01, midnight UTC: a time that is never now. */
  constructor(start: Date | number = Date.UTC(2030, 0, 1)) {
    this.#now = Number(start)
    if (Number.isFinite(this.#now)) return
    throw new ConfigError('KIQ_CONFIG_INVALID', `The start of a fake clock is ${String(start)}. Use a valid date.`)
  }

  now(): number {
    return this.#now
  }

  schedule(ms: number, callback: () => void): () => void {
    const call = { at: this.#now + Math.max(ms, 0), sequence: this.#sequence++, callback, isTaken: false }
    this.#calls.push(call)
    return () => {
      call.isTaken = true
    }
  }

  /** When the next call is due, in milliseconds since the epoch; `undefined` when none is. */
  get nextAt(): number | undefined {
    for (let next = this.#calls.peek(); next !== undefined; next = this.#calls.peek()) {
      if (!next.isTaken) return next.at
      this.#calls.pop()
    }
    return undefined
  }

  /**
   * Goes on by that much. Makes each call when its time comes, and lets what it sets going run before the next one, so that
   * what is scheduled meanwhile falls due, too.
   */
  async advance(by: Duration): Promise<void> {
    const end = this.#now + durationMs('by', by)
    await settle()
    for (let at = this.nextAt; at !== undefined && at <= end; at = this.nextAt) {
      this.#now = at
      this.#calls.pop()?.callback()
      await settle()
    }
    this.#now = end
  }
}

/** Some turns of the event loop: a message needs a few from its time to its task, and a task to what it sends. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
