import type {
  DeleteScheduleOptions,
  Logger,
  Schedule,
  ScheduleLedger,
  WritableScheduleSource,
} from '../../contract/index.ts'
import type { RedisArgument } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { hasHashTag } from './keys.ts'
import { escapeGlob, ScheduleStore } from './schedule-store.ts'
import type { RedisScheduleInternals, RedisScheduleOptions } from './schedule-store.ts'
import { sha1 } from './schedule-watch.ts'
import { REPLACE_SCHEDULE } from './scripts/schedules.ts'

export interface ListRedisScheduleOptions extends RedisScheduleOptions {
  /**
   * Taskiq's `skip_past_schedules`: leaves out schedules for one point in time whose minute is over. They stay in Redis.
   *
   * @defaultValue `false`: what was missed is listed, and so made up for
   */
  readonly skipPastSchedules?: boolean | undefined
}

const MINUTE_MS = 60_000

/** At most a fifth of the time is spent on looking for changes; most of it on the way to Redis and back. */
const PAUSE_FACTOR = 4

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
  readonly name: string
  /** Begins every key. */
  readonly prefix: string
  readonly ledger: ScheduleLedger
  readonly #store: ScheduleStore
  readonly #skipsPast: boolean
  /** Keys of the lists of minutes, not over yet, in which something listed here is due. */
  readonly #expected = new Set<string>()
  #expectedSince = ''

  /**
   * @param internals - For tests.
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense.
   */
  constructor(options: ListRedisScheduleOptions, internals: RedisScheduleInternals = {}) {
    this.#store = new ScheduleStore(options, 'list', internals)
    this.prefix = this.#store.prefix
    this.name = `redis-list:${this.prefix}`
    this.ledger = this.#store.ledger
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
    for (const schedule of schedules) {
      if (isForTime(schedule)) this.#expected.add(this.#listOf(schedule))
    }
    if (!this.#skipsPast) return schedules
    const now = Date.now()
    const minuteBegan = now - (now % MINUTE_MS)
    return schedules.filter((schedule) => !isForTime(schedule) || schedule.time >= minuteBegan)
  }

  async addSchedule(schedule: Schedule): Promise<void> {
    const body = this.#store.codec.encode(schedule)
    await this.#replace(schedule.scheduleId, { body, list: this.#listOf(schedule) })
  }

  /** Takes the id out of every list that may hold it, whatever the kind of the schedule. */
  async deleteSchedule(scheduleId: string, { ifTime }: DeleteScheduleOptions = {}): Promise<void> {
    await this.#replace(scheduleId, undefined, ifTime)
  }

  /**
   * Changes of Kiq's processes are told at once. Those of Python are looked for every second in what is due by a cron
   * expression, by an interval, or at a time in this or the next minute. One for a later minute, which Python has added or
   * deleted, is told when the minute before has come.
   *
   * @throws {ConfigError} `KIQ_BROKER_NOT_STARTED`
   */
  watch(listener: () => void): () => void {
    return this.#store.watch(listener, { look: (connection) => this.#look(connection), pauseFactor: PAUSE_FACTOR })
  }

  async #look(connection: RedisConnection): Promise<string> {
    const now = Date.now()
    const thisMinute = this.#timeKey(now)
    const keys = [this.#key('cron'), this.#key('interval'), thisMinute, this.#timeKey(now + MINUTE_MS)]
    const lists = (await Promise.all(keys.map((key) => connection.call('LRANGE', key, 0, -1)))) as readonly string[][]
    this.#forgetBefore(thisMinute)
    // An empty minute makes no difference when it comes or goes, unless what was listed for it is there no more.
    const known = keys.flatMap((key, i) => (lists[i]?.length || this.#expected.has(key) ? [[key, lists[i]]] : []))
    // Its records, too: Python replaces a schedule by deleting it and adding it again.
    const ids = new Set(lists.flat())
    const records = await this.#store.digest(
      connection,
      [...ids].map((id) => this.#key(`data:${id}`)),
    )
    return sha1(Buffer.from(JSON.stringify([known, records])))
  }

  #forgetBefore(thisMinute: string): void {
    if (this.#expectedSince === thisMinute) return
    this.#expectedSince = thisMinute
    for (const key of this.#expected) if (key < thisMinute) this.#expected.delete(key)
  }

  /** @param ifTime - Does nothing unless that is the time of the schedule that is there. */
  async #replace(id: string, next: Placement | undefined, ifTime?: number): Promise<void> {
    const connection = await this.#store.connection()
    if (connection.isCluster && !hasHashTag(this.prefix)) {
      if (await this.#isAt(connection, id, ifTime)) await this.#replaceInSteps(connection, id, next)
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
      const { channel } = this.#store
      const reply = await connection.run(REPLACE_SCHEDULE, keys, [id, known ? sha1(known) : '', channel, ...record])
      if (!Buffer.isBuffer(reply)) return
      // There was one, or somebody has just changed it.
      known = reply
      if (ifTime !== undefined && this.#store.codec.timeOf(known, id) !== ifTime) return
    }
  }

  async #isAt(connection: RedisConnection, id: string, ifTime: number | undefined): Promise<boolean> {
    if (ifTime === undefined) return true
    const body = await connection.callBuffer('GET', this.#key(`data:${id}`))
    return Buffer.isBuffer(body) && this.#store.codec.timeOf(body, id) === ifTime
  }

  /** In several slots, where no script reaches all keys. Lists that do not fit a record do no harm to our reading. */
  async #replaceInSteps(connection: RedisConnection, id: string, next: Placement | undefined): Promise<void> {
    const data = this.#key(`data:${id}`)
    const command: readonly [string, ...RedisArgument[]] = next ? ['SET', data, next.body, 'GET'] : ['GETDEL', data]
    const before = await connection.callBuffer(...command)
    const lists = await this.#listsOf(connection, id, Buffer.isBuffer(before) ? before : undefined)
    for (const list of new Set(next ? [...lists, next.list] : lists)) await connection.call('LREM', list, 0, id)
    if (next) await connection.call('RPUSH', next.list, id)
    // It is changed all the same, and will be found.
    await connection.call('PUBLISH', this.#store.channel, '').catch(() => undefined)
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

/** Whether it is in the list of a minute. */
function isForTime(schedule: Schedule): schedule is Schedule & { readonly time: number } {
  return schedule.cron === undefined && schedule.time !== undefined
}
