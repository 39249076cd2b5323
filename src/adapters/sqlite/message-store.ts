import type { Body, SendOnce, WireMessage } from '../../contract/index.ts'
import type { SqliteStatement } from './client.ts'
import type { Database } from './database.ts'
import { SqliteDelivery } from './delivery.ts'
import type { ClaimedRow } from './delivery.ts'

/** Delayed messages that become ready in one transaction. */
const PROMOTE_BATCH = 500

const FENCE = 'id = ? AND owner = ? AND attempt = ?'

/** The statements on `messages`, to be called in {@link Database.write} or {@link Database.read}. */
export class MessageStore {
  readonly #insert: SqliteStatement
  readonly #insertDelayed: SqliteStatement
  readonly #sendOnce: SqliteStatement
  readonly #hasReady: SqliteStatement
  readonly #nextReadyAt: SqliteStatement
  readonly #promote: SqliteStatement
  readonly #claim: SqliteStatement
  readonly #remove: SqliteStatement
  readonly #release: SqliteStatement
  readonly #requeue: SqliteStatement
  readonly #bury: SqliteStatement
  readonly #free: SqliteStatement

  constructor(database: Database) {
    const prepare = (sql: string): SqliteStatement => database.prepare(sql)
    this.#insert = prepare(
      `INSERT INTO messages (queue, priority, state, attempt, task_id, task_name, body) VALUES (?, ?, 0, 0, ?, ?, ?)`,
    )
    this.#insertDelayed = prepare(
      `INSERT INTO messages (queue, priority, state, attempt, task_id, task_name, body, ready_at)
      VALUES (?, ?, 2, 0, ?, ?, ?, ?)`,
    )
    this.#sendOnce = prepare(
      `INSERT INTO sent_once (key, at, expires_at) VALUES (?, ?, ?)
      ON CONFLICT (key) DO UPDATE SET at = excluded.at, expires_at = excluded.expires_at
      WHERE sent_once.at < excluded.at OR sent_once.expires_at <= ?
      RETURNING 1`,
    )
    this.#hasReady = prepare('SELECT 1 FROM messages WHERE state = 0 AND queue = ? LIMIT 1')
    this.#nextReadyAt = prepare('SELECT min(ready_at) AS at FROM messages WHERE state = 2')
    this.#promote = prepare(
      `UPDATE messages SET state = 0, ready_at = NULL WHERE id IN (
        SELECT id FROM messages WHERE state = 2 AND ready_at <= ? ORDER BY ready_at LIMIT ${PROMOTE_BATCH})`,
    )
    this.#claim = prepare(
      `UPDATE messages SET state = 1, owner = ?, attempt = attempt + 1 WHERE id IN (
        SELECT id FROM messages WHERE state = 0 AND queue = ? ORDER BY priority DESC, id LIMIT ?)
      RETURNING id, attempt, priority, task_id, body`,
    )
    this.#remove = prepare(`DELETE FROM messages WHERE ${FENCE}`)
    this.#release = prepare(`UPDATE messages SET state = 0, owner = NULL, attempt = attempt - 1 WHERE ${FENCE}`)
    // A new id: behind what waits already, so that what is requeued at once does not spin at the front.
    this.#requeue = prepare(
      `INSERT INTO messages (queue, priority, state, attempt, task_id, task_name, body)
      SELECT queue, priority, 0, attempt, task_id, task_name, body FROM messages WHERE ${FENCE}`,
    )
    this.#bury = prepare(
      `INSERT INTO dead_letters (queue, priority, task_id, task_name, body, attempt, reason, died_at, expires_at)
      SELECT queue, priority, task_id, coalesce(?, task_name), body, attempt, ?, ?, ? FROM messages WHERE ${FENCE}`,
    )
    this.#free = prepare('UPDATE messages SET state = 0, owner = NULL WHERE state = 1 AND owner = ?')
  }

  /** As `insert`, unless it is to be sent once and was sent. */
  send(message: WireMessage): void {
    if (message.once === undefined || this.#isNew(message.queue, message.once)) this.insert(message)
  }

  insert({ queue, priority = 0, taskId, taskName, body, deliverAt }: WireMessage): void {
    if (deliverAt === undefined) this.#insert.run(queue, priority, taskId, taskName, storable(body))
    else this.#insertDelayed.run(queue, priority, taskId, taskName, storable(body), deliverAt)
  }

  /** Whether to send a message that is sent once; if so, its key is remembered. */
  #isNew(queue: string, { key, at, ttlMs }: SendOnce): boolean {
    const now = Date.now()
    return this.#sendOnce.get(JSON.stringify([queue, key]), Math.ceil(at), Math.ceil(now + ttlMs), now) !== undefined
  }

  hasReady(queue: string): boolean {
    return this.#hasReady.get(queue) !== undefined
  }

  /** When the next delayed message becomes ready, in milliseconds since the epoch. */
  nextReadyAt(): number | undefined {
    return (this.#nextReadyAt.get() as { readonly at: number | null }).at ?? undefined
  }

  /** Makes delayed messages ready whose time has come, some hundreds at most. */
  promote(now: number): void {
    this.#promote.run(now)
  }

  claim(queue: string, session: number, max: number): SqliteDelivery[] {
    const rows = this.#claim.all(session, queue, max) as ClaimedRow[]
    // RETURNING promises no order.
    rows.sort((a, b) => b.priority - a.priority || a.id - b.id)
    return rows.map((row) => new SqliteDelivery(row, queue, session))
  }

  /** @returns Whether the lease was still held, here as in the next three. */
  remove({ id, session, attempt }: SqliteDelivery): boolean {
    return this.#remove.run(id, session, attempt).changes > 0
  }

  release({ id, session, attempt }: SqliteDelivery): boolean {
    return this.#release.run(id, session, attempt).changes > 0
  }

  requeue(delivery: SqliteDelivery): boolean {
    const { id, session, attempt } = delivery
    return this.#requeue.run(id, session, attempt).changes > 0 && this.remove(delivery)
  }

  bury(delivery: SqliteDelivery, death: Death): boolean {
    const { id, session, attempt } = delivery
    const { taskName = null, reason, now, ttlMs } = death
    return this.#bury.run(taskName, reason, now, now + ttlMs, id, session, attempt).changes > 0 && this.remove(delivery)
  }

  /** Makes everything ready that a session holds; the attempts count. Returns how many. */
  free(session: number): number {
    return Number(this.#free.run(session).changes)
  }
}

/** Why and when a message is given up. */
export interface Death {
  readonly reason: string
  readonly taskName?: string | undefined
  readonly now: number
  /** How long the dead letter is kept. */
  readonly ttlMs: number
}

/** A body as it can be stored. Some drivers cut text at NUL when they read it; bytes are safe. */
export function storable(body: Body): Body {
  return typeof body === 'string' && body.includes('\0') ? Buffer.from(body) : body
}
