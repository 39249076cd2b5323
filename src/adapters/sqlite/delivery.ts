import { BrokerError } from '../../contract/index.ts'
import type { Body, Delivery } from '../../contract/index.ts'

/** A row of `messages` as a claim returns it. */
export interface ClaimedRow {
  readonly id: number
  readonly attempt: number
  readonly priority: number
  readonly task_id: string
  readonly body: Body
}

/** A claimed message. `id`, `session` and `attempt` together are its fencing token. */
export class SqliteDelivery implements Delivery {
  readonly body: Body
  readonly queue: string
  readonly attempt: number
  readonly taskId: string
  readonly id: number
  /** Row of `sessions` that holds it. */
  readonly session: number

  constructor(row: ClaimedRow, queue: string, session: number) {
    this.body = row.body
    this.queue = queue
    this.attempt = row.attempt
    this.taskId = row.task_id
    this.id = row.id
    this.session = session
  }

  /** @throws {BrokerError} `KIQ_TRANSPORT_FAILED` for objects that no SQLite transport made. */
  static of(delivery: Delivery): SqliteDelivery {
    if (delivery instanceof SqliteDelivery) return delivery
    throw new BrokerError(
      'KIQ_TRANSPORT_FAILED',
      `A delivery of queue "${delivery.queue}" is not one that SqliteTransport.receive() returned. Settle the very ` +
        'objects that it returned, not copies.',
    )
  }
}
