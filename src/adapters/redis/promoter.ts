import type { Logger } from '../../contract/index.ts'
import { MAX_TIMER_MS } from '../../util/abort.ts'

/** After a failure, and at most so often while messages are due. */
const RETRY_MS = 1_000

export interface PromoterParts {
  /** Moves what is due on a queue; resolves to the milliseconds until the next is, or -1. */
  readonly promote: (queue: string) => Promise<number>
  readonly logger: Logger
}

/**
 * Moves delayed messages to their queues when they are due. Workers do so whenever they look for messages; this is for
 * processes that only send, so that Python's workers get them too. Never keeps the process alive.
 */
export class Promoter {
  readonly #parts: PromoterParts
  readonly #timers = new Map<string, { readonly at: number; readonly timer: NodeJS.Timeout }>()
  /** Queues on which something may wait for a worker that never comes. */
  readonly #watched = new Set<string>()
  #isStopped = false

  constructor(parts: PromoterParts) {
    this.#parts = parts
  }

  /** Something is due on that queue at that time, in milliseconds since the epoch. */
  note(queue: string, dueAt: number): void {
    if (this.#isStopped) return
    const known = this.#timers.get(queue)
    if (known && known.at <= dueAt) return
    clearTimeout(known?.timer)
    const waitMs = Math.min(Math.max(dueAt - Date.now() + 1, 0), MAX_TIMER_MS)
    const timer = setTimeout(() => void this.#promote(queue), waitMs)
    timer.unref()
    this.#timers.set(queue, { at: dueAt, timer })
  }

  /** Something was sent to that queue that only workers of ours take: looks soon whether there is one. */
  watch(queue: string): void {
    this.#watched.add(queue)
    this.note(queue, Date.now() + RETRY_MS)
  }

  /** Looks for the last time: whoever sent these may be the only process of ours. Never fails. */
  async finish(): Promise<void> {
    const { promote, logger } = this.#parts
    this.stop()
    const looks = await Promise.allSettled([...this.#watched].map((queue) => promote(queue)))
    for (const look of looks) {
      if (look.status === 'rejected') logger.debug({ err: look.reason as unknown }, 'Could not move what waits.')
    }
  }

  stop(): void {
    this.#isStopped = true
    for (const { timer } of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }

  async #promote(queue: string): Promise<void> {
    const { promote, logger } = this.#parts
    this.#timers.delete(queue)
    try {
      const waitMs = await promote(queue)
      if (waitMs < 0) this.#watched.delete(queue)
      if (waitMs >= 0) this.note(queue, Date.now() + waitMs)
    } catch (err) {
      if (this.#isStopped) return
      logger.debug({ err, queue }, 'Could not move delayed messages; trying again.')
      this.note(queue, Date.now() + RETRY_MS)
    }
  }
}
