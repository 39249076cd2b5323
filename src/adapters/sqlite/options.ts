import { inspect } from 'node:util'

import { ConfigError } from '../../contract/index.ts'
import type { Duration } from '../../util/duration.ts'

/** Which file, and how to use it. */
export interface SqliteOptions {
  /**
   * The file, relative to the working directory; created with its directory when missing. Must lie on a local disk: its
   * processes share memory. Two more files, `-wal` and `-shm`, live beside it.
   */
  readonly path: string
  /**
   * What a commit waits for. `normal`: what was accepted survives the end of any process, kill -9 included; a power cut
   * or a crash of the operating system may take the last commits with it, but never damages the file. `full`: every
   * commit is on the disk before it counts, at the price of one fsync each.
   *
   * When several objects of one process use one file, `full` wins.
   *
   * @defaultValue `'normal'`
   */
  readonly synchronous?: 'normal' | 'full' | undefined
  /**
   * Longest wait for a lock that another process holds; then the call rejects with `KIQ_TRANSPORT_FAILED`. The event
   * loop goes on meanwhile.
   *
   * @defaultValue `'10s'`
   */
  readonly busyTimeout?: Duration | undefined
}

export const DEFAULT_BUSY_TIMEOUT_MS = 10_000

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` with the value: it may come from a URL. */
export function synchronousOption(value: SqliteOptions['synchronous']): 'normal' | 'full' {
  const given: unknown = value ?? 'normal'
  if (given === 'normal' || given === 'full') return given
  throw new ConfigError('KIQ_CONFIG_INVALID', `\`synchronous\` is ${inspect(value)}. Use 'normal' or 'full'.`)
}
