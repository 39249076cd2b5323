import type { WireMessage } from '../../contract/index.ts'
import type { RedisArgument } from './client.ts'
import { argumentOf } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { bodyTells } from './delivery.ts'
import type { QueueKeys } from './keys.ts'
import { QUEUES_KEY } from './keys.ts'
import type { Promoter } from './promoter.ts'
import { ADD_ENTRIES, SEND_ONCE, SEND_TIMED } from './scripts/send.ts'
import { sendByQueue } from './send-by-queue.ts'
import { hasOnce, onceArguments, onceKeys } from './send-once.ts'
import type { StreamSettings } from './stream-options.ts'
import { textOf } from './failure.ts'

export interface StreamSenderParts {
  readonly connection: RedisConnection
  readonly settings: StreamSettings
  readonly keysOf: (queue: string) => QueueKeys
  readonly promoter: Promoter
}

/** Puts messages on their streams; those with a time or a priority where they wait for it. */
export class StreamSender {
  readonly #parts: StreamSenderParts
  /** Queues whose group is there and which others can find. */
  readonly #declared = new Set<string>()

  constructor(parts: StreamSenderParts) {
    this.#parts = parts
  }

  /** Before the first message: a group that Python makes later would not see it. */
  async declare(queue: string): Promise<void> {
    if (this.#declared.has(queue)) return
    const { connection, settings } = this.#parts
    try {
      await connection.call('XGROUP', 'CREATE', queue, settings.group, settings.groupStart, 'MKSTREAM')
    } catch (error) {
      if (!textOf(error).includes('BUSYGROUP')) throw error
    }
    await connection.call('SADD', QUEUES_KEY, queue)
    if (this.#declared.size >= 10_000) this.#declared.clear()
    this.#declared.add(queue)
  }

  /** Sends; what is not accepted for want of a connection is tried again until `signal` aborts. */
  async send(messages: readonly WireMessage[], signal: AbortSignal | undefined): Promise<void> {
    await sendByQueue(this.#parts.connection, messages, (queue, group) => this.#sendTo(queue, group), signal)
  }

  async #sendTo(queue: string, messages: readonly WireMessage[]): Promise<void> {
    if (!this.#declared.has(queue)) await this.declare(queue)
    if (hasOnce(messages)) await this.#sendOnce(queue, messages)
    else await this.#sendAll(queue, messages)
  }

  async #sendOnce(queue: string, messages: readonly WireMessage[]): Promise<void> {
    const { connection, settings, keysOf } = this.#parts
    const { leases, wake, delayed, priority, sequence, once } = keysOf(queue)
    const args = messages.flatMap((message) => [...timedArguments(message), ...onceArguments(message)])
    await connection.run(
      SEND_ONCE,
      [queue, leases, wake, delayed, priority, sequence, ...onceKeys(once, messages)],
      [settings.group, settings.maxLength, ...args],
    )
    this.#note(queue, messages)
  }

  /** Delayed and prioritized messages may have nobody else to move them. */
  #note(queue: string, messages: readonly WireMessage[]): void {
    const { promoter } = this.#parts
    for (const { deliverAt } of messages) if (deliverAt !== undefined) promoter.note(queue, deliverAt)
    if (messages.some(({ priority }) => priority)) promoter.watch(queue)
  }

  async #sendAll(queue: string, messages: readonly WireMessage[]): Promise<void> {
    const { connection, settings, keysOf } = this.#parts
    const isPlain = messages.every(({ deliverAt, priority }) => deliverAt === undefined && !priority)
    if (!isPlain) {
      const { leases, wake, delayed, priority, sequence } = keysOf(queue)
      const args = [settings.group, ...messages.flatMap(timedArguments)]
      await connection.run(SEND_TIMED, [queue, leases, wake, delayed, priority, sequence], args)
      this.#note(queue, messages)
      return
    }
    const [only] = messages
    if (messages.length === 1 && only && settings.maxLength === '' && bodyTells(only.body, only.taskId)) {
      await connection.call('XADD', queue, '*', 'data', argumentOf(only.body))
      return
    }
    const args: RedisArgument[] = [settings.maxLength]
    for (const { body, taskId } of messages) args.push(argumentOf(body), bodyTells(body, taskId) ? '' : taskId)
    await connection.run(ADD_ENTRIES, [queue], args)
  }
}

/** Time, priority, id where the body does not tell, body: as the scripts take a message. */
export function timedArguments({ deliverAt, priority, body, taskId }: WireMessage): readonly RedisArgument[] {
  const id = bodyTells(body, taskId) ? '' : taskId
  return [deliverAt === undefined ? '' : Math.ceil(deliverAt), priority ?? 0, id, argumentOf(body)]
}
