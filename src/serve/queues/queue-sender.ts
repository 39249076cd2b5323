import { BrokerError, ConfigError, durationOption, KiqError, MessageError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import { defaultLogger, wholeNumber } from '../../core/index.ts'
import { sleep } from '../../util/abort.ts'
import { backoffMs } from '../../util/backoff.ts'
import type { BackoffOptions } from '../../util/backoff.ts'
import type { Duration } from '../../util/duration.ts'
import { messageOf, show } from '../../util/show.ts'
import { withTimeLimit } from '../../util/time-limit.ts'
import type { QueueBackend } from '../queue-backend.ts'
import type { SendCount } from './send-counts.ts'
import { SendCounts } from './send-counts.ts'

export interface QueueSenderOptions {
  readonly backend: QueueBackend
  /**
   * Attempts per message, the first included.
   *
   * @defaultValue `5`
   */
  readonly attempts?: number | undefined
  /**
   * Longest time for one message, with all attempts and the waits between them.
   *
   * @defaultValue `'30s'`
   */
  readonly timeout?: Duration | undefined
  /**
   * Longest time for one attempt. One that takes longer counts as failed; if the backend accepts the message later all
   * the same, it arrives twice.
   *
   * @defaultValue `'10s'`
   */
  readonly attemptTimeout?: Duration | undefined
  /**
   * Waits between attempts.
   *
   * @defaultValue 200 ms, doubled each time, at most 5 s; half of it is random
   */
  readonly backoff?: BackoffOptions | undefined
  /**
   * Messages under way at once; one more fails without an attempt.
   *
   * @defaultValue `1_000`
   */
  readonly maxUnderWay?: number | undefined
  /**
   * Queues with a count of their own. Those that come later share the count `(others)`.
   *
   * @defaultValue `100`
   */
  readonly maxCounted?: number | undefined
  /** @defaultValue warnings and errors on standard error */
  readonly logger?: Logger | undefined
}

export interface QueueMessage {
  /** Empty: nothing is sent. */
  readonly queueName: string
  /** Written as JSON at once; later changes are not sent. */
  readonly message: object
}

/** What became of a message. */
export interface SendReport {
  /** `skipped`: it named no queue. */
  readonly state: 'sent' | 'failed' | 'skipped'
  readonly attempts: number
  /** Why it failed: of the last attempt. */
  readonly error?: unknown
}

export interface DrainReport {
  /** Messages that were given up; their reports say `failed`. */
  readonly givenUp: number
}

interface Sending {
  readonly queueName: string
  readonly text: string
  /** On the clock of `performance.now()`. */
  readonly deadline: number
  readonly signal: AbortSignal
}

/**
 * Sends the outcomes of a service: tries again, and reports instead of throwing, since a queue that is down must not fail
 * what was computed. Messages that are under way at once may arrive in another order.
 */
export class QueueSender {
  readonly #backend: QueueBackend
  readonly #attempts: number
  readonly #timeoutMs: number
  readonly #attemptTimeoutMs: number
  readonly #backoff: BackoffOptions
  readonly #maxUnderWay: number
  readonly #logger: Logger
  readonly #counts: SendCounts
  readonly #underWay = new Map<Promise<SendReport>, AbortController>()

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for a bad option. */
  constructor(options: QueueSenderOptions) {
    this.#backend = options.backend
    const { attempts = 5, maxUnderWay = 1_000, maxCounted = 100 } = options
    this.#attempts = wholeNumber('attempts', attempts, 1)
    this.#timeoutMs = durationOption('timeout', options.timeout, { fallbackMs: 30_000, minMs: 1 })
    this.#attemptTimeoutMs = durationOption('attemptTimeout', options.attemptTimeout, { fallbackMs: 10_000, minMs: 1 })
    this.#backoff = options.backoff ?? { baseMs: 200, maxMs: 5_000 }
    this.#maxUnderWay = wholeNumber('maxUnderWay', maxUnderWay, 1)
    this.#counts = new SendCounts(wholeNumber('maxCounted', maxCounted, 1))
    this.#logger = options.logger ?? defaultLogger
  }

  /** Messages that are neither sent nor given up yet. */
  get underWay(): number {
    return this.#underWay.size
  }

  /** What became of the messages so far, per queue; those that named none are not counted. */
  get counts(): ReadonlyMap<string, SendCount> {
    return this.#counts.all()
  }

  /**
   * Sends one message, and never rejects. A failure is tried again, unless trying again cannot help: wrong configuration,
   * or a message that cannot be written.
   */
  async send({ queueName, message }: QueueMessage): Promise<SendReport> {
    if (queueName === '') return { state: 'skipped', attempts: 0 }
    if (this.#underWay.size >= this.#maxUnderWay) return this.#failed(queueName, 0, this.#tooMany())
    const text = textOf(message)
    if (text instanceof MessageError) return this.#failed(queueName, 0, text)

    const giveUp = new AbortController()
    const deadline = performance.now() + this.#timeoutMs
    const sending = this.#send({ queueName, text, deadline, signal: giveUp.signal })
    this.#underWay.set(sending, giveUp)
    try {
      return await sending
    } finally {
      this.#underWay.delete(sending)
    }
  }

  /**
   * Waits until nothing is under way, and gives up what still is when the time is over. It closes nothing: messages can be
   * sent afterwards, and those that are sent meanwhile are waited for.
   *
   * @param options - `timeout`: `'10s'` without.
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for a bad `timeout`.
   */
  async drain({ timeout }: { readonly timeout?: Duration | undefined } = {}): Promise<DrainReport> {
    const timeoutMs = durationOption('timeout', timeout, { fallbackMs: 10_000, minMs: 0 })
    const over = new AbortController()
    const late = sleep(timeoutMs, over.signal).then(() => 'late' as const)
    let ended: unknown
    while (this.#underWay.size > 0 && ended !== 'late') {
      ended = await Promise.race([Promise.all(this.#underWay.keys()), late])
    }
    over.abort()
    const rest = [...this.#underWay]
    for (const [, giveUp] of rest) giveUp.abort(drained(timeoutMs))
    const reports = await Promise.all(rest.map(([sending]) => sending))
    return { givenUp: reports.filter(({ state }) => state === 'failed').length }
  }

  async #send(sending: Sending): Promise<SendReport> {
    const { queueName, deadline, signal } = sending
    for (let count = 1; ; count += 1) {
      let error: unknown
      try {
        if (await this.#attempt(sending)) return this.#sent(queueName, count)
        error = notAccepted(queueName)
      } catch (thrown) {
        error = thrown
      }
      if (signal.aborted || isPermanent(error) || count >= this.#attempts) return this.#failed(queueName, count, error)
      const waitMs = backoffMs(count, this.#backoff)
      if (performance.now() + waitMs >= deadline) return this.#failed(queueName, count, error)
      if (count === 1) this.#log('warn', { queue: queueName, err: error }, 'A message was not sent; it is tried again.')
      // The error of the attempt says more than that the time is over.
      if ((await pause(waitMs, signal)) === 'given up') return this.#failed(queueName, count, error)
    }
  }

  async #attempt({ queueName, text, deadline, signal }: Sending): Promise<boolean> {
    const timeoutMs = Math.max(0, Math.min(this.#attemptTimeoutMs, deadline - performance.now()))
    const late = (): BrokerError =>
      new BrokerError(
        'KIQ_SEND_TIMED_OUT',
        `The message to queue ${show(queueName)} was not accepted within ${Math.ceil(timeoutMs)} ms. Check that the ` +
          'queue can be reached, or raise `attemptTimeout` and `timeout`.',
      )
    return await withTimeLimit(this.#accept(queueName, text), { ms: timeoutMs, late, signal })
  }

  /** What a backend throws before there is a promise is a rejection, too. */
  async #accept(queueName: string, text: string): Promise<boolean> {
    return await this.#backend.sendMessage(queueName, text)
  }

  #sent(queueName: string, attempts: number): SendReport {
    this.#counts.add(queueName, 'sent')
    if (attempts > 1) this.#log('info', { queue: queueName, attempts }, 'A message was sent after failures.')
    return { state: 'sent', attempts }
  }

  #failed(queueName: string, attempts: number, error: unknown): SendReport {
    this.#counts.add(queueName, 'failed')
    this.#log('error', { queue: queueName, attempts, err: error }, `A message is given up: ${messageOf(error)}`)
    return { state: 'failed', attempts, error }
  }

  #tooMany(): BrokerError {
    return new BrokerError(
      'KIQ_SEND_FAILED',
      `${this.#underWay.size} messages to queues are under way, and no more are accepted. Check that the queues can be ` +
        'reached, or raise `maxUnderWay`.',
    )
  }

  /** A logger that throws must not make `send` reject. */
  #log(level: 'info' | 'warn' | 'error', fields: object, message: string): void {
    try {
      this.#logger[level](fields, message)
    } catch {
      // There is nowhere left to tell.
    }
  }
}

/** Wrong configuration and messages that cannot be written stay wrong. */
function isPermanent(error: unknown): boolean {
  if (error instanceof ConfigError || error instanceof MessageError) return true
  return KiqError.is(error, 'KIQ_CONFIG_INVALID') || KiqError.is(error, 'KIQ_PEER_MISSING')
}

async function pause(ms: number, signal: AbortSignal): Promise<'over' | 'given up'> {
  await sleep(ms, signal)
  return signal.aborted ? 'given up' : 'over'
}

function textOf(message: object): string | MessageError {
  let cause: unknown
  try {
    // Undefined for a function, which the types cannot exclude.
    const text = JSON.stringify(message) as string | undefined
    if (text !== undefined) return text
  } catch (thrown) {
    cause = thrown
  }
  const why = cause === undefined ? 'JSON does not know it' : messageOf(cause)
  return new MessageError(
    'KIQ_ARGUMENTS_UNSERIALIZABLE',
    `A message to a queue cannot be written as JSON: ${why}. Use plain values.`,
    { cause },
  )
}

function notAccepted(queueName: string): BrokerError {
  return new BrokerError(
    'KIQ_SEND_FAILED',
    `The queue backend did not accept the message to queue ${show(queueName)}. Its log may say why.`,
  )
}

function drained(timeoutMs: number): BrokerError {
  return new BrokerError(
    'KIQ_SEND_TIMED_OUT',
    `The message was still under way after ${timeoutMs} ms of draining, and is given up. Raise the time for draining.`,
  )
}
