import { BrokerError, ConfigError, KiqError, MessageError, PartialSendError } from '../contract/index.ts'
import type {
  Clock,
  Formatter,
  Labels,
  Logger,
  SendOnce,
  TaskMessage,
  Transport,
  WireMessage,
  WritableScheduleSource,
} from '../contract/index.ts'
import { MAX_TIMER_MS } from '../util/abort.ts'
import { Coalescer } from '../util/coalescer.ts'
import { show } from '../util/show.ts'
import type { MiddlewareStack } from './middleware-stack.ts'

/** Most messages handed to the transport at once. */
const MAX_SEND_BATCH = 2_000

export interface SenderParts {
  readonly transport: Transport
  readonly middlewares: MiddlewareStack
  readonly formatter: () => Formatter
  readonly logger: () => Logger
  readonly defaultQueue: string
  readonly sendTimeoutMs: number
  readonly clock: Clock
  /** Where messages wait whose time the transport cannot keep. */
  readonly scheduleSource: () => WritableScheduleSource | undefined
  /** Throws when the broker is not started. */
  readonly assertStarted: () => void
}

interface Timing {
  readonly deliverAt?: number | undefined
  readonly priority?: number | undefined
}

const NO_TIMING: Timing = {}

/** A message that went through `preSend`, and what the transport gets of it. */
export interface PreparedMessage {
  readonly message: TaskMessage
  readonly wire: WireMessage
}

/** Producer side: hooks, formatting, and the sends of one event-loop turn as one batch. */
export class Sender {
  readonly #parts: SenderParts
  readonly #coalescer: Coalescer<WireMessage, Error | undefined>

  constructor(parts: SenderParts) {
    this.#parts = parts
    this.#coalescer = new Coalescer((messages) => this.#flush(messages), MAX_SEND_BATCH)
  }

  /** Runs `preSend` and encodes. Nothing is sent yet. */
  async prepare(original: TaskMessage): Promise<PreparedMessage> {
    const { middlewares } = this.#parts
    const message = middlewares.with('preSend').length === 0 ? original : await middlewares.preSend(original)
    return { message, wire: this.toWire(message) }
  }

  /**
   * Sends messages that travel together. All are prepared before the first is sent, so that bad arguments of one call
   * send none.
   */
  async send(originals: readonly TaskMessage[], once?: SendOnce): Promise<void> {
    this.#parts.assertStarted()
    const others = this.#keepsTimesElsewhere ? await this.#scheduleWaiting(originals) : originals
    if (others.length > 0) await this.#send(others, once)
  }

  async #send(originals: readonly TaskMessage[], once: SendOnce | undefined): Promise<void> {
    const { middlewares } = this.#parts
    const prepared =
      middlewares.with('preSend').length === 0
        ? originals.map((message) => ({ message, wire: this.toWire(message) }))
        : await Promise.all(originals.map((original) => this.prepare(original)))
    const wires = prepared.map(({ wire }) => (once ? { ...wire, once } : wire))
    const outcomes = await this.#flushed(wires)
    const failed: Error[] = []
    for (const [i, { message }] of outcomes.length > 0 || this.#hasSendHooks() ? prepared.entries() : []) {
      const error = await this.#finish(message, outcomes[i])
      if (error) failed.push(error)
    }
    if (failed.length === 0) return
    if (originals.length === 1) throw failed[0] as Error
    throw new BrokerError(
      'KIQ_SEND_FAILED',
      `${failed.length} of ${originals.length} messages were not accepted; the others were sent. ` +
        `First reason: ${failed[0]?.message ?? ''}`,
      { cause: failed[0] },
    )
  }

  #hasSendHooks(): boolean {
    return this.#parts.middlewares.with('postSend').length > 0
  }

  /** @returns One entry per message, or none when all were accepted. */
  async #flushed(wires: readonly WireMessage[]): Promise<readonly (Error | undefined)[]> {
    try {
      return await this.#coalescer.add(wires)
    } catch (error) {
      return wires.map(() => asError(error))
    }
  }

  /**
   * Their hooks come when they are sent.
   *
   * @returns The messages that the transport takes.
   */
  async #scheduleWaiting(messages: readonly TaskMessage[]): Promise<readonly TaskMessage[]> {
    // All before the first is added: a bad label of one sends none.
    const waits = messages.map((message) => this.#waitElsewhereMs(message))
    await Promise.all(
      messages.map(async (message, i) => {
        const waitMs = waits[i] ?? 0
        if (waitMs > 0) await this.#schedule(message, waitMs)
      }),
    )
    return messages.filter((_message, i) => (waits[i] ?? 0) <= 0)
  }

  /** @returns Whether the message waits in the schedule source, because the transport cannot keep its time. */
  async schedule(message: TaskMessage): Promise<boolean> {
    const waitMs = this.#waitElsewhereMs(message)
    if (waitMs > 0) await this.#schedule(message, waitMs)
    return waitMs > 0
  }

  /** Milliseconds that a message has to wait in the schedule source; 0 or less = the transport takes it. */
  #waitElsewhereMs({ labels }: TaskMessage): number {
    if (!this.#keepsTimesElsewhere) return 0
    return (numberLabel('delay', labels['delay']) ?? 0) * 1000
  }

  get #keepsTimesElsewhere(): boolean {
    return !this.#parts.transport.capabilities.delays && this.#parts.scheduleSource() !== undefined
  }

  async #schedule({ taskId, taskName, labels, args, kwargs }: TaskMessage, waitMs: number): Promise<void> {
    const { delay: _delay, ...others } = labels
    const time = this.#parts.clock.now() + Math.round(waitMs)
    const schedule = { scheduleId: taskId, taskId, taskName, labels: others, args, kwargs, time }
    await this.#parts.scheduleSource()?.addSchedule(schedule)
  }

  /** Hooks that follow a send, also for messages that a worker sent along with a settlement. */
  async sent(message: TaskMessage): Promise<void> {
    const { middlewares, logger } = this.#parts
    if (middlewares.with('postSend').length > 0) await middlewares.notify('postSend', message, undefined, logger())
  }

  /** Resolves when every accepted `send` has reached the transport or failed. */
  drained(): Promise<void> {
    return this.#coalescer.drained()
  }

  toWire(message: TaskMessage): WireMessage {
    const { body, labels } = this.#parts.formatter().dumps(message)
    const { taskId, taskName } = message
    const { deliverAt, priority } = this.#timing(message.labels)
    return { taskId, taskName, body, labels, queue: this.#queue(message.labels), deliverAt, priority }
  }

  #queue(labels: Labels): string {
    const queue = labels['queue_name']
    if (queue === undefined || queue === null || queue === '') return this.#parts.defaultQueue
    return typeof queue === 'string' ? queue : show(queue)
  }

  #timing(labels: Labels): Timing {
    const delay = labels['delay']
    const priority = labels['priority']
    if (delay === undefined && priority === undefined) return NO_TIMING
    const timing: { deliverAt?: number; priority?: number } = {}
    const seconds = numberLabel('delay', delay)
    if (seconds !== undefined && seconds < 0) {
      throw new MessageError('KIQ_LABEL_INVALID', `Label "delay" is ${seconds} seconds. Use 0 or more.`)
    }
    if (seconds !== undefined && seconds > 0) {
      this.#requireDelays()
      timing.deliverAt = this.#parts.clock.now() + Math.round(seconds * 1000)
    }
    const rank = numberLabel('priority', priority)
    // A transport without priorities delivers in order, as Taskiq's brokers do with this label.
    if (rank !== undefined && this.#parts.transport.capabilities.priorities) timing.priority = Math.trunc(rank)
    return timing
  }

  #requireDelays(): void {
    const { transport, scheduleSource } = this.#parts
    if (transport.capabilities.delays || scheduleSource() !== undefined) return
    throw new ConfigError(
      'KIQ_UNSUPPORTED',
      `The transport "${transport.name}" cannot send with a delay. Use a transport that delays, or give the broker a ` +
        'source for what waits, with `withScheduleSource()`, and run a scheduler on it.',
    )
  }

  /** Hooks after a send. @returns The error as the caller sees it. */
  async #finish(message: TaskMessage, error: Error | undefined): Promise<Error | undefined> {
    if (error === undefined) {
      await this.sent(message)
      return undefined
    }
    const { middlewares, logger } = this.#parts
    if (middlewares.with('sendFailed').length > 0) await middlewares.notify('sendFailed', message, error, logger())
    return this.#sendError(error, message)
  }

  #sendError(error: Error, { taskName, taskId }: TaskMessage): Error {
    if (KiqError.is(error)) return error
    return new BrokerError(
      'KIQ_SEND_FAILED',
      `Task "${taskName}" (${taskId}) was not sent: the transport "${this.#parts.transport.name}" answered ` +
        `"${error.message}". Check that it can be reached, then send again.`,
      { cause: error },
    )
  }

  async #flush(messages: readonly WireMessage[]): Promise<readonly (Error | undefined)[]> {
    const { transport, sendTimeoutMs } = this.#parts
    const stop = new AbortController()
    let timer: NodeJS.Timeout | undefined
    try {
      await Promise.race([
        transport.send(messages, { signal: stop.signal }),
        new Promise<never>((_resolve, reject) => {
          timer = setTimeout(
            () => {
              const error = this.#timedOut(sendTimeoutMs)
              stop.abort(error)
              reject(error)
            },
            Math.min(sendTimeoutMs, MAX_TIMER_MS),
          )
        }),
      ])
      return []
    } catch (error) {
      if (!(error instanceof PartialSendError)) throw error
      return messages.map((_message, i) => {
        return error.failures.has(i) ? asError(error.failures.get(i)) : undefined
      })
    } finally {
      clearTimeout(timer)
    }
  }

  #timedOut(ms: number): BrokerError {
    return new BrokerError(
      'KIQ_SEND_TIMED_OUT',
      `The transport "${this.#parts.transport.name}" did not accept the message within ${ms} ms (sendTimeout). ` +
        'It may or may not have been stored. Check that the engine can be reached.',
    )
  }
}

/** A label that holds a number, also as text: schedules written by Python carry numbers as text. */
export function numberLabel(name: string, value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  const number = typeof value === 'number' ? value : Number(value)
  if (Number.isFinite(number) && value !== '') return number
  throw new MessageError('KIQ_LABEL_INVALID', `Label "${name}" is ${show(value)}. Use a number.`)
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
