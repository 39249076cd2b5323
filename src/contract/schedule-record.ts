import { inspect } from 'node:util'

import { parseIsoDurationMs } from '../util/iso-duration.ts'
import { parseIsoTimeMs } from '../util/iso-time.ts'
import { plainCron } from '../util/cron.ts'
import { messageOf, show } from '../util/show.ts'
import { checkSchedule } from './check-schedule.ts'
import { ScheduleError } from './errors.ts'
import type { Schedule, ScheduleRules } from './schedule-source.ts'

/** Taskiq's `ScheduledTask` as it is stored (wire format, section 6.1), in the order in which Python writes it. */
export interface ScheduleRecord {
  readonly task_name: string
  readonly labels: Fields
  readonly args: readonly unknown[]
  readonly kwargs: Fields
  readonly task_id: string | null
  readonly schedule_id: string
  readonly cron: string | null
  /** IANA zone, or `±HH:MM`. */
  readonly cron_offset: string | null
  /** ISO 8601, in UTC. */
  readonly time: string | null
  /** Whole seconds, or an ISO 8601 duration. */
  readonly interval: number | string | null
  /** What only our schedulers know. Absent where there is none. */
  readonly kiq?: RuleRecord
}

/** Our own part of a record: times in ISO 8601 and UTC. */
interface RuleRecord {
  readonly jitter_ms?: number | undefined
  readonly start?: string | undefined
  readonly end?: string | undefined
  readonly overlap?: 'allow' | 'skip' | undefined
  readonly catch_up?: 'none' | 'one' | 'all' | undefined
  readonly catch_up_limit?: number | undefined
}

type Fields = Readonly<Record<string, unknown>>

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

/** Beyond it, a number is milliseconds: pydantic's rule. */
const MAX_UNIX_SECONDS = 2e10

/**
 * The record of a schedule: plain objects, arrays, text, finite numbers, booleans and `null`, sharing nothing with the
 * schedule. How it becomes bytes is the matter of each source.
 *
 * A cron expression is written in the words that Python's scheduler knows, where it has any: names as numbers, `@daily`
 * as `0 0 * * *`.
 *
 * Python's Taskiq reads it, with two exceptions. It refuses an interval that is not a whole number of seconds, and with
 * it the whole listing; and before 0.13 an offset that is not a whole number of hours ends its scheduler.
 *
 * @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` when the schedule can never fire, or holds what cannot be kept: bytes,
 *   bigints, NaN, infinities, cycles, a time outside the years 1 to 9999.
 */
export function scheduleToRecord(schedule: Schedule): ScheduleRecord {
  checkSchedule(schedule)
  const { taskName, labels, args, kwargs, taskId, scheduleId, cron, timeZone, time, intervalMs } = schedule
  const record: ScheduleRecord = {
    task_name: taskName,
    labels,
    args,
    kwargs,
    task_id: taskId ?? null,
    schedule_id: scheduleId,
    cron: cron === undefined ? null : plainCron(cron),
    cron_offset: timeZone === undefined ? null : formatZone(timeZone),
    time: time === undefined ? null : formatTime(schedule, time),
    interval: intervalMs === undefined ? null : formatInterval(schedule, intervalMs),
    ...rulesToRecord(schedule),
  }
  return JSON.parse(toJson(schedule, record)) as ScheduleRecord
}

/**
 * The schedule of a record that Python or we have written. What is inside `labels`, `args` and `kwargs` is handed on as
 * it is; other fields are ignored.
 *
 * - `time`: ISO 8601, in UTC where it names no zone; or a number, Unix seconds up to 2 × 10¹⁰ and milliseconds beyond
 * - `interval`: seconds, as a number or as text, or a duration such as `PT1M30S` or `1:30:00`
 * - `cron_offset`: an IANA zone, `±HH:MM`, another duration of whole minutes, or a number of seconds. Offsets come back
 *   as `±HH:MM`.
 *
 * @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` with the field and its value.
 */
export function scheduleFromRecord(value: unknown): Schedule {
  if (!isObject(value)) {
    throw new ScheduleError('KIQ_SCHEDULE_INVALID', `A stored schedule is ${show(value)}. ${REMEDY}`)
  }
  const schedule: Schedule = {
    scheduleId: textOf(value, 'schedule_id'),
    taskName: textOf(value, 'task_name'),
    labels: objectOf(value, 'labels'),
    args: listOf(value, 'args'),
    kwargs: objectOf(value, 'kwargs'),
    ...optional('taskId', value, 'task_id', textOf),
    ...optional('cron', value, 'cron', textOf),
    ...optional('timeZone', value, 'cron_offset', zoneOf),
    ...optional('intervalMs', value, 'interval', intervalMsOf),
    ...optional('time', value, 'time', timeOf),
    ...rulesFromRecord(value),
  }
  checkSchedule(schedule)
  return schedule
}

function rulesToRecord(schedule: Schedule): { readonly kiq?: RuleRecord } {
  const { jitterMs, startAt, endAt, overlap, catchUp, catchUpLimit } = schedule
  const rules: RuleRecord = {
    jitter_ms: jitterMs,
    start: startAt === undefined ? undefined : formatTime(schedule, startAt),
    end: endAt === undefined ? undefined : formatTime(schedule, endAt),
    overlap,
    catch_up: catchUp,
    catch_up_limit: catchUpLimit,
  }
  return Object.values(rules).some((rule) => rule !== undefined) ? { kiq: rules } : {}
}

/** Values out of range are found by the check of the whole. */
function rulesFromRecord(record: Fields): ScheduleRules {
  if (record['kiq'] === undefined || record['kiq'] === null) return {}
  const rules = { schedule_id: record['schedule_id'], ...objectOf(record, 'kiq') }
  const asIs = (of: Fields, field: string): never => of[field] as never
  return {
    ...optional('jitterMs', rules, 'jitter_ms', asIs),
    ...optional('startAt', rules, 'start', timeOf),
    ...optional('endAt', rules, 'end', timeOf),
    ...optional('overlap', rules, 'overlap', asIs),
    ...optional('catchUp', rules, 'catch_up', asIs),
    ...optional('catchUpLimit', rules, 'catch_up_limit', asIs),
  }
}

function toJson(schedule: Schedule, record: ScheduleRecord): string {
  try {
    return JSON.stringify(record, function (this: Fields, key, value: unknown) {
      // What stands there itself: `toJSON` has made an object of a Buffer.
      const original = this[key]
      if (!isUnkeepable(original) && !isUnkeepable(value)) return value
      throw invalid(schedule, `has ${inspect(original)} at "${key}", which JSON cannot keep. Use text instead.`)
    })
  } catch (error) {
    if (error instanceof ScheduleError) throw error
    throw invalid(schedule, `cannot be written as JSON: ${messageOf(error)}. Give it plain data.`, error)
  }
}

function isUnkeepable(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value)
  return typeof value === 'bigint' || value instanceof Uint8Array
}

/** Whole hours by their IANA names, whose signs are the other way round: all that Taskiq before 0.13 reads. */
function formatZone(timeZone: string): string {
  const match = /^([+-])(\d\d):00$/.exec(timeZone)
  if (!match) return timeZone
  const [, sign, digits] = match
  const hours = Number(digits)
  if (hours > (sign === '+' ? 14 : 12)) return timeZone
  return `Etc/GMT${sign === '+' ? '-' : '+'}${hours}`
}

function formatTime(schedule: Schedule, time: number): string {
  const text = new Date(time).toISOString()
  if (/^\d/.test(text) && !text.startsWith('0000')) return text
  throw invalid(schedule, `has the time ${text}, which Python cannot read. Use one in the years 1 to 9999.`)
}

/** Python reads whole seconds; a fraction must be a duration. */
function formatInterval(schedule: Schedule, ms: number): number | string {
  if (ms > Number.MAX_SAFE_INTEGER) throw invalid(schedule, `has an interval of ${ms} ms. Use less than 2^53.`)
  return ms % 1000 === 0 ? ms / 1000 : `PT${ms / 1000}S`
}

function zoneOf(record: Fields, field: string): string | undefined {
  const value = record[field]
  const isSeconds = typeof value === 'number'
  const text = isSeconds ? '' : textOf(record, field)
  // Taskiq takes an empty one for none.
  if (!isSeconds && text === '') return undefined
  const offsetMs = isSeconds ? value * 1000 : (etcOffsetMs(text) ?? parseIsoDurationMs(text))
  if (offsetMs === undefined) return text
  const minutes = Math.abs(offsetMs) / MINUTE_MS
  if (!Number.isInteger(minutes) || minutes * MINUTE_MS >= DAY_MS) {
    throw unreadable(record, field, 'which is no offset of whole minutes below a day')
  }
  const digits = [Math.floor(minutes / 60), minutes % 60].map((number) => String(number).padStart(2, '0'))
  return `${offsetMs < 0 ? '-' : '+'}${digits.join(':')}`
}

function etcOffsetMs(zone: string): number | undefined {
  const match = /^Etc\/GMT([+-])(\d|1[0-4])$/.exec(zone)
  if (!match) return undefined
  const [, sign, hours] = match
  return (sign === '-' ? 1 : -1) * Number(hours) * 60 * MINUTE_MS
}

function intervalMsOf(record: Fields, field: string): number {
  const value = record[field]
  const number = numberIn(value)
  const ms = number === undefined ? parseIsoDurationMs(typeof value === 'string' ? value : '') : number * 1000
  if (ms === undefined) throw unreadable(record, field, 'which is no duration')
  return ms
}

function timeOf(record: Fields, field: string): number {
  const value = record[field]
  const number = numberIn(value)
  const ms = number === undefined ? parseIsoTimeMs(typeof value === 'string' ? value : '') : fromUnix(number)
  if (ms === undefined) throw unreadable(record, field, 'which is no time')
  return ms
}

/** Numbers and their texts are read alike, as pydantic does. */
function numberIn(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && /^[+-]?\d+(?:\.\d+)?$/.test(value.trim()) ? Number(value) : undefined
}

/** To the microsecond first: 1.001 × 1000 is less than 1001. */
function fromUnix(number: number): number {
  return Math.abs(number) > MAX_UNIX_SECONDS ? Math.floor(number) : Math.floor(Math.round(number * 1e6) / 1e3)
}

function textOf(record: Fields, field: string): string {
  const value = record[field]
  if (typeof value === 'string') return value
  throw unreadable(record, field, 'which is no text')
}

function objectOf(record: Fields, field: string): Fields {
  const value = record[field]
  if (isObject(value)) return value
  throw unreadable(record, field, 'which is no object')
}

function listOf(record: Fields, field: string): readonly unknown[] {
  const value = record[field]
  if (Array.isArray(value)) return value
  throw unreadable(record, field, 'which is no list')
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}

/** The property that a field becomes, unless it is null or missing. */
function optional<K extends string, V>(
  key: K,
  record: Fields,
  field: string,
  read: (record: Fields, field: string) => V | undefined,
): { readonly [P in K]?: V } {
  const value = record[field] === null || record[field] === undefined ? undefined : read(record, field)
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V })
}

const REMEDY = 'Delete it and add it again.'

function invalid({ scheduleId, taskName }: Schedule, problem: string, cause?: unknown): ScheduleError {
  const options = cause === undefined ? {} : { cause }
  return new ScheduleError('KIQ_SCHEDULE_INVALID', `Schedule "${scheduleId}" of task "${taskName}" ${problem}`, options)
}

function unreadable(record: Fields, field: string, problem: string): ScheduleError {
  const [id, value] = [record['schedule_id'], record[field]]
  const name = typeof id === 'string' ? `The stored schedule "${id}"` : 'A stored schedule'
  const what = value === undefined ? `has no \`${field}\`` : `has ${show(value)} as its \`${field}\`, ${problem}`
  return new ScheduleError('KIQ_SCHEDULE_INVALID', `${name} ${what}. ${REMEDY}`)
}
