import type { CancelOutcome } from '../../contract/index.ts'
import { Coalescer } from '../../util/coalescer.ts'
import type { Database } from './database.ts'
import type { SqliteDelivery } from './delivery.ts'

/** Rows looked at in one go: about a millisecond. */
const SCAN_CHUNK = 5_000
const MAX_BATCH = 1_000
/** Requests that nobody could act on are forgotten after this. */
const KEEP_MS = 24 * 60 * 60 * 1000
/** Time between two looks for requests. */
const WATCH_MS = 20

interface Found {
  readonly id: number
  readonly task_id: string
}

/**
 * Takes queued tasks from their queue and asks workers to stop running ones.
 *
 * There is no index on the task id (see `schema.ts`), so a batch of requests costs one pass over the waiting messages, in
 * short steps: some 25 ms per 100,000 of them. Requests of one turn of the event loop share a pass.
 */
export class Canceller {
  readonly #database: Database
  readonly #requests: Coalescer<string, CancelOutcome>

  constructor(database: Database) {
    this.#database = database
    this.#requests = new Coalescer((taskIds) => this.#cancelAll(taskIds), MAX_BATCH)
  }

  async cancel(taskId: string): Promise<CancelOutcome> {
    const [outcome = 'unknown'] = await this.#requests.add([taskId])
    return outcome
  }

  async #cancelAll(taskIds: readonly string[]): Promise<CancelOutcome[]> {
    const wanted = JSON.stringify(taskIds)
    const found: Found[] = []
    let after = 0
    for (;;) {
      const end = await this.#database.read(() => this.#chunkEnd(after))
      if (end === undefined) break
      const from = after
      found.push(...(await this.#database.read(() => this.#scan(wanted, from, end))))
      after = end
      await new Promise((resolve) => setImmediate(resolve))
    }
    const outcomes = await this.#database.write(() => {
      // A retry moves a message to a higher id: behind where the pass has been, never before it.
      const late = this.#scan(wanted, after, Number.MAX_SAFE_INTEGER)
      return this.#act([...found, ...late], Date.now())
    })
    return taskIds.map((taskId) => outcomes.get(taskId) ?? 'unknown')
  }

  /** Last id of the next chunk; `undefined` when what is left is less than one. */
  #chunkEnd(after: number): number | undefined {
    const row = this.#database
      .prepare(`SELECT id FROM messages WHERE id > ? ORDER BY id LIMIT 1 OFFSET ${SCAN_CHUNK}`)
      .get(after)
    return (row as { readonly id: number } | undefined)?.id
  }

  #scan(wanted: string, after: number, end: number): Found[] {
    return this.#database
      .prepare(
        `SELECT id, task_id FROM messages NOT INDEXED
        WHERE id > ? AND id <= ? AND task_id IN (SELECT value FROM json_each(?))`,
      )
      .all(after, end, wanted) as Found[]
  }

  #act(found: readonly Found[], now: number): Map<string, CancelOutcome> {
    const stateOf = this.#database.prepare('SELECT state FROM messages WHERE id = ?')
    const remove = this.#database.prepare('DELETE FROM messages WHERE id = ?')
    const request = this.#database.prepare('INSERT OR REPLACE INTO cancellations (task_id, expires_at) VALUES (?, ?)')
    const outcomes = new Map<string, CancelOutcome>()
    for (const { id, task_id: taskId } of found) {
      const row = stateOf.get(id) as { readonly state: number } | undefined
      if (row === undefined) continue
      if (row.state === 1) {
        request.run(taskId, now + KEEP_MS)
        outcomes.set(taskId, 'requested')
      } else {
        remove.run(id)
        if (outcomes.get(taskId) !== 'requested') outcomes.set(taskId, 'removed')
      }
    }
    return outcomes
  }
}

/**
 * Tells a worker which of the tasks that it holds should stop. Says so again and again until they are settled: whoever
 * holds a delivery may not have begun to run it. Looks only while something is held.
 */
export class CancelWatch {
  readonly #database: Database
  readonly #held: ReadonlySet<SqliteDelivery>
  readonly #onCancel: (taskId: string) => void
  readonly #requested = new Set<string>()
  #lastSeq = 0
  #timer: NodeJS.Timeout | undefined

  constructor(database: Database, held: ReadonlySet<SqliteDelivery>, onCancel: (taskId: string) => void) {
    this.#database = database
    this.#held = held
    this.#onCancel = onCancel
  }

  /** Finds earlier requests for what is being claimed. To be called in the transaction that claims. */
  requestsFor(claimed: readonly SqliteDelivery[]): string[] {
    if (!hasRequests(this.#database)) return []
    const rows = this.#database
      .prepare('SELECT task_id FROM cancellations WHERE task_id IN (SELECT value FROM json_each(?))')
      .all(JSON.stringify(claimed.map((delivery) => delivery.taskId)))
    return (rows as { readonly task_id: string }[]).map((row) => row.task_id)
  }

  /** Something is held now; these of it should stop. */
  watch(requested: readonly string[]): void {
    for (const taskId of requested) this.#requested.add(taskId)
    if (this.#timer !== undefined) return
    this.#timer = setInterval(this.#look, WATCH_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  readonly #look = (): void => {
    if (this.#held.size === 0) {
      this.#requested.clear()
      this.stop()
      return
    }
    const fresh = this.#readNew()
    if (fresh.length === 0 && this.#requested.size === 0) return
    const heldIds = new Set(Array.from(this.#held, (delivery) => delivery.taskId))
    for (const taskId of new Set([...this.#requested, ...fresh])) {
      if (!heldIds.has(taskId)) {
        this.#requested.delete(taskId)
        continue
      }
      this.#requested.add(taskId)
      this.#onCancel(taskId)
    }
  }

  #readNew(): string[] {
    try {
      const rows = this.#database
        .prepare('SELECT seq, task_id FROM cancellations WHERE seq > ? ORDER BY seq')
        .all(this.#lastSeq) as { readonly seq: number; readonly task_id: string }[]
      this.#lastSeq = rows.at(-1)?.seq ?? this.#lastSeq
      return rows.map((row) => row.task_id)
    } catch {
      // Locked for a moment, or the disk fails: `receive` and `settle` say so. The next look finds the same rows.
      return []
    }
  }
}

/** Forgets requests for tasks that have ended: an id may be used again. To be called in the transaction that settles. */
export function forgetRequests(database: Database, taskIds: readonly string[]): void {
  if (taskIds.length === 0 || !hasRequests(database)) return
  database
    .prepare('DELETE FROM cancellations WHERE task_id IN (SELECT value FROM json_each(?))')
    .run(JSON.stringify(taskIds))
}

function hasRequests(database: Database): boolean {
  return database.prepare('SELECT 1 FROM cancellations LIMIT 1').get() !== undefined
}
