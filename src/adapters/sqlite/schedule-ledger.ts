import { resumedState } from '../../contract/index.ts'
import type { FiredState, ScheduleLead, ScheduleLedger, ScheduleState } from '../../contract/index.ts'
import type { Database } from './database.ts'

interface StateRow {
  readonly id: string
  readonly fired_at: number | null
  readonly task_id: string | null
  readonly seen_at: number | null
  readonly is_paused: number
}

/** Lets schedulers that watch the file look again; to be called in a transaction. */
export function noteScheduleChange(database: Database): void {
  database.prepare('UPDATE schedule_changes SET number = number + 1').run()
}

/** What the schedulers of all processes share that open the file. By the clock of the machine. */
export class SqliteScheduleLedger implements ScheduleLedger {
  readonly #database: () => Database

  constructor(database: () => Database) {
    this.#database = database
  }

  async lead(name: string, holder: string, ttlMs: number): Promise<number> {
    const database = this.#database()
    const find = database.prepare('SELECT holder, expires_at AS until FROM schedule_leads WHERE name = ?')
    const take = database.prepare('INSERT OR REPLACE INTO schedule_leads (name, holder, expires_at) VALUES (?, ?, ?)')
    const forget = database.prepare('DELETE FROM schedule_leads WHERE expires_at < ?')
    return await database.write(() => {
      const now = Date.now()
      const lead = find.get(name) as { readonly holder: string; readonly until: number } | undefined
      // Longer than anybody's lease: the clock was set back.
      const leftMs = lead === undefined || lead.until - now > MAX_TTL_MS ? 0 : lead.until - now
      if (lead !== undefined && lead.holder !== holder && leftMs > 0) return leftMs
      take.run(name, holder, Math.ceil(now + Math.min(ttlMs, MAX_TTL_MS)))
      // Names that nobody uses any more.
      if (lead?.holder !== holder) forget.run(now - MAX_TTL_MS)
      return 0
    })
  }

  async resign(name: string, holder: string): Promise<void> {
    const database = this.#database()
    const remove = database.prepare('DELETE FROM schedule_leads WHERE name = ? AND holder = ?')
    await database.write(() => {
      if (Number(remove.run(name, holder).changes) > 0) noteScheduleChange(database)
    })
  }

  async load(group: string): Promise<ReadonlyMap<string, ScheduleState>> {
    const database = this.#database()
    const select = database.prepare(
      'SELECT schedule_id AS id, fired_at, task_id, seen_at, is_paused FROM schedule_states WHERE name = ?',
    )
    const rows = await database.read(() => select.all(group) as readonly StateRow[])
    return new Map(rows.map((row) => [row.id, stateOf(row)]))
  }

  async save(
    group: string,
    { name, holder }: ScheduleLead,
    changes: ReadonlyMap<string, FiredState | undefined>,
  ): Promise<boolean> {
    const database = this.#database()
    const leads = database.prepare('SELECT 1 FROM schedule_leads WHERE name = ? AND holder = ? AND expires_at > ?')
    const put = database.prepare(
      `INSERT INTO schedule_states (name, schedule_id, fired_at, task_id, seen_at) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (name, schedule_id) DO UPDATE
      SET fired_at = excluded.fired_at, task_id = excluded.task_id, seen_at = excluded.seen_at`,
    )
    const remove = database.prepare('DELETE FROM schedule_states WHERE name = ? AND schedule_id = ?')
    return await database.write(() => {
      if (leads.get(name, holder, Date.now()) === undefined) return false
      for (const [id, change] of changes) {
        if (change === undefined) remove.run(group, id)
        else put.run(group, id, change.firedAt ?? null, change.taskId ?? null, change.seenAt ?? null)
      }
      return true
    })
  }

  async pause(group: string, scheduleId: string): Promise<void> {
    const database = this.#database()
    const put = database.prepare(
      `INSERT INTO schedule_states (name, schedule_id, is_paused) VALUES (?, ?, 1)
      ON CONFLICT (name, schedule_id) DO UPDATE SET is_paused = 1`,
    )
    await database.write(() => {
      put.run(group, scheduleId)
      noteScheduleChange(database)
    })
  }

  async resume(group: string, scheduleId: string, since?: number): Promise<void> {
    const database = this.#database()
    const find = database.prepare(
      'SELECT schedule_id AS id, fired_at, task_id, seen_at, is_paused FROM schedule_states WHERE name = ? AND schedule_id = ?',
    )
    const change = database.prepare(
      'UPDATE schedule_states SET is_paused = 0, fired_at = ?, seen_at = ? WHERE name = ? AND schedule_id = ?',
    )
    await database.write(() => {
      const row = find.get(group, scheduleId) as StateRow | undefined
      if (row) {
        const { firedAt, seenAt } = resumedState(stateOf(row), since)
        change.run(firedAt ?? null, seenAt ?? null, group, scheduleId)
      }
      noteScheduleChange(database)
    })
  }
}

/** A day: nobody's lease is longer. */
const MAX_TTL_MS = 86_400_000

function stateOf({
  fired_at: firedAt,
  task_id: taskId,
  seen_at: seenAt,
  is_paused: isPaused,
}: StateRow): ScheduleState {
  return {
    ...(firedAt === null ? {} : { firedAt }),
    ...(taskId === null ? {} : { taskId }),
    ...(seenAt === null ? {} : { seenAt }),
    isPaused: isPaused === 1,
  }
}
