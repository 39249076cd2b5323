import {
  ConfigError,
  durationOption,
  scheduleFromRecord,
  scheduleToRecord,
  silentLogger,
} from '../../contract/index.ts'
import type {
  DeleteScheduleOptions,
  Logger,
  Schedule,
  ScheduleLedger,
  WritableScheduleSource,
} from '../../contract/index.ts'
import type { Database } from './database.ts'
import { DEFAULT_BUSY_TIMEOUT_MS, synchronousOption } from './options.ts'
import type { SqliteOptions } from './options.ts'
import { resolvePath } from './open.ts'
import { noteScheduleChange, SqliteScheduleLedger } from './schedule-ledger.ts'
import { acquireDatabase } from './registry.ts'
import type { DatabaseLease } from './registry.ts'

const WATCH_MS = 250

interface Started {
  readonly lease: DatabaseLease
  readonly database: Database
  readonly logger: Logger
}

/**
 * Schedules in a SQLite file, which may be the one of the broker. Every process that opens it sees and changes the same
 * schedules. Kept as Taskiq's records, in JSON.
 */
export class SqliteScheduleSource implements WritableScheduleSource {
  /** The file: absolute, symbolic links followed. */
  readonly path: string
  readonly name: string
  readonly ledger: ScheduleLedger = new SqliteScheduleLedger(() => this.#begun().database)
  readonly #synchronous: 'normal' | 'full'
  readonly #busyTimeoutMs: number
  readonly #connection: 'process' | 'own'
  #started: Started | undefined

  /**
   * @param internal - For tests: a connection of its own, as another process would have.
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense.
   */
  constructor(options: SqliteOptions, internal: { readonly connection?: 'own' } = {}) {
    this.path = resolvePath(options.path)
    this.name = `sqlite:${this.path}`
    this.#synchronous = synchronousOption(options.synchronous)
    this.#busyTimeoutMs = durationOption('busyTimeout', options.busyTimeout, {
      fallbackMs: DEFAULT_BUSY_TIMEOUT_MS,
      minMs: 0,
    })
    this.#connection = internal.connection ?? 'process'
  }

  /** @throws {ConfigError} as `SqliteTransport.start` does. */
  async startup({ logger = silentLogger }: { readonly logger?: Logger | undefined } = {}): Promise<void> {
    if (this.#started) return
    const lease = await acquireDatabase({
      path: this.path,
      synchronous: this.#synchronous,
      busyTimeoutMs: this.#busyTimeoutMs,
      logger,
      connection: this.#connection,
    })
    this.#started = { lease, database: lease.database, logger }
  }

  async shutdown(): Promise<void> {
    const started = this.#started
    this.#started = undefined
    await started?.lease.release()
  }

  async getSchedules(): Promise<readonly Schedule[]> {
    const { database, logger } = this.#begun()
    const select = database.prepare('SELECT schedule_id AS id, record FROM schedules')
    const rows = await database.read(() => select.all() as { readonly id: string; readonly record: string }[])
    return rows.flatMap(({ id, record }) => {
      try {
        return [scheduleFromRecord(JSON.parse(record))]
      } catch (err) {
        logger.error({ err, scheduleId: id }, `Schedule "${id}" cannot be read and is left out.`)
        return []
      }
    })
  }

  async addSchedule(schedule: Schedule): Promise<void> {
    const record = JSON.stringify(scheduleToRecord(schedule))
    const { database } = this.#begun()
    const replace = database.prepare('INSERT OR REPLACE INTO schedules (schedule_id, record) VALUES (?, ?)')
    await database.write(() => {
      replace.run(schedule.scheduleId, record)
      noteScheduleChange(database)
    })
  }

  async deleteSchedule(scheduleId: string, { ifTime }: DeleteScheduleOptions = {}): Promise<void> {
    const { database } = this.#begun()
    const find = database.prepare('SELECT record FROM schedules WHERE schedule_id = ?')
    const remove = database.prepare('DELETE FROM schedules WHERE schedule_id = ?')
    const isAt = (time: number): boolean => {
      const row = find.get(scheduleId) as { readonly record: string } | undefined
      return row !== undefined && scheduleFromRecord(JSON.parse(row.record)).time === time
    }
    await database.write(() => {
      if (ifTime !== undefined && !isAt(ifTime)) return
      remove.run(scheduleId)
      noteScheduleChange(database)
    })
  }

  /** Looks four times a second; that costs microseconds. Does not keep the process alive. */
  watch(listener: () => void): () => void {
    const { logger } = this.#begun()
    let known: number | 'unknown' | undefined
    let isOver = false
    const look = async (): Promise<void> => {
      const seen = await this.#countChanges()
      const isNews = known !== undefined && seen !== 'unknown' && seen !== known
      // Until a first look that failed has been made up for, there may have been changes.
      if (known === undefined || seen !== 'unknown') known = seen
      if (!isNews || isOver) return
      try {
        listener()
      } catch (err) {
        logger.error({ err }, 'A listener for changed schedules threw.')
      }
    }
    void look()
    const timer = setInterval(() => void look(), WATCH_MS)
    timer.unref()
    return () => {
      isOver = true
      clearInterval(timer)
    }
  }

  async #countChanges(): Promise<number | 'unknown'> {
    const started = this.#started
    if (started === undefined) return 'unknown'
    const { database, logger } = started
    try {
      const select = database.prepare('SELECT number FROM schedule_changes')
      return ((await database.read(() => select.get())) as { readonly number: number }).number
    } catch (err) {
      if (this.#started === started) logger.debug({ err }, 'Could not look for changed schedules; trying again.')
      return 'unknown'
    }
  }

  #begun(): Started {
    if (this.#started) return this.#started
    throw new ConfigError(
      'KIQ_BROKER_NOT_STARTED',
      `The schedule source on "${this.path}" is not started. Call \`startup()\` first.`,
    )
  }
}
