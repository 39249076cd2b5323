import { durationOption, ResultError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import { defaultLogger, wholeNumber } from '../../core/index.ts'
import { MAX_TIMER_MS } from '../../util/abort.ts'
import type { Duration } from '../../util/duration.ts'
import { show } from '../../util/show.ts'
import type { QueueBackend } from '../queue-backend.ts'
import { parseMessage } from './parse-message.ts'
import { WarnOnce } from './warn-once.ts'

export interface InMemoryQueueOptions {
  /**
   * Messages kept per queue; with so many `sendMessage` gives `false`.
   *
   * @defaultValue `10_000`
   */
  readonly maxMessages?: number | undefined
  /**
   * Queues that hold messages at once; a message to one more is not accepted.
   *
   * @defaultValue `1_000`
   */
  readonly maxQueues?: number | undefined
  /** @defaultValue warnings and errors on standard error */
  readonly logger?: Logger | undefined
}

export interface TakeOptions {
  /**
   * How long to wait for a message.
   *
   * @defaultValue `'30s'`
   */
  readonly timeout?: Duration | undefined
  /** Ends the wait; `take` rejects with its reason. */
  readonly signal?: AbortSignal | undefined
}

/** Somebody who waits for a message. */
interface Taker {
  readonly take: (message: string) => void
  readonly fail: (error: unknown) => void
}

/** Keeps messages in this process, oldest first, until they are taken: for tests and programs of one process. */
export class InMemoryQueueBackend implements QueueBackend {
  readonly #maxMessages: number
  readonly #maxQueues: number
  readonly #warnings: WarnOnce
  /** Queues that hold something. */
  readonly #queues = new Map<string, string[]>()
  /** Queues for which somebody waits; such a queue holds nothing. */
  readonly #takers = new Map<string, Set<Taker>>()
  #isClosed = false

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for a limit that is no whole number ≥ 1. */
  constructor({ maxMessages = 10_000, maxQueues = 1_000, logger = defaultLogger }: InMemoryQueueOptions = {}) {
    this.#maxMessages = wholeNumber('maxMessages', maxMessages, 1)
    this.#maxQueues = wholeNumber('maxQueues', maxQueues, 1)
    this.#warnings = new WarnOnce(logger)
  }

  /**
   * @returns `false` when the queue is full, or the backend closed.
   * @throws {MessageError} `KIQ_ARGUMENTS_INVALID` for text that is no JSON.
   */
  async sendMessage(queueName: string, message: string): Promise<boolean> {
    parseMessage(queueName, message)
    if (this.#isClosed) return false
    const [taker] = this.#takers.get(queueName) ?? []
    if (taker) {
      taker.take(message)
      return true
    }
    const queue = this.#queues.get(queueName) ?? []
    if (queue.length >= this.#maxMessages) {
      return this.#refuse(queueName, `holds ${queue.length} messages. Take them, or raise \`maxMessages\`.`)
    }
    if (queue.length === 0 && this.#queues.size >= this.#maxQueues) {
      return this.#refuse(queueName, `is one more than ${this.#queues.size} queues. Raise \`maxQueues\`.`)
    }
    queue.push(message)
    this.#queues.set(queueName, queue)
    return true
  }

  /**
   * Takes the oldest message out of a queue, and waits for one when there is none. Who waits longest is served first.
   *
   * @returns What was sent, parsed.
   * @throws {ResultError} `KIQ_RESULT_TIMED_OUT` when none came in time, or the backend was closed.
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for a bad `timeout`.
   */
  async take(queueName: string, { timeout, signal }: TakeOptions = {}): Promise<unknown> {
    const timeoutMs = durationOption('timeout', timeout, { fallbackMs: 30_000, minMs: 0 })
    signal?.throwIfAborted()
    const message = this.#shift(queueName)
    return JSON.parse(message ?? (await this.#wait(queueName, timeoutMs, signal)))
  }

  /** What a queue holds now, parsed, oldest first. Nothing is taken. */
  messages(queueName: string): readonly unknown[] {
    return (this.#queues.get(queueName) ?? []).map((message): unknown => JSON.parse(message))
  }

  /** Ends the waits; what is held can still be taken. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const [queueName, takers] of this.#takers) {
      for (const taker of takers) taker.fail(nothingCame(queueName, 'before the backend was closed'))
    }
  }

  #shift(queueName: string): string | undefined {
    const queue = this.#queues.get(queueName)
    const message = queue?.shift()
    if (queue?.length === 0) this.#queues.delete(queueName)
    return message
  }

  #wait(queueName: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<string> {
    if (this.#isClosed) return Promise.reject(nothingCame(queueName, 'before the backend was closed'))
    return new Promise((resolve, reject) => {
      const takers = this.#takers.get(queueName) ?? new Set()
      const end = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        takers.delete(taker)
        if (takers.size === 0) this.#takers.delete(queueName)
      }
      const taker: Taker = {
        take: (message) => {
          end()
          resolve(message)
        },
        fail: (error) => {
          end()
          reject(error)
        },
      }
      const abort = (): void => taker.fail(signal?.reason)
      const late = (): void => taker.fail(nothingCame(queueName, `within ${timeoutMs} ms`))
      const timer = setTimeout(late, Math.min(timeoutMs, MAX_TIMER_MS))
      signal?.addEventListener('abort', abort, { once: true })
      takers.add(taker)
      this.#takers.set(queueName, takers)
    })
  }

  #refuse(queueName: string, why: string): false {
    this.#warnings.warn(queueName, `A message was not accepted: queue ${show(queueName)} ${why}`)
    return false
  }
}

function nothingCame(queueName: string, when: string): ResultError {
  return new ResultError(
    'KIQ_RESULT_TIMED_OUT',
    `No message came to queue ${show(queueName)} ${when}. Check the name of the queue, or wait longer.`,
  )
}
