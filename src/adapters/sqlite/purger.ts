import type { Logger } from '../../contract/index.ts'
import type { Database } from './database.ts'
import { EXPIRING_TABLES } from './schema.ts'

const EVERY_MS = 60_000
/** Rows per transaction: a few milliseconds. */
const BATCH = 500
/** Milliseconds between two transactions, so that others get the lock. */
const PAUSE_MS = 5

/**
 * Deletes what has expired: results, progress, dead letters and requests to cancel. Every process that writes does so,
 * at most once a minute, in small transactions.
 */
export class Purger {
  readonly #database: Database
  readonly #logger: Logger
  /** Not everybody at once when many processes start together. */
  #nextAt = performance.now() + EVERY_MS * Math.random()
  #running: Promise<void> | undefined
  #isStopped = false

  constructor(database: Database, logger: Logger) {
    this.#database = database
    this.#logger = logger
  }

  /** Something was written. Purges in the background when it is time. */
  poke(): void {
    if (performance.now() < this.#nextAt) return
    this.#nextAt = performance.now() + EVERY_MS
    this.#running ??= this.purge()
      .catch((err: unknown) => {
        if (!this.#isStopped) this.#logger.warn({ err }, 'Could not delete what has expired; trying again in a minute.')
      })
      .finally(() => (this.#running = undefined))
  }

  /** Deletes everything that has expired by now. */
  async purge(): Promise<void> {
    const now = Date.now()
    for (const table of EXPIRING_TABLES) {
      const isDue = this.#database.prepare(`SELECT 1 FROM ${table} WHERE expires_at <= ? LIMIT 1`)
      const remove = this.#database.prepare(
        `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE expires_at <= ? LIMIT ${BATCH})`,
      )
      while (!this.#isStopped && (await this.#database.read(() => isDue.get(now)))) {
        await this.#database.write(() => remove.run(now))
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
      }
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }
}
