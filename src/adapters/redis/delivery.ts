import { BrokerError } from '../../contract/index.ts'
import type { Body, Delivery } from '../../contract/index.ts'
import type { Placed } from '../../util/placed-list.ts'

/** Where an entry lies: `q` the queue's own stream, `t` the stream of what had a priority. */
export type Source = 'q' | 't'

/** What the entries of one reply have in common. */
export interface DeliveryPlace {
  readonly queue: string
  readonly source: Source
  /** The session that holds it. */
  readonly consumer: string
}

/** What is known of one entry; its id and the session together are its fencing token. */
export interface DeliveryParts {
  readonly id: string
  readonly attempt: number
  readonly body: Body
  /** Of messages whose body does not tell. */
  readonly taskId: string | undefined
}

/** An entry of a stream that this process holds. */
export class RedisDelivery implements Delivery, Placed {
  readonly body: Body
  readonly queue: string
  readonly attempt: number
  readonly source: Source
  readonly id: string
  readonly consumer: string
  /** Among what this process holds. */
  place = -1
  /** The settlement that it is part of, so that none has it twice. */
  settling = 0
  readonly ownTaskId: string | undefined

  constructor(place: DeliveryPlace, { id, attempt, body, taskId }: DeliveryParts) {
    this.body = body
    this.queue = place.queue
    this.attempt = attempt
    this.source = place.source
    this.id = id
    this.consumer = place.consumer
    this.ownTaskId = taskId
  }

  /** Read from the body when somebody asks: nearly nobody does. */
  get taskId(): string | undefined {
    return this.ownTaskId ?? taskIdIn(this.body)
  }

  /** @throws {BrokerError} `KIQ_TRANSPORT_FAILED` for objects that no Redis transport made. */
  static of(delivery: Delivery): RedisDelivery {
    if (delivery instanceof RedisDelivery) return delivery
    throw new BrokerError(
      'KIQ_TRANSPORT_FAILED',
      `A delivery of queue "${delivery.queue}" is not one that receive() of this transport returned. Settle the very ` +
        'objects that it returned, not copies.',
    )
  }
}

const HEAD_BYTES = 120
const TASK_ID = /^\s*\{\s*"task_id"\s*:\s*"([^"\\]+)"/

/** The id at the beginning of a message of Taskiq in JSON. */
function taskIdIn(body: Body): string | undefined {
  const head =
    typeof body === 'string' ? body.slice(0, HEAD_BYTES) : Buffer.from(body.subarray(0, HEAD_BYTES)).toString('utf8')
  return TASK_ID.exec(head)?.[1]
}

/** Whether the scripts that look for a task find it by the body alone: see `IS_TASK`. */
export function bodyTells(body: Body, taskId: string): boolean {
  if (typeof body !== 'string') {
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    const at = bytes.indexOf('task_id')
    return at >= 0 && at < HEAD_BYTES && isNear(bytes.indexOf(taskId, at + 7), at)
  }
  // The form in which our formatter begins every message.
  if (body.startsWith(taskId, 12) && body.startsWith('{"task_id":"')) return true
  const at = body.indexOf('task_id')
  return at >= 0 && at < HEAD_BYTES && isNear(body.indexOf(taskId, at + 7), at)
}

function isNear(found: number, at: number): boolean {
  return found >= 0 && found - at - 7 <= 10
}
