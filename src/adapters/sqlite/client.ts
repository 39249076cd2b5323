import { createRequire } from 'node:module'

import { ConfigError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'

/** Everything that we store. */
export type SqlValue = null | number | string | Uint8Array

/** The part of `StatementSync` that we use. */
export interface SqliteStatement {
  run(...parameters: SqlValue[]): { readonly changes: number | bigint; readonly lastInsertRowid: number | bigint }
  get(...parameters: SqlValue[]): unknown
  all(...parameters: SqlValue[]): unknown[]
}

/** The part of `DatabaseSync` that we use. */
export interface SqliteClient {
  exec(sql: string): void
  prepare(sql: string): SqliteStatement
  close(): void
}

/** A module with the API of `node:sqlite`. */
export interface SqliteDriver {
  readonly DatabaseSync: new (path: string, options: { readonly timeout: number }) => SqliteClient
}

/** A driver, and how another thread finds the same one. */
export interface LoadedDriver {
  readonly driver: SqliteDriver
  /** Absolute path for `require`; `undefined` = the built-in `node:sqlite`. */
  readonly specifier: string | undefined
}

const PEER = '@photostructure/sqlite'

/**
 * `node:sqlite` where Node has it, else the package with the same API.
 *
 * A Node whose SQLite has the WAL-reset bug comes second after that package: the bug needs what this adapter does all
 * day, several processes that write and checkpoint one file, and corrupts it.
 *
 * @throws {ConfigError} `KIQ_PEER_MISSING` when there is neither.
 * @see {@link https://sqlite.org/wal.html#walresetbug} for the bug.
 */
export function loadDriver(logger: Logger): LoadedDriver {
  const versions: Readonly<Record<string, string | undefined>> = process.versions
  const builtinVersion = versions['sqlite']
  if (builtinVersion !== undefined && !hasWalResetBug(builtinVersion)) {
    const builtin = loadBuiltin()
    if (builtin) return builtin
  }
  let cause: unknown
  try {
    return loadPackage()
  } catch (error) {
    cause = error
  }
  const builtin = loadBuiltin()
  if (builtin === undefined) {
    throw new ConfigError(
      'KIQ_PEER_MISSING',
      `Node ${process.versions.node} has no \`node:sqlite\`, and the package ${PEER} cannot be loaded. Run ` +
        `\`npm install ${PEER}\`, or use Node 22.13 or newer.`,
      { cause },
    )
  }
  logger.warn(
    { sqlite: builtinVersion },
    `SQLite ${builtinVersion ?? 'of this Node'} can, very rarely, damage a file that several processes write ` +
      `(https://sqlite.org/wal.html#walresetbug). Run \`npm install ${PEER}\`, or use a newer Node.`,
  )
  return builtin
}

function loadBuiltin(): LoadedDriver | undefined {
  // Missing from the types of the oldest Node that we support, and from Node 22.0 to 22.2.
  const { getBuiltinModule } = process as { getBuiltinModule?: (id: string) => unknown }
  const driver = getBuiltinModule?.('node:sqlite')
  return isDriver(driver) ? { driver, specifier: undefined } : undefined
}

function loadPackage(): LoadedDriver {
  // Not `import()`: the heartbeat's thread loads it by path, and both must get the very same file. Two copies of SQLite
  // in one process drop each other's locks.
  const require = createRequire(import.meta.url)
  const specifier = require.resolve('@photostructure/sqlite')
  const driver: unknown = require(specifier)
  if (isDriver(driver)) return { driver, specifier }
  throw new ConfigError('KIQ_PEER_MISSING', `${specifier} has no \`DatabaseSync\`. Install version 1.2 or newer.`)
}

function isDriver(value: unknown): value is SqliteDriver {
  return typeof value === 'object' && value !== null && 'DatabaseSync' in value
}

/** Fixed in 3.51.3, and in the patch releases 3.44.6 and 3.50.7. */
export function hasWalResetBug(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  if (major !== 3 || minor > 51) return false
  const fixedIn = new Map([
    [44, 6],
    [50, 7],
    [51, 3],
  ]).get(minor)
  return fixedIn === undefined || patch < fixedIn
}
