import type {
  DeleteScheduleOptions,
  Logger,
  Schedule,
  ScheduleLedger,
  WritableScheduleSource,
} from '../../contract/index.ts'
import type { RedisConnection } from './connection.ts'
import { escapeGlob, ScheduleStore } from './schedule-store.ts'
import { sha1 } from './schedule-watch.ts'
import type { RedisScheduleInternals, RedisScheduleOptions } from './schedule-store.ts'
import { DELETE_SCHEDULE, PUT_SCHEDULE } from './scripts/schedules.ts'

/** At most 5 % of the time are spent on looking for changes: each look walks through all keys of the Redis. */
const PAUSE_FACTOR = 20

/**
 * Schedules in Redis, one key for each: the layout of Taskiq's `RedisScheduleSource`, and of its variants for clusters
 * and sentinels. Python's schedulers and any number of processes see and change the same schedules. Every method throws
 * the errors of the connection while Redis cannot be reached.
 *
 * **Python writes pickles unless told otherwise**, and a source there that meets JSON lists nothing at all; see
 * `serializer`. The same happens when it meets an interval that is not a whole number of seconds.
 */
export class RedisScheduleSource implements WritableScheduleSource {
  readonly name: string
  /** Begins every key. */
  readonly prefix: string
  readonly ledger: ScheduleLedger
  readonly #store: ScheduleStore

  /**
   * @param internals - For tests.
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense.
   */
  constructor(options: RedisScheduleOptions, internals: RedisScheduleInternals = {}) {
    this.#store = new ScheduleStore(options, 'keys', internals)
    this.prefix = this.#store.prefix
    this.name = `redis:${this.prefix}`
    this.ledger = this.#store.ledger
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

  /** Looks at every key of the Redis, as Taskiq does, to find those with the prefix. */
  async getSchedules(): Promise<readonly Schedule[]> {
    return await this.#store.list(this.#key(''))
  }

  async addSchedule(schedule: Schedule): Promise<void> {
    const body = this.#store.codec.encode(schedule)
    const connection = await this.#store.connection()
    await connection.run(PUT_SCHEDULE, [this.#key(schedule.scheduleId)], [body, this.#store.channel])
  }

  async deleteSchedule(scheduleId: string, { ifTime }: DeleteScheduleOptions = {}): Promise<void> {
    const connection = await this.#store.connection()
    const key = this.#key(scheduleId)
    if (ifTime === undefined) {
      await connection.run(DELETE_SCHEDULE, [key], [this.#store.channel, ''])
      return
    }
    const body = await connection.callBuffer('GET', key)
    if (!Buffer.isBuffer(body) || this.#store.codec.timeOf(body, scheduleId) !== ifTime) return
    await connection.run(DELETE_SCHEDULE, [key], [this.#store.channel, sha1(body)])
  }

  /**
   * Changes of Kiq's processes are told at once; those of Python are found by looking at every key of the Redis, each
   * second, but for at most 5 % of the time.
   *
   * @throws {ConfigError} `KIQ_BROKER_NOT_STARTED`
   */
  watch(listener: () => void): () => void {
    return this.#store.watch(listener, { look: (connection) => this.#look(connection), pauseFactor: PAUSE_FACTOR })
  }

  async #look(connection: RedisConnection): Promise<string> {
    const keys = await connection.scan(`${escapeGlob(this.#key(''))}*`)
    // Redis gives them in the order of its table, which grows and shrinks.
    return await this.#store.digest(connection, [...keys].sort())
  }

  #key(scheduleId: string): string {
    return `${this.prefix}:${scheduleId}`
  }
}
