import { createHash } from 'node:crypto'

import type { Logger, Schedule, WritableScheduleSource } from '../../contract/index.ts'
import type { RedisArgument } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { script } from './script.ts'
import { escapeGlob, ScheduleStore } from './schedule-store.ts'
import type { RedisScheduleOptions } from './schedule-store.ts'

export interface ListRedisScheduleOptions extends RedisScheduleOptions {
  /**
   * Taskiq's `skip_past_schedules`: leaves out schedules for one point in time whose minute is over. They stay in Redis.
   *
   * @defaultValue `false`: what was missed is listed, and so made up for
   */
  readonly skipPastSchedules?: boolean | undefined
}

const MINUTE_MS = 60_000

/**
 * Puts a record in the place of another, and its id into one list alone; or deletes both.
 *
 * KEYS: the record, then every list that may hold its id, the last being the one that shall.
 * ARGV: the id; the digest of the record that the caller knows; the new record, or nothing to delete it.
 * Returns the record that is there when the caller knows another one: then its list is not among the keys.
 */
const REPLACE = script(`
local known = redis.call('GET', KEYS[1])
if known and redis.sha1hex(known) ~= ARGV[2] then
  return known
end
-- Nothing is rolled back: what is no list must fail before the first write.
for i = 2, #KEYS do
  redis.call('LLEN', KEYS[i])
end
-- First, since a Redis that is out of memory refuses it, and only before other writes.
if ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
for i = 2, #KEYS do
  redis.call('LREM', KEYS[i], 0, ARGV[1])
end
if ARGV[3] then
  redis.call('RPUSH', KEYS[#KEYS], ARGV[1])
end
return false
`)

/** What an id shall stand for. */
interface Placement {
  readonly body: string | Buffer
  /** Key of the list that holds the id. */
  readonly list: string
}

/**
 * Schedules in Redis, with their ids in lists by kind: the layout of Taskiq's `ListRedisScheduleSource`, which Python's
 * schedulers read by the minute. Any number of processes see and change the same schedules. Every method throws the
 * errors of the connection while Redis cannot be reached.
 *
 * **Python writes pickles unless told otherwise**, and a source there that meets JSON lists nothing at all; see
 * `serializer`. The same happens when it meets an interval that is not a whole number of seconds.
 *
 * Adding and deleting are atomic. In a cluster, which Taskiq's source does not support, they are so when the prefix has
 * a hash tag, as `'{schedule}'` does; otherwise the record is written first, and the lists follow.
 */
export class ListRedisScheduleSource implements WritableScheduleSource {
  /** Begins every key. */
  readonly prefix: string
  readonly #store: ScheduleStore
  readonly #skipsPast: boolean

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense. */
  constructor(options: ListRedisScheduleOptions) {
    this.#store = new ScheduleStore(options)
    this.prefix = this.#store.prefix
    this.#skipsPast = options.skipPastSchedules ?? false
  }

  /**
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for refused credentials.
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` when Redis cannot be reached within `connectTimeout`.
   */
  async startup(options?: { readonly logger?: Logger | undefined }): Promise<void> {
    await this.#store.startup(options)
  }

  async shutdown(): Promise<void> {
    await this.#store.shutdown()
  }

  /**
   * Every schedule, also those of later minutes, which Python's source leaves out until they are due. Looks at every key
   * of the Redis, as Taskiq does, to find the records. The lists are not asked: they change while one reads them, so
   * that a schedule which is being replaced might be in none.
   */
  async getSchedules(): Promise<readonly Schedule[]> {
    const schedules = await this.#store.list(this.#key('data:'))
    if (!this.#skipsPast) return schedules
    const now = Date.now()
    const minuteBegan = now - (now % MINUTE_MS)
    return schedules.filter(({ cron, time }) => cron !== undefined || time === undefined || time >= minuteBegan)
  }

  async addSchedule(schedule: Schedule): Promise<void> {
    const body = this.#store.codec.encode(schedule)
    await this.#replace(schedule.scheduleId, { body, list: this.#listOf(schedule) })
  }

  /** Takes the id out of every list that may hold it, whatever the kind of the schedule. */
  async deleteSchedule(scheduleId: string): Promise<void> {
    await this.#replace(scheduleId, undefined)
  }

  async #replace(id: string, next: Placement | undefined): Promise<void> {
    const connection = await this.#store.connection()
    if (connection.isCluster && !hasHashTag(this.prefix)) {
      await this.#replaceInSteps(connection, id, next)
      return
    }
    const record = next === undefined ? [] : [next.body]
    let known: Buffer | undefined
    for (;;) {
      const keys = [
        this.#key(`data:${id}`),
        ...(await this.#listsOf(connection, id, known)),
        ...(next ? [next.list] : []),
      ]
      const reply = await connection.run(REPLACE, keys, [id, known ? sha1(known) : '', ...record])
      if (!Buffer.isBuffer(reply)) return
      // There was one, or somebody has just changed it.
      known = reply
    }
  }

  /** In several slots, where no script reaches all keys. Lists that do not fit a record do no harm to our reading. */
  async #replaceInSteps(connection: RedisConnection, id: string, next: Placement | undefined): Promise<void> {
    const data = this.#key(`data:${id}`)
    const command: readonly [string, ...RedisArgument[]] = next ? ['SET', data, next.body, 'GET'] : ['GETDEL', data]
    const before = await connection.callBuffer(...command)
    const lists = await this.#listsOf(connection, id, Buffer.isBuffer(before) ? before : undefined)
    for (const list of new Set(next ? [...lists, next.list] : lists)) await connection.call('LREM', list, 0, id)
    if (next) await connection.call('RPUSH', next.list, id)
  }

  /** Keys of the lists that may hold the id of this record. */
  async #listsOf(connection: RedisConnection, id: string, body: Buffer | undefined): Promise<string[]> {
    const lists = [this.#key('cron'), this.#key('interval')]
    if (body === undefined) return lists
    try {
      const { time } = this.#store.codec.decode(body, id)
      return time === undefined ? lists : [...lists, this.#timeKey(time)]
    } catch {
      // Nobody knows its time.
      const start = this.#key('time:')
      const keys = await connection.scan(`${escapeGlob(start)}*`)
      return [...lists, ...keys.filter((key) => /^\d+-\d\d-\d\dT\d\d:\d\d$/.test(key.slice(start.length)))]
    }
  }

  /** Taskiq's order: a schedule of several kinds is in the list of the first. */
  #listOf({ cron, time }: Schedule): string {
    if (cron !== undefined) return this.#key('cron')
    return time === undefined ? this.#key('interval') : this.#timeKey(time)
  }

  #timeKey(time: number): string {
    return this.#key(`time:${minuteOf(time)}`)
  }

  #key(rest: string): string {
    return `${this.prefix}:${rest}`
  }
}

/** `2030-01-02T03:04`, in UTC. */
function minuteOf(time: number): string {
  return new Date(time).toISOString().slice(0, -8)
}

/** All keys with such a prefix are in one slot. */
function hasHashTag(prefix: string): boolean {
  const [, tag = ''] = /\{([^}]*)\}/.exec(prefix) ?? []
  return tag !== ''
}

function sha1(body: Buffer): string {
  return createHash('sha1').update(body).digest('hex')
}
