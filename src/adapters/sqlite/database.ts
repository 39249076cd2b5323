import { BrokerError, ConfigError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import { beforeNextTry, whileBusy } from './busy.ts'
import { loadDriver } from './client.ts'
import type { LoadedDriver, SqliteClient, SqliteStatement } from './client.ts'
import { isBusy, isFull, lockFailure, openFailure, useFailure } from './failure.ts'
import { openClient } from './open.ts'
import { Purger } from './purger.ts'
import { Waker } from './waker.ts'

/** Milliseconds that transactions may follow each other before the event loop gets a turn. */
const TURN_MS = 10
/** Time until emptying the log is tried again where it did not help against a full disk. */
const SHRINK_PAUSE_MS = 500

export interface DatabaseOptions {
  /** As {@link resolvePath} gives it. */
  readonly path: string
  readonly busyTimeoutMs: number
  readonly logger: Logger
}

export interface WriteOptions {
  /** Ends the wait for the lock. */
  readonly signal?: AbortSignal | undefined
}

interface PendingWrite {
  readonly body: () => unknown
  readonly since: number
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  readonly signal: AbortSignal | undefined
}

/**
 * One connection to one file.
 *
 * Work on the file is synchronous and short; only the wait for another process' lock is asynchronous. Writes are handled
 * in the order in which they were asked for.
 */
export class Database {
  readonly path: string
  readonly waker: Waker
  readonly loaded: LoadedDriver
  readonly #client: SqliteClient
  readonly #busyTimeoutMs: number
  readonly #purger: Purger
  readonly #statements = new Map<string, SqliteStatement>()
  readonly #writes: PendingWrite[] = []
  #isWaiting = false
  #isClosed = false
  #shrinkAgainAt = 0
  #idle: (() => void) | undefined

  private constructor({ path, busyTimeoutMs, logger }: DatabaseOptions, loaded: LoadedDriver, client: SqliteClient) {
    this.path = path
    this.loaded = loaded
    this.#client = client
    this.#busyTimeoutMs = busyTimeoutMs
    this.#purger = new Purger(this, logger)
    const version = this.prepare('PRAGMA data_version')
    this.waker = new Waker({
      logPath: `${path}-wal`,
      version: () => (version.get() as { data_version: number }).data_version,
    })
  }

  /**
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` when the file cannot be used, `KIQ_PEER_MISSING` without a driver.
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` when it stays locked, or the disk is full.
   */
  static async open(options: DatabaseOptions): Promise<Database> {
    const { path, busyTimeoutMs, logger } = options
    const loaded = loadDriver(logger)
    try {
      const client = await openClient(loaded.driver, { path, timeoutMs: busyTimeoutMs })
      return new Database(options, loaded, client)
    } catch (error) {
      throw openFailure(path, error)
    }
  }

  setSynchronous(mode: 'normal' | 'full'): void {
    this.#client.exec(`PRAGMA synchronous = ${mode}`)
  }

  /** A statement, compiled once. Its text must be one of few: statements are kept until the end. */
  prepare(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#client.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  /**
   * Runs `body`, which only reads, and does so again while the file is locked.
   *
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED`
   */
  async read<T>(body: () => T): Promise<T> {
    this.#assertOpen()
    try {
      return await whileBusy(body, { path: this.path, timeoutMs: this.#busyTimeoutMs })
    } catch (error) {
      throw useFailure(this.path, error)
    }
  }

  /**
   * Runs `body` in a transaction that nobody else writes in: all of it happens, or nothing. It may run several times
   * until one counts, so it must leave no other traces.
   *
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED`; the transaction did not happen.
   */
  write<T>(body: () => T, { signal }: WriteOptions = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#assertOpen()
      this.#writes.push({
        body,
        since: performance.now(),
        resolve: resolve as (value: unknown) => void,
        reject,
        signal,
      })
      if (!this.#isWaiting) this.#turn()
    })
  }

  /** Finishes what was asked for, and closes the file. Harmless when called twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.waker.close()
    await this.#purger.stop()
    if (this.#writes.length > 0) await new Promise<void>((resolve) => (this.#idle = resolve))
    // The last connection to a file empties its log when it closes, but not while statements of it live, and only
    // `node:sqlite` ends those.
    this.#emptyLog()
    this.#statements.clear()
    this.#client.close()
  }

  #turn(): void {
    const begun = performance.now()
    let write = this.#writes[0]
    while (write) {
      if (!this.#attempt(write)) {
        this.#waitForLock(write)
        return
      }
      this.#writes.shift()
      write = this.#writes[0]
      if (write && performance.now() - begun > TURN_MS) {
        this.#isWaiting = true
        setImmediate(this.#resume)
        return
      }
    }
    this.#idle?.()
  }

  readonly #resume = (): void => {
    this.#isWaiting = false
    this.#turn()
  }

  #waitForLock(write: PendingWrite): void {
    this.#isWaiting = true
    let tries = 1
    const again = (): void => {
      if (this.#attempt(write)) {
        this.#writes.shift()
        this.#resume()
        return
      }
      tries += 1
      void beforeNextTry(tries).then(again)
    }
    void beforeNextTry(tries).then(again)
  }

  /** @returns Whether that write is done with, well or not; `false` = the lock is held by somebody else. */
  #attempt({ body, since, resolve, reject, signal }: PendingWrite): boolean {
    if (signal?.aborted) {
      reject(abortFailure(this.path, signal))
      return true
    }
    let value: unknown
    try {
      value = this.#transact(body)
    } catch (error) {
      const waitedMs = performance.now() - since
      if (!isBusy(error)) reject(useFailure(this.path, error))
      else if (waitedMs > this.#busyTimeoutMs) reject(lockFailure(this.path, waitedMs))
      else return false
      return true
    }
    resolve(value)
    this.waker.wrote()
    this.#purger.poke()
    return true
  }

  #transact(body: () => unknown): unknown {
    try {
      return this.#commit(body)
    } catch (error) {
      if (!isFull(error) || performance.now() < this.#shrinkAgainAt || !this.#emptyLog()) throw error
    }
    // It may have been the log alone that had to grow; the file has room on its old pages.
    try {
      return this.#commit(body)
    } catch (error) {
      this.#shrinkAgainAt = performance.now() + SHRINK_PAUSE_MS
      throw error
    }
  }

  /** Moves the log into the file, and truncates it unless others are at work. */
  #emptyLog(): boolean {
    try {
      this.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
      return true
    } catch {
      return false
    }
  }

  #commit(body: () => unknown): unknown {
    this.prepare('BEGIN IMMEDIATE').run()
    try {
      const value = body()
      this.prepare('COMMIT').run()
      return value
    } catch (error) {
      try {
        this.prepare('ROLLBACK').run()
      } catch {
        // A full disk has ended the transaction already.
      }
      throw error
    }
  }

  #assertOpen(): void {
    if (!this.#isClosed) return
    throw new ConfigError('KIQ_BROKER_NOT_STARTED', `"${this.path}" is closed. Start the broker before you use it.`)
  }
}

function abortFailure(path: string, { reason }: AbortSignal): BrokerError {
  return new BrokerError('KIQ_TRANSPORT_FAILED', `The caller gave up while "${path}" was locked by another process.`, {
    cause: reason,
  })
}
