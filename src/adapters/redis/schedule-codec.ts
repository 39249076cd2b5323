import { inspect } from 'node:util'

import { ConfigError, ScheduleError, scheduleFromRecord, scheduleToRecord } from '../../contract/index.ts'
import type { Schedule, Serializer } from '../../contract/index.ts'
import { JsonSerializer } from '../../serializers/json-serializer.ts'
import { isPickle, PickleSerializer } from '../../serializers/pickle.ts'
import { messageOf } from '../../util/show.ts'
import { argumentOf } from './client.ts'

/** How schedules are written; see `RedisScheduleOptions.serializer`. */
export type ScheduleFormat = 'json' | 'pickle' | Serializer

const json = new JsonSerializer()
const pickle = new PickleSerializer()

/** Schedule ⇄ bytes. Writes one format, and reads whatever was written. */
export class ScheduleCodec {
  readonly #own: Serializer

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` with the value. */
  constructor(format: ScheduleFormat = 'json') {
    this.#own = serializerOf(format)
  }

  /** @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` when the schedule cannot be kept. */
  encode(schedule: Schedule): string | Buffer {
    const record = scheduleToRecord(schedule)
    try {
      return argumentOf(this.#own.dumpb(record))
    } catch (cause) {
      throw new ScheduleError(
        'KIQ_SCHEDULE_INVALID',
        `Schedule "${schedule.scheduleId}" cannot be written as ${this.#own.name}: ${messageOf(cause)}`,
        { cause },
      )
    }
  }

  /**
   * @param id - Of a record that names none.
   * @throws what the serializer or the record has to object.
   */
  decode(body: Uint8Array, id: string): Schedule {
    const detected = isPickle(body) ? pickle : json
    try {
      return read(detected, body, id)
    } catch (error) {
      if (this.#own === json || this.#own === pickle) throw error
    }
    return read(this.#own, body, id)
  }

  /** Of a schedule for one point in time; `undefined` for others, and for what cannot be read. */
  timeOf(body: Uint8Array, id: string): number | undefined {
    try {
      return this.decode(body, id).time
    } catch {
      return undefined
    }
  }
}

function read(serializer: Serializer, body: Uint8Array, id: string): Schedule {
  const value = serializer.loadb(body)
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value)
  return scheduleFromRecord(isRecord ? { schedule_id: id, ...value } : value)
}

function serializerOf(format: ScheduleFormat): Serializer {
  if (format === 'json') return json
  if (format === 'pickle') return pickle
  const given: unknown = format
  if (typeof given === 'object' && given !== null && 'dumpb' in given && 'loadb' in given) return format
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `\`serializer\` is ${inspect(format)}. Use 'json', 'pickle' or a serializer.`,
  )
}
