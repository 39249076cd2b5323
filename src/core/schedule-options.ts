import { checkSchedule, ScheduleError } from '../contract/index.ts'
import type { Labels, Schedule, ScheduleRules } from '../contract/index.ts'
import type { Duration } from '../util/duration.ts'
import { parseDurationMs } from '../util/duration.ts'
import { show } from '../util/show.ts'

/** How a schedule fires, besides its trigger. */
export interface ScheduleOptions {
  /**
   * Of the cron expression: an IANA name such as `Europe/Berlin`, or an offset such as `+02:00`.
   *
   * @defaultValue UTC
   */
  readonly timeZone?: string | undefined
  /**
   * Puts each firing off by a random time up to this, so that not everything starts in the same second.
   *
   * @defaultValue 0
   */
  readonly jitter?: Duration | undefined
  /** Does not fire before. */
  readonly start?: Date | undefined
  /** Does not fire after. */
  readonly end?: Date | undefined
  /**
   * `'skip'`: does not fire while the task of the last firing has no result. Needs a result backend.
   *
   * @defaultValue `'allow'`
   */
  readonly overlap?: 'allow' | 'skip' | undefined
  /**
   * What is made up for after a time in which no scheduler ran: nothing, the last firing, or all of them.
   *
   * @defaultValue `'none'`
   */
  readonly catchUp?: 'none' | 'one' | 'all' | undefined
  /**
   * Most firings that `catchUp: 'all'` makes up for: the last ones.
   *
   * @defaultValue 100
   */
  readonly catchUpLimit?: number | undefined
}

/** One schedule of a task, as its declaration has it. One of `cron`, `interval` and `time`. */
export interface TaskSchedule extends ScheduleOptions {
  /** Five fields, or six with seconds first; names, ranges, steps, `L`, `W`, `#`, `@daily` and the like. */
  readonly cron?: string | undefined
  /** At least 100 ms. */
  readonly interval?: Duration | undefined
  readonly time?: Date | undefined
  readonly args?: readonly unknown[] | undefined
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined
  /** Besides those of the task, which win. */
  readonly labels?: Labels | undefined
  /**
   * Unique among the schedules of the application; keep it when the trigger changes.
   *
   * @defaultValue made of the task's name and the trigger
   */
  readonly scheduleId?: string | undefined
}

/** When a schedule fires. */
export type Trigger = Pick<Schedule, 'cron' | 'intervalMs' | 'time'>

/** @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` with the value. */
export function intervalMs(interval: Duration): number {
  return durationOf('interval', interval)
}

/** @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` with the value. */
export function timeOf(name: string, time: Date): number {
  const given: unknown = time
  if (given instanceof Date && !Number.isNaN(given.getTime())) return given.getTime()
  throw new ScheduleError('KIQ_SCHEDULE_INVALID', `\`${name}\` is ${show(given)}, which is no date. Pass a valid Date.`)
}

/** @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` with the value. */
export function rulesOf(options: ScheduleOptions): ScheduleRules & Pick<Schedule, 'timeZone'> {
  const { timeZone, jitter, start, end, overlap, catchUp, catchUpLimit } = options
  return {
    ...(timeZone === undefined ? {} : { timeZone }),
    ...(jitter === undefined ? {} : { jitterMs: durationOf('jitter', jitter) }),
    ...(start === undefined ? {} : { startAt: timeOf('start', start) }),
    ...(end === undefined ? {} : { endAt: timeOf('end', end) }),
    ...(overlap === undefined ? {} : { overlap }),
    ...(catchUp === undefined ? {} : { catchUp }),
    ...(catchUpLimit === undefined ? {} : { catchUpLimit }),
  }
}

/**
 * The schedules that a task declares.
 *
 * @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` for one that could never fire.
 */
export function declaredSchedules(
  taskName: string,
  labels: Labels,
  declared: readonly TaskSchedule[],
): readonly Schedule[] {
  const ids = new Set<string>()
  return declared.map((entry) => {
    const { cron, interval, time, args = [], kwargs = {} } = entry
    const trigger: Trigger = {
      ...(cron === undefined ? {} : { cron }),
      ...(interval === undefined ? {} : { intervalMs: intervalMs(interval) }),
      ...(time === undefined ? {} : { time: timeOf('time', time) }),
    }
    const scheduleId = uniqueId(entry.scheduleId ?? `${taskName}:${nameOf(trigger)}`, ids)
    const schedule: Schedule = {
      scheduleId,
      taskName,
      labels: { ...entry.labels, ...labels },
      args,
      kwargs,
      ...trigger,
      ...rulesOf(entry),
    }
    checkSchedule(schedule)
    return schedule
  })
}

/** The same in every process, and after a restart. */
function nameOf({ cron, intervalMs: ms, time }: Trigger): string {
  if (cron !== undefined) return cron
  return ms === undefined ? new Date(time ?? 0).toISOString() : `${ms}ms`
}

function uniqueId(id: string, ids: Set<string>): string {
  let unique = id
  for (let number = 2; ids.has(unique); number += 1) unique = `${id}#${number}`
  ids.add(unique)
  return unique
}

function durationOf(name: string, value: Duration): number {
  const ms = parseDurationMs(value)
  if (ms !== undefined) return ms
  throw new ScheduleError(
    'KIQ_SCHEDULE_INVALID',
    `\`${name}\` is ${show(value)}, which is not a duration. Use milliseconds, or text such as '250ms', '30s' or '1h30m'.`,
  )
}
