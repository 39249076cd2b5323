import type { Body, ResultRecord } from '../../contract/index.ts'
import type { SqliteStatement } from './client.ts'
import type { Database } from './database.ts'
import { storable } from './message-store.ts'

/** A stored result and its place in the order of commits. */
export interface ResultRow {
  readonly seq: number
  readonly task_id: string
  readonly body: Body
}

/** The statements on `results` and `progress`, to be called in {@link Database.write} or {@link Database.read}. */
export class ResultStore {
  readonly #save: SqliteStatement
  readonly #find: SqliteStatement
  readonly #forget: SqliteStatement
  readonly #lastSeq: SqliteStatement
  readonly #after: SqliteStatement
  readonly #afterWithBodies: SqliteStatement
  readonly #bodyOf: SqliteStatement
  readonly #saveProgress: SqliteStatement
  readonly #findProgress: SqliteStatement
  readonly #forgetProgress: SqliteStatement

  constructor(database: Database) {
    const prepare = (sql: string): SqliteStatement => database.prepare(sql)
    // REPLACE deletes the old row: the new one gets a `seq` above all others, which is how waiters notice it.
    this.#save = prepare('INSERT OR REPLACE INTO results (task_id, body, expires_at) VALUES (?, ?, ?)')
    this.#find = prepare(
      `SELECT seq, task_id, body FROM results WHERE task_id IN (SELECT value FROM json_each(?))
      AND (expires_at IS NULL OR expires_at > ?)`,
    )
    this.#forget = prepare('DELETE FROM results WHERE task_id IN (SELECT value FROM json_each(?))')
    this.#lastSeq = prepare('SELECT max(seq) AS seq FROM results')
    this.#after = prepare('SELECT seq, task_id FROM results WHERE seq > ? ORDER BY seq LIMIT ?')
    this.#afterWithBodies = prepare('SELECT seq, task_id, body FROM results WHERE seq > ? ORDER BY seq LIMIT ?')
    this.#bodyOf = prepare('SELECT body FROM results WHERE seq = ?')
    this.#saveProgress = prepare('INSERT OR REPLACE INTO progress (task_id, body, expires_at) VALUES (?, ?, ?)')
    this.#findProgress = prepare(
      'SELECT body FROM progress WHERE task_id = ? AND (expires_at IS NULL OR expires_at > ?)',
    )
    this.#forgetProgress = prepare('DELETE FROM progress WHERE task_id IN (SELECT value FROM json_each(?))')
  }

  save({ taskId, body, ttlMs }: ResultRecord, now: number): void {
    this.#save.run(taskId, storable(body), ttlMs === undefined ? null : now + ttlMs)
  }

  find(taskIds: readonly string[], now: number): ResultRow[] {
    return this.#find.all(JSON.stringify(taskIds), now) as ResultRow[]
  }

  forget(taskIds: readonly string[]): void {
    const ids = JSON.stringify(taskIds)
    this.#forget.run(ids)
    this.#forgetProgress.run(ids)
  }

  lastSeq(): number {
    return (this.#lastSeq.get() as { readonly seq: number | null }).seq ?? 0
  }

  /** What was saved after `seq`, oldest first. */
  after(seq: number, limit: number): Pick<ResultRow, 'seq' | 'task_id'>[] {
    return this.#after.all(seq, limit) as ResultRow[]
  }

  /** The same at once with the bodies: half the cost when most are wanted, a waste when they are not. */
  afterWithBodies(seq: number, limit: number): ResultRow[] {
    return this.#afterWithBodies.all(seq, limit) as ResultRow[]
  }

  bodyOf(seq: number): Body | undefined {
    return (this.#bodyOf.get(seq) as { readonly body: Body } | undefined)?.body
  }

  saveProgress({ taskId, body, ttlMs }: ResultRecord, now: number): void {
    this.#saveProgress.run(taskId, storable(body), ttlMs === undefined ? null : now + ttlMs)
  }

  findProgress(taskId: string, now: number): Body | undefined {
    return (this.#findProgress.get(taskId, now) as { readonly body: Body } | undefined)?.body
  }
}
