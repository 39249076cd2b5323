import type { Body, DeadLetter, DeadLetterFilter, DeadLetters } from '../../contract/index.ts'
import type { SqlValue } from './client.ts'
import type { Database } from './database.ts'

/** Letters per transaction. */
const BATCH = 500

interface DeadLetterRow {
  readonly id: number
  readonly queue: string
  readonly task_id: string
  readonly task_name: string
  readonly body: Body
  readonly attempt: number
  readonly reason: string
  readonly died_at: number
}

/** The dead letters of a SQLite file. */
export class SqliteDeadLetters implements DeadLetters {
  readonly #database: () => Database

  /** @param database - Throws while the transport is not started. */
  constructor(database: () => Database) {
    this.#database = database
  }

  async list(filter: DeadLetterFilter = {}): Promise<readonly DeadLetter[]> {
    const database = this.#database()
    const { where, parameters } = conditionOf(filter)
    const rows = await database.read(() =>
      database
        .prepare(`SELECT * FROM dead_letters WHERE ${where} ORDER BY id DESC LIMIT ?`)
        .all(...parameters, filter.limit ?? -1),
    )
    return (rows as DeadLetterRow[]).map((row) => ({
      id: String(row.id),
      queue: row.queue,
      taskId: row.task_id,
      taskName: row.task_name,
      body: row.body,
      attempt: row.attempt,
      reason: row.reason,
      diedAt: row.died_at,
    }))
  }

  async retry(filter: DeadLetterFilter = {}): Promise<number> {
    return await this.#inBatches(filter, (database, ids) => {
      database
        .prepare(
          `INSERT INTO messages (queue, priority, state, attempt, task_id, task_name, body)
          SELECT queue, priority, 0, 0, task_id, task_name, body FROM dead_letters
          WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id`,
        )
        .run(ids)
      remove(database, ids)
    })
  }

  async drop(filter: DeadLetterFilter = {}): Promise<number> {
    return await this.#inBatches(filter, remove)
  }

  /** Newest first, as `list` shows them, but none that died after the call. */
  async #inBatches(filter: DeadLetterFilter, act: (database: Database, ids: string) => void): Promise<number> {
    const database = this.#database()
    const { where, parameters } = conditionOf(filter)
    const select = database.prepare(`SELECT id FROM dead_letters WHERE id < ? AND ${where} ORDER BY id DESC LIMIT ?`)
    const newest = database.prepare('SELECT max(id) AS id FROM dead_letters')
    const last = await database.read(() => (newest.get() as { readonly id: number | null }).id)
    let before = (last ?? 0) + 1
    let count = 0
    for (;;) {
      const below = before
      const batch = Math.min(BATCH, (filter.limit ?? Infinity) - count)
      const done = await database.write(() => {
        const ids = (select.all(below, ...parameters, batch) as { readonly id: number }[]).map((row) => row.id)
        if (ids.length > 0) act(database, JSON.stringify(ids))
        return ids
      })
      count += done.length
      before = done.at(-1) ?? 0
      if (done.length < batch || batch === 0) return count
    }
  }
}

function remove(database: Database, ids: string): void {
  database.prepare('DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))').run(ids)
}

interface Condition {
  readonly where: string
  readonly parameters: SqlValue[]
}

/** One of eight texts, so that the statements are few. */
function conditionOf({ ids, queue, taskId }: DeadLetterFilter): Condition {
  const parts: string[] = []
  const parameters: SqlValue[] = []
  if (ids !== undefined) {
    parts.push('id IN (SELECT value FROM json_each(?))')
    // Other texts than ours name no letter.
    parameters.push(JSON.stringify(ids.filter((id) => /^\d{1,15}$/.test(id)).map(Number)))
  }
  if (queue !== undefined) {
    parts.push('queue = ?')
    parameters.push(queue)
  }
  if (taskId !== undefined) {
    parts.push('task_id = ?')
    parameters.push(taskId)
  }
  return { where: parts.join(' AND ') || 'TRUE', parameters }
}
