import type { Logger, Schedule, WritableScheduleSource } from '../../contract/index.ts'
import { ScheduleStore } from './schedule-store.ts'
import type { RedisScheduleOptions } from './schedule-store.ts'

/**
 * Schedules in Redis, one key for each: the layout of Taskiq's `RedisScheduleSource`, and of its variants for clusters
 * and sentinels. Python's schedulers and any number of processes see and change the same schedules. Every method throws
 * the errors of the connection while Redis cannot be reached.
 *
 * **Python writes pickles unless told otherwise**, and a source there that meets JSON lists nothing at all; see
 * `serializer`. The same happens when it meets an interval that is not a whole number of seconds.
 */
export class RedisScheduleSource implements WritableScheduleSource {
  /** Begins every key. */
  readonly prefix: string
  readonly #store: ScheduleStore

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense. */
  constructor(options: RedisScheduleOptions) {
    this.#store = new ScheduleStore(options)
    this.prefix = this.#store.prefix
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
    await connection.call('SET', this.#key(schedule.scheduleId), body)
  }

  async deleteSchedule(scheduleId: string): Promise<void> {
    const connection = await this.#store.connection()
    await connection.call('DEL', this.#key(scheduleId))
  }

  #key(scheduleId: string): string {
    return `${this.prefix}:${scheduleId}`
  }
}
