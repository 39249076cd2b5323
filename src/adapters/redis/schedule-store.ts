import { inspect } from 'node:util'

import { ConfigError, silentLogger } from '../../contract/index.ts'
import type { Logger, Schedule, ScheduleLedger } from '../../contract/index.ts'
import type { RedisConnection } from './connection.ts'
import { hasHashTag, scheduleKeys } from './keys.ts'
import type { ScheduleKeys, SchedulePlace } from './keys.ts'
import type { RedisOptions } from './options.ts'
import { addressOf } from './registry.ts'
import type { RedisAddress } from './registry.ts'
import { ScheduleCodec } from './schedule-codec.ts'
import type { ScheduleFormat } from './schedule-codec.ts'
import { RedisScheduleLedger } from './schedule-ledger.ts'
import { DEFAULT_LOOK_MS, digestOf, ScheduleWatch } from './schedule-watch.ts'
import type { ScheduleWatchParts } from './schedule-watch.ts'

/** Options of both schedule sources. */
export interface RedisScheduleOptions extends RedisOptions {
  /**
   * Taskiq's `prefix`: begins every key. Give each source its own, since Taskiq's two kinds have the same default.
   *
   * @defaultValue `'schedule'`
   */
  readonly prefix?: string | undefined
  /**
   * How schedules are written. **Python's Taskiq pickles its schedules by default, and cannot read JSON then**: give
   * `'pickle'` when Python reads what is added here, or give Python's source `serializer=JSONSerializer()`.
   *
   * Reading recognizes both, whatever is written; a serializer of your own is asked about what is neither.
   *
   * @defaultValue `'json'`
   */
  readonly serializer?: ScheduleFormat | undefined
  /**
   * Taskiq's `buffer_size`: schedules that one command fetches. A whole number ≥ 1.
   *
   * @defaultValue 50
   */
  readonly bufferSize?: number | undefined
}

/** What tests change. */
export interface RedisScheduleInternals {
  /** @defaultValue 1,000 */
  readonly lookMs?: number | undefined
}

const DEFAULT_PREFIX = 'schedule'
const DEFAULT_BUFFER_SIZE = 50
const MAX_NAMED_KEYS = 5

/**
 * What both sources have: a connection while they are started; records, each under a prefix and its id; and what
 * schedulers share.
 */
export class ScheduleStore {
  readonly prefix: string
  readonly codec: ScheduleCodec
  /** Channel of changes. */
  readonly channel: string
  readonly ledger: ScheduleLedger
  readonly #keys: ScheduleKeys
  readonly #lookMs: number
  readonly #watches = new Set<ScheduleWatch>()
  readonly #address: RedisAddress
  readonly #bufferSize: number
  #logger: Logger = silentLogger
  #starting: Promise<RedisConnection> | undefined

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense. */
  constructor(options: RedisScheduleOptions, kind: SchedulePlace['kind'], internals: RedisScheduleInternals) {
    this.#lookMs = internals.lookMs ?? DEFAULT_LOOK_MS
    this.#address = addressOf(options)
    this.codec = new ScheduleCodec(options.serializer)
    this.prefix = prefixOption(options.prefix)
    this.#bufferSize = bufferSizeOption(options.bufferSize)
    this.#keys = scheduleKeys({ kind, prefix: this.prefix, db: this.#address.db })
    this.channel = this.#keys.channel
    this.ledger = new RedisScheduleLedger({
      connection: () => this.connection(),
      keys: this.#keys,
      logger: () => this.#logger,
    })
  }

  async startup({ logger = silentLogger }: { readonly logger?: Logger | undefined } = {}): Promise<void> {
    this.#logger = logger
    await (this.#starting ?? this.#start())
  }

  async shutdown(): Promise<void> {
    for (const watch of this.#watches) watch.end()
    this.#watches.clear()
    const starting = this.#starting
    this.#starting = undefined
    // What failed to start holds nothing.
    const connection = await starting?.catch(() => undefined)
    await connection?.release()
  }

  /** @throws {ConfigError} `KIQ_BROKER_NOT_STARTED` */
  async connection(): Promise<RedisConnection> {
    return await this.#begun()
  }

  /**
   * Ends with the source.
   *
   * @throws {ConfigError} `KIQ_BROKER_NOT_STARTED`
   */
  watch(listener: () => void, parts: Pick<ScheduleWatchParts, 'look' | 'pauseFactor'>): () => void {
    const watch = new ScheduleWatch({
      connection: this.#begun(),
      channel: this.channel,
      look: async (connection) => {
        // The ledger's changes, too: they may be published while nobody can hear it.
        const seen = await Promise.all([connection.call('GET', this.#keys.changes), parts.look(connection)])
        return seen.join(' ')
      },
      lookMs: this.#lookMs,
      pauseFactor: parts.pauseFactor,
      listener,
      logger: this.#logger,
    })
    this.#watches.add(watch)
    return () => {
      watch.end()
      this.#watches.delete(watch)
    }
  }

  /** A digest of the records under these keys. */
  async digest(connection: RedisConnection, keys: readonly string[]): Promise<string> {
    const isApart = connection.isCluster && !hasHashTag(this.prefix)
    return await digestOf(connection, keys, isApart ? (batch) => fetchBodies(connection, batch) : undefined)
  }

  /** Every schedule that is kept under this prefix followed by its id. */
  async list(keyPrefix: string): Promise<readonly Schedule[]> {
    const connection = await this.connection()
    const keys = await connection.scan(`${escapeGlob(keyPrefix)}*`)
    const schedules: Schedule[] = []
    const others: string[] = []
    for (let start = 0; start < keys.length; start += this.#bufferSize) {
      const batch = keys.slice(start, start + this.#bufferSize)
      const bodies = await fetchBodies(connection, batch)
      for (const [index, key] of batch.entries()) {
        const body = bodies[index]
        const schedule = Buffer.isBuffer(body) ? this.#read(body, key.slice(keyPrefix.length)) : 'other'
        if (schedule === 'other') others.push(key)
        else if (schedule !== 'broken') schedules.push(schedule)
      }
    }
    this.#tellOthers(keyPrefix, others)
    return schedules
  }

  #begun(): Promise<RedisConnection> {
    if (this.#starting) return this.#starting
    throw new ConfigError(
      'KIQ_BROKER_NOT_STARTED',
      `The schedule source on ${this.#address.shown} is not started. Call \`startup()\` first.`,
    )
  }

  #read(body: Buffer, id: string): Schedule | 'broken' | 'other' {
    try {
      const schedule = this.codec.decode(body, id)
      // Otherwise it is a source with a longer prefix that keeps it, and nobody could delete it here.
      return schedule.scheduleId === id ? schedule : 'other'
    } catch (err) {
      this.#logger.error({ err, scheduleId: id }, `Schedule "${id}" cannot be read and is left out.`)
      return 'broken'
    }
  }

  #tellOthers(keyPrefix: string, keys: readonly string[]): void {
    if (keys.length === 0) return
    const named = keys.slice(0, MAX_NAMED_KEYS)
    this.#logger.debug(
      { count: keys.length, keys: named },
      `Keys that begin with "${keyPrefix}" and hold no schedule of this source, or are gone by now: ${keys.length}. ` +
        'They are left out.',
    )
  }

  async #start(): Promise<void> {
    const starting = this.#connect()
    this.#starting = starting
    try {
      await starting
    } catch (error) {
      if (this.#starting === starting) this.#starting = undefined
      throw error
    }
  }

  async #connect(): Promise<RedisConnection> {
    const connection = this.#address.connection()
    await connection.acquire()
    return connection
  }
}

/** Of a key that is gone, or holds no text: `null`. */
async function fetchBodies(connection: RedisConnection, keys: readonly string[]): Promise<readonly unknown[]> {
  if (!connection.isCluster) return (await connection.callBuffer('MGET', ...keys)) as readonly unknown[]
  // Not GET, which fails for what is no text.
  const replies = await Promise.all(keys.map((key) => connection.callBuffer('MGET', key)))
  return replies.flat()
}

/** For `MATCH`: nothing in it stands for anything else. */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\]\\]/g, '\\$&')
}

function prefixOption(value: unknown = DEFAULT_PREFIX): string {
  if (typeof value === 'string') return value
  throw new ConfigError('KIQ_CONFIG_INVALID', `\`prefix\` is ${inspect(value)}. Use text, such as 'schedule'.`)
}

function bufferSizeOption(value: number = DEFAULT_BUFFER_SIZE): number {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new ConfigError('KIQ_CONFIG_INVALID', `\`bufferSize\` is ${inspect(value)}. Use a whole number ≥ 1.`)
}
