/** What became of the messages to one queue since the start. */
export interface SendCount {
  readonly sent: number
  readonly failed: number
}

/** Stands for all queues that came after there were too many. */
export const OTHER_QUEUES = '(others)'

/** Counts per queue. Requests name the queues, so only the first names have a count of their own. */
export class SendCounts {
  readonly #maxNames: number
  readonly #counts = new Map<string, SendCount>()

  constructor(maxNames: number) {
    this.#maxNames = maxNames
  }

  add(queueName: string, state: keyof SendCount): void {
    const isKnown = this.#counts.has(queueName) || this.#counts.size < this.#maxNames
    const name = isKnown ? queueName : OTHER_QUEUES
    const count = this.#counts.get(name) ?? { sent: 0, failed: 0 }
    this.#counts.set(name, { ...count, [state]: count[state] + 1 })
  }

  /** A copy. */
  all(): ReadonlyMap<string, SendCount> {
    return new Map(this.#counts)
  }
}
