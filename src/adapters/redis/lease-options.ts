import { durationOption } from '../../contract/index.ts'
import type { Duration } from '../../util/duration.ts'

export const DEFAULT_LEASE_MS = 15_000
export const DEFAULT_DEAD_LETTER_TTL_MS: number = 30 * 24 * 60 * 60 * 1000
const MIN_LEASE_MS = 100

/** Of every transport that holds messages for its worker. */
export interface RedisLeaseOptions {
  /**
   * How long the deliveries of a worker stay its own after it was last heard of. Renewed five times as often, in a thread
   * of its own; so it bounds how long the tasks of a lost machine wait, not how long a task may run. At least 100 ms.
   *
   * @defaultValue `'15s'`
   */
  readonly lease?: Duration | undefined
  /**
   * How long dead letters are kept.
   *
   * @defaultValue `'30d'`
   */
  readonly deadLetterTtl?: Duration | undefined
}

/** The options with their defaults, checked. */
export interface LeaseSettings {
  readonly leaseMs: number
  readonly deadLetterTtlMs: number
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` with the value. */
export function leaseOption(options: RedisLeaseOptions): LeaseSettings {
  return {
    leaseMs: durationOption('lease', options.lease, { fallbackMs: DEFAULT_LEASE_MS, minMs: MIN_LEASE_MS }),
    deadLetterTtlMs: durationOption('deadLetterTtl', options.deadLetterTtl, {
      fallbackMs: DEFAULT_DEAD_LETTER_TTL_MS,
      minMs: 0,
    }),
  }
}
