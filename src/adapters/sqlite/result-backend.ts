import { KiqError, ResultError, durationOption } from '../../contract/index.ts'
import type { Body, Logger, ResultBackend, ResultBackendCapabilities, ResultRecord } from '../../contract/index.ts'
import type { Database } from './database.ts'
import { DEFAULT_BUSY_TIMEOUT_MS, synchronousOption } from './options.ts'
import type { SqliteOptions } from './options.ts'
import { resolvePath } from './open.ts'
import { acquireDatabase } from './registry.ts'
import type { DatabaseLease } from './registry.ts'
import { ResultStore } from './result-store.ts'
import { Subscriptions } from './subscriptions.ts'

/** Ids per read: a few milliseconds. */
const READ_BATCH = 500

interface Started {
  readonly lease: DatabaseLease
  readonly database: Database
  readonly results: ResultStore
  readonly subscriptions: Subscriptions
}

/**
 * Results and progress in a SQLite file, for any number of processes of one machine.
 *
 * On the file of a `SqliteTransport` results are written in the transaction that settles the message, and one connection
 * serves both. Expired records are deleted by whoever writes, about once a minute.
 */
export class SqliteResultBackend implements ResultBackend {
  readonly capabilities: ResultBackendCapabilities = { expires: true, notifies: true, progress: true }
  /** The file: absolute, symbolic links followed. */
  readonly path: string
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
    this.#synchronous = synchronousOption(options.synchronous)
    this.#busyTimeoutMs = durationOption('busyTimeout', options.busyTimeout, {
      fallbackMs: DEFAULT_BUSY_TIMEOUT_MS,
      minMs: 0,
    })
    this.#connection = internal.connection ?? 'process'
  }

  /** @throws {ConfigError} as `SqliteTransport.start` does. */
  async start({ logger }: { readonly logger: Logger }): Promise<void> {
    if (this.#started) return
    const lease = await acquireDatabase({
      path: this.path,
      synchronous: this.#synchronous,
      busyTimeoutMs: this.#busyTimeoutMs,
      logger,
      connection: this.#connection,
    })
    const { database } = lease
    const results = new ResultStore(database)
    const subscriptions = new Subscriptions(database, results, logger)
    this.#started = { lease, database, results, subscriptions }
  }

  async stop(): Promise<void> {
    const started = this.#started
    this.#started = undefined
    started?.subscriptions.stop()
    await started?.lease.release()
  }

  async save(records: readonly ResultRecord[]): Promise<void> {
    await this.#use(({ database, results }) =>
      database.write(() => {
        const now = Date.now()
        for (const record of records) results.save(record, now)
      }),
    )
  }

  async get(taskIds: readonly string[]): Promise<readonly (Body | undefined)[]> {
    return await this.#use(async ({ database, results }) => {
      const found = new Map<string, Body>()
      for (let from = 0; from < taskIds.length; from += READ_BATCH) {
        const batch = taskIds.slice(from, from + READ_BATCH)
        const rows = await database.read(() => results.find(batch, Date.now()))
        for (const row of rows) found.set(row.task_id, row.body)
        if (from + READ_BATCH < taskIds.length) await new Promise((resolve) => setImmediate(resolve))
      }
      return taskIds.map((taskId) => found.get(taskId))
    })
  }

  async forget(taskIds: readonly string[]): Promise<void> {
    await this.#use(({ database, results }) => database.write(() => results.forget(taskIds)))
  }

  subscribe(taskId: string, listener: (body: Body) => void): () => void {
    return this.#begun().subscriptions.add(taskId, listener)
  }

  async setProgress(record: ResultRecord): Promise<void> {
    await this.#use(({ database, results }) => database.write(() => results.saveProgress(record, Date.now())))
  }

  async getProgress(taskId: string): Promise<Body | undefined> {
    return await this.#use(({ database, results }) => database.read(() => results.findProgress(taskId, Date.now())))
  }

  async #use<T>(work: (started: Started) => Promise<T>): Promise<T> {
    const started = this.#begun()
    try {
      return await work(started)
    } catch (error) {
      if (!KiqError.is(error, 'KIQ_TRANSPORT_FAILED')) throw error
      throw new ResultError('KIQ_RESULT_BACKEND_FAILED', error.message, { cause: error.cause ?? error })
    }
  }

  #begun(): Started {
    if (this.#started) return this.#started
    throw new ResultError(
      'KIQ_RESULT_BACKEND_FAILED',
      `The SQLite result backend on "${this.path}" is not started. Start the broker before you use it.`,
    )
  }
}
