import { accessSync, constants, mkdirSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { inspect } from 'node:util'

import { ConfigError } from '../../contract/index.ts'
import { whileBusy } from './busy.ts'
import type { PatienceOptions } from './busy.ts'
import type { SqliteClient, SqliteDriver } from './client.ts'
import { unwritable } from './failure.ts'
import { isCurrent, migrate } from './migrate.ts'

/**
 * Pages of 4 KiB after which a commit moves the log into the file. Half of it costs 7 % of throughput, twice as much
 * gains nothing and stops the event loop for twice as long (measured: 10 ms here).
 */
const CHECKPOINT_PAGES = 2_000
/** The log shrinks to this many bytes when a burst has made it longer. */
const LOG_BYTES = 32 * 1024 * 1024
/** Kibibytes. More gains nothing, because every write of another process empties the cache. */
const CACHE_KIB = 8_000

/**
 * Opens the file, creates what is missing, and brings its schema up to date. Any number of processes may do so at the
 * same time.
 */
export async function openClient(
  { DatabaseSync }: SqliteDriver,
  { path, timeoutMs }: PatienceOptions,
): Promise<SqliteClient> {
  createDirectory(dirname(path), path)
  assertWritable(path)
  const client = new DatabaseSync(path, { timeout: 0 })
  try {
    // Changing the journal needs an exclusive lock, so processes that open a fresh file at once collide here, whatever
    // the busy timeout is.
    const mode = await whileBusy(() => client.prepare('PRAGMA journal_mode = WAL').get(), { path, timeoutMs })
    assertWal(mode, path)
    client.exec(
      `PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA journal_size_limit = ${LOG_BYTES};
       PRAGMA cache_size = -${CACHE_KIB}; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF`,
    )
    if (!(await whileBusy(() => isCurrent(client, path), { path, timeoutMs }))) {
      await whileBusy(() => inTransaction(client, () => migrate(client, path)), { path, timeoutMs })
    }
    return client
  } catch (error) {
    client.close()
    throw error
  }
}

function createDirectory(directory: string, path: string): void {
  try {
    mkdirSync(directory, { recursive: true })
  } catch (cause) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `The directory of "${path}" cannot be created. Create it, or choose another \`path\`.`,
      { cause },
    )
  }
}

/** SQLite opens such a file for reading, without a word, and would only refuse the first message. */
function assertWritable(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw unwritable(path, error)
  }
}

function inTransaction(client: SqliteClient, body: () => void): void {
  client.exec('BEGIN IMMEDIATE')
  try {
    body()
    client.exec('COMMIT')
  } catch (error) {
    client.exec('ROLLBACK')
    throw error
  }
}

function assertWal(row: unknown, path: string): void {
  const mode = (row as { readonly journal_mode?: unknown } | undefined)?.journal_mode
  if (mode === 'wal') return
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `"${path}" cannot use a write-ahead log (SQLite chose "${String(mode)}"). Put it on a local disk.`,
  )
}

/**
 * The one name of a file, also when it does not exist yet: absolute, symbolic links followed.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` for what is no path.
 */
export function resolvePath(path: unknown): string {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `\`path\` is ${inspect(path)}. Give the path of a file, for example '.kiq/kiq.db'.`,
    )
  }
  if (path === ':memory:' || path.startsWith('file:')) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `\`path\` is "${path}". Give the path of a file; for a queue in memory use \`InMemoryBroker\`.`,
    )
  }
  return realPath(resolve(path))
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const directory = dirname(path)
    return directory === path ? path : join(realPath(directory), basename(path))
  }
}
