import { inspect } from 'node:util'

import { ConfigError, durationOption } from '../../contract/index.ts'
import type { Duration } from '../../util/duration.ts'
import { DEFAULT_GROUP } from './keys.ts'
import { leaseOption } from './lease-options.ts'
import type { LeaseSettings, RedisLeaseOptions } from './lease-options.ts'
import type { RedisOptions } from './options.ts'

const DEFAULT_IDLE_MS = 600_000

export interface RedisStreamTransportOptions extends RedisOptions, RedisLeaseOptions {
  /**
   * Taskiq's `consumer_group_name`: all workers of one group share the messages of a stream.
   *
   * @defaultValue `'taskiq'`
   */
  readonly consumerGroup?: string | undefined
  /**
   * Id from which a new group reads a stream that is there already: `'0'` = everything in it, `'$'` = only what comes
   * later, as Taskiq's `consumer_id`.
   *
   * @defaultValue `'0'`, so that nothing is lost when a group is deleted
   */
  readonly groupStart?: string | undefined
  /**
   * Further streams that a worker reads, besides the queues of its tasks; Taskiq's `additional_streams`.
   *
   * @defaultValue none
   */
  readonly additionalStreams?: readonly string[] | undefined
  /**
   * Taskiq's `idle_timeout`: messages that a worker of another kind (Python's) has held for so long are taken over,
   * under Taskiq's own lock. Messages of Kiq's workers follow `lease` instead. `'never'` leaves them to Python's workers.
   *
   * @defaultValue `'10m'`, Taskiq's own default
   */
  readonly idleTimeout?: Duration | 'never' | undefined
  /**
   * What becomes of acknowledged entries. `keep` is for streams that several groups read: nothing is deleted, so bound
   * the stream with `maxLength`.
   *
   * @defaultValue `'delete'`
   */
  readonly acknowledged?: 'delete' | 'keep' | undefined
  /**
   * Taskiq's `maxlen`: about so many entries are kept, and the oldest are dropped, **also those that nobody has read**.
   *
   * @defaultValue no limit
   */
  readonly maxLength?: number | undefined
}

/** The options with their defaults, checked. */
export interface StreamSettings extends LeaseSettings {
  readonly group: string
  readonly groupStart: string
  readonly additionalStreams: readonly string[]
  readonly idleMs: number | undefined
  readonly keep: '' | 'keep'
  readonly maxLength: string
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` with the value. */
export function streamSettings(options: RedisStreamTransportOptions): StreamSettings {
  const { consumerGroup: group = DEFAULT_GROUP, groupStart = '0', additionalStreams = [], maxLength } = options
  if (group === '') throw invalid('consumerGroup', group, 'Name the group, or leave it out.')
  if (!/^(?:\$|\d+(?:-\d+)?)$/.test(groupStart)) {
    throw invalid('groupStart', groupStart, "Use '0', '$' or the id of an entry.")
  }
  if (additionalStreams.includes('')) throw invalid('additionalStreams', additionalStreams, 'Name each stream.')
  if (maxLength !== undefined && !(Number.isSafeInteger(maxLength) && maxLength > 0)) {
    throw invalid('maxLength', maxLength, 'Use a whole number ≥ 1.')
  }
  const acknowledged: unknown = options.acknowledged ?? 'delete'
  if (acknowledged !== 'delete' && acknowledged !== 'keep') {
    throw invalid('acknowledged', acknowledged, "Use 'delete' or 'keep'.")
  }
  return {
    ...leaseOption(options),
    group,
    groupStart,
    additionalStreams,
    idleMs:
      options.idleTimeout === 'never'
        ? undefined
        : durationOption('idleTimeout', options.idleTimeout, { fallbackMs: DEFAULT_IDLE_MS, minMs: 1 }),
    keep: acknowledged === 'keep' ? 'keep' : '',
    maxLength: maxLength === undefined ? '' : String(maxLength),
  }
}

function invalid(name: string, value: unknown, remedy: string): ConfigError {
  return new ConfigError('KIQ_CONFIG_INVALID', `\`${name}\` is ${inspect(value)}. ${remedy}`)
}
