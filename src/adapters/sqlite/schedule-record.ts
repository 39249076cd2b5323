import { inspect } from 'node:util'

import { checkSchedule, ScheduleError } from '../../contract/index.ts'
import type { Schedule } from '../../contract/index.ts'

/** Taskiq's `ScheduledTask` as JSON, in the order in which Python writes it. */
interface ScheduleRecord {
  readonly task_name: string
  readonly labels: Readonly<Record<string, unknown>>
  readonly args: readonly unknown[]
  readonly kwargs: Readonly<Record<string, unknown>>
  readonly task_id: string | null
  readonly schedule_id: string
  readonly cron: string | null
  readonly cron_offset: string | null
  /** ISO 8601. */
  readonly time: string | null
  /** Whole seconds, or an ISO 8601 duration. */
  readonly interval: number | string | null
}

/** @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` when the schedule can never fire, or cannot be written. */
export function formatSchedule(schedule: Schedule): string {
  checkSchedule(schedule)
  const { taskName, labels, args, kwargs, taskId, scheduleId, cron, timeZone, time, intervalMs } = schedule
  const record: ScheduleRecord = {
    task_name: taskName,
    labels,
    args,
    kwargs,
    task_id: taskId ?? null,
    schedule_id: scheduleId,
    cron: cron ?? null,
    cron_offset: timeZone ?? null,
    time: time === undefined ? null : new Date(time).toISOString(),
    interval: intervalMs === undefined ? null : formatInterval(intervalMs),
  }
  return JSON.stringify(record, (key, value: unknown) => {
    if (!isUnkeepable(value)) return value
    throw invalid(schedule, `has ${inspect(value)} at "${key}", which JSON cannot keep. Use text instead.`)
  })
}

/** @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` saying what is wrong with the text. */
export function parseSchedule(text: string): Schedule {
  const record = parseRecord(text)
  const { task_name: taskName, schedule_id: scheduleId, labels, args, kwargs } = record
  if (typeof taskName !== 'string' || typeof scheduleId !== 'string') throw unreadable(text, 'no name or id')
  if (!isRecord(labels) || !Array.isArray(args) || !isRecord(kwargs)) throw unreadable(text, 'no labels or arguments')
  const schedule: Schedule = {
    scheduleId,
    taskName,
    labels,
    args: args as readonly unknown[],
    kwargs,
    ...optional('taskId', textOrNone(record['task_id'])),
    ...optional('cron', textOrNone(record['cron'])),
    ...optional('timeZone', textOrNone(record['cron_offset'])),
    ...optional('intervalMs', parseInterval(record['interval'])),
    ...optional('time', parseTime(record['time'])),
  }
  checkSchedule(schedule)
  return schedule
}

/** Python reads whole seconds; a fraction must be a duration. */
function formatInterval(ms: number): number | string {
  return ms % 1000 === 0 ? ms / 1000 : `PT${ms / 1000}S`
}

function parseInterval(value: unknown): number | undefined {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'number') return value * 1000
  const text = textOrNone(value) ?? ''
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000
  const iso = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text)
  const clock = /^(?:(\d+) days?, )?(\d+):(\d+):(\d+(?:\.\d+)?)$/.exec(text)
  const [, days = 0, hours = 0, minutes = 0, seconds = 0] = iso ?? clock ?? [undefined, NaN]
  const wholeSeconds = Number(days) * 86_400 + Number(hours) * 3_600 + Number(minutes) * 60
  return Math.round((wholeSeconds + Number(seconds)) * 1000)
}

function parseTime(value: unknown): number | undefined {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'number') return value * 1000
  const text = (textOrNone(value) ?? '').replace(' ', 'T')
  // Python's naive times are UTC.
  return Date.parse(/(?:Z|[+-]\d\d:?\d\d)$/i.test(text) ? text : `${text}Z`)
}

function parseRecord(text: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw unreadable(text, 'no JSON', cause)
  }
  if (isRecord(value)) return value
  throw unreadable(text, 'no object')
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isUnkeepable(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value)
  return typeof value === 'bigint' || value instanceof Uint8Array
}

function textOrNone(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined
  return typeof value === 'string' ? value : inspect(value)
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V })
}

function invalid({ scheduleId, taskName }: Schedule, problem: string): ScheduleError {
  return new ScheduleError('KIQ_SCHEDULE_INVALID', `Schedule "${scheduleId}" of task "${taskName}" ${problem}`)
}

function unreadable(text: string, what: string, cause?: unknown): ScheduleError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text
  return new ScheduleError(
    'KIQ_SCHEDULE_INVALID',
    `A stored schedule has ${what}: ${shown}. Delete it and add it again.`,
    {
      cause,
    },
  )
}
