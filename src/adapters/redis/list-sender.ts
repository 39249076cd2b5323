import type { WireMessage } from '../../contract/index.ts'
import type { RedisArgument } from './client.ts'
import { argumentOf } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { bodyTells } from './delivery.ts'
import { LIST_QUEUES_KEY } from './keys.ts'
import type { QueueKeys } from './keys.ts'
import type { Sender } from './layout.ts'
import type { Promoter } from './promoter.ts'
import { SEND_ONCE_TO_LIST, SEND_TO_LIST } from './scripts/list-messages.ts'
import { sendByQueue } from './send-by-queue.ts'
import { hasOnce, onceArguments, onceKeys } from './send-once.ts'

export interface ListSenderParts {
  readonly connection: RedisConnection
  readonly keysOf: (queue: string) => QueueKeys
  readonly promoter: Promoter
}

const MAX_DECLARED = 10_000

/** Puts messages on their lists; those with a time where they wait for it. */
export class ListSender implements Sender {
  readonly #parts: ListSenderParts
  /** Queues that others can find. */
  readonly #declared = new Set<string>()

  constructor(parts: ListSenderParts) {
    this.#parts = parts
  }

  async declare(queue: string): Promise<void> {
    if (this.#declared.has(queue)) return
    await this.#parts.connection.call('SADD', LIST_QUEUES_KEY, queue)
    if (this.#declared.size >= MAX_DECLARED) this.#declared.clear()
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
    const { connection, keysOf } = this.#parts
    const { delayed, sequence, attempts, ids, once } = keysOf(queue)
    await connection.run(
      SEND_ONCE_TO_LIST,
      [queue, delayed, sequence, attempts, ids, ...onceKeys(once, messages)],
      messages.flatMap((message) => [...listArguments(message), ...onceArguments(message)]),
    )
    this.#note(queue, messages)
  }

  /** Nobody else may be there to move them. */
  #note(queue: string, messages: readonly WireMessage[]): void {
    for (const { deliverAt } of messages) if (deliverAt !== undefined) this.#parts.promoter.note(queue, deliverAt)
  }

  async #sendAll(queue: string, messages: readonly WireMessage[]): Promise<void> {
    const { connection, keysOf } = this.#parts
    if (messages.every(({ deliverAt, body, taskId }) => deliverAt === undefined && bodyTells(body, taskId))) {
      await connection.call('LPUSH', queue, ...messages.map(({ body }) => argumentOf(body)))
      return
    }
    const { delayed, sequence, attempts, ids } = keysOf(queue)
    await connection.run(
      SEND_TO_LIST,
      [queue, delayed, sequence, attempts, ids],
      messages.flatMap((message) => listArguments(message)),
    )
    this.#note(queue, messages)
  }
}

/** Time, id where the body does not tell, body: as the scripts take a message. */
export function listArguments({ deliverAt, body, taskId }: WireMessage): readonly RedisArgument[] {
  const id = bodyTells(body, taskId) ? '' : taskId
  return [deliverAt === undefined ? '' : Math.ceil(deliverAt), id, argumentOf(body)]
}
