import type { Body, Logger } from '../../contract/index.ts'

/** A message that waits in this process. */
export interface Waiting {
  readonly body: Body
  readonly attempt: number
}

const LOG_EVERY_MS = 1_000

/**
 * Messages of one queue between the subscription and the worker. What comes when it is full pushes out the oldest; what is
 * put back never does.
 */
export class PubSubBuffer {
  readonly #queue: string
  readonly #capacity: number
  readonly #logger: Logger
  #items: (Waiting | undefined)[] = []
  /** Of the first in `#items`. */
  #head = 0
  #dropped = 0
  #logging: NodeJS.Timeout | undefined

  constructor(queue: string, { capacity, logger }: { readonly capacity: number; readonly logger: Logger }) {
    this.#queue = queue
    this.#capacity = capacity
    this.#logger = logger
  }

  get size(): number {
    return this.#items.length - this.#head
  }

  /** Came from Redis. */
  add(body: Body): void {
    if (this.size >= this.#capacity) {
      this.take()
      this.#noteDrop()
    }
    this.putLast({ body, attempt: 1 })
  }

  putFirst(waiting: Waiting): void {
    if (this.#head === 0) {
      this.#items.unshift(waiting)
      return
    }
    this.#head -= 1
    this.#items[this.#head] = waiting
  }

  putLast(waiting: Waiting): void {
    this.#items.push(waiting)
  }

  take(): Waiting | undefined {
    if (this.size === 0) return undefined
    const waiting = this.#items[this.#head]
    this.#items[this.#head] = undefined
    this.#head += 1
    // Moving what is left costs less than one step for each that was taken.
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return waiting
  }

  close(): void {
    clearTimeout(this.#logging)
    this.#items = []
    this.#head = 0
  }

  /** Says it at once, and then once a second while it goes on. */
  #noteDrop(): void {
    this.#dropped += 1
    if (this.#logging === undefined) this.#log()
  }

  #log(): void {
    this.#logging = undefined
    if (this.#dropped === 0) return
    this.#logger.error(
      { queue: this.#queue, dropped: this.#dropped, bufferSize: this.#capacity },
      `Dropped the ${this.#dropped} oldest message(s) of queue "${this.#queue}": this worker is slower than they come, and ` +
        `${this.#capacity} wait already. Give it more \`concurrency\`, or a larger \`bufferSize\`.`,
    )
    this.#dropped = 0
    this.#logging = setTimeout(() => this.#log(), LOG_EVERY_MS)
    this.#logging.unref()
  }
}
