import { BrokerError, ConfigError, KiqError } from '../../contract/index.ts'

/** Primary result codes of SQLite that mean something to us. */
const SQLITE_BUSY = 5
const SQLITE_READONLY = 8
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_CANTOPEN = 14
const SQLITE_NOTADB = 26

/** SQLite's primary result code of an error that a driver threw; 0 for other errors. */
function resultCodeOf(error: unknown): number {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return 0
  // The upper bits only say which kind of, for example, SQLITE_BUSY it is.
  return error.errcode & 0xff
}

/** Another connection holds the lock: worth trying again. */
export function isBusy(error: unknown): boolean {
  return resultCodeOf(error) === SQLITE_BUSY
}

/** No space left for what is to be written. */
export function isFull(error: unknown): boolean {
  return resultCodeOf(error) === SQLITE_FULL
}

/** What a driver's error means for somebody who opens the file. */
export function openFailure(path: string, error: unknown): KiqError {
  if (error instanceof KiqError) return error
  const config = (sentence: string): ConfigError => new ConfigError('KIQ_CONFIG_INVALID', sentence, { cause: error })
  switch (resultCodeOf(error)) {
    case SQLITE_NOTADB:
      return config(`"${path}" is not a SQLite database. Choose another \`path\`, or remove the file.`)
    case SQLITE_CANTOPEN:
      return config(
        `"${path}" cannot be opened (${textOf(error)}). \`path\` must name a file, in a directory that this process may ` +
          'write to: SQLite keeps two more files beside it.',
      )
    case SQLITE_READONLY:
      return unwritable(path, error)
    default:
      return useFailure(path, error)
  }
}

export function unwritable(path: string, cause: unknown): ConfigError {
  return new ConfigError(
    'KIQ_CONFIG_INVALID',
    `"${path}" cannot be written. Give this process write access to the file and to its directory, or choose another ` +
      '`path`.',
    { cause },
  )
}

/** What a driver's error means for somebody who uses the open file. */
export function useFailure(path: string, error: unknown): KiqError {
  if (error instanceof KiqError) return error
  return new BrokerError('KIQ_TRANSPORT_FAILED', sentenceOf(path, error), { cause: error })
}

function sentenceOf(path: string, error: unknown): string {
  switch (resultCodeOf(error)) {
    case SQLITE_FULL:
      return (
        `"${path}" cannot grow: the disk is full. Nothing was changed. Free space on it; Kiq then goes on without a ` +
        'restart.'
      )
    case SQLITE_READONLY:
      return `"${path}" cannot be written any more. Give this process write access to the file and to its directory.`
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return `"${path}" is damaged (${textOf(error)}). Stop all its processes and restore it, or move it away.`
    default:
      return `"${path}" failed: ${textOf(error)}. See \`cause\`.`
  }
}

/** Nobody let go of the lock in time. */
export function lockFailure(path: string, waitedMs: number): BrokerError {
  return new BrokerError(
    'KIQ_TRANSPORT_FAILED',
    `"${path}" was locked by another process for ${Math.round(waitedMs)} ms. Look for one that hangs in a transaction ` +
      '(a `sqlite3` shell, a backup), or raise `busyTimeout`.',
  )
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
