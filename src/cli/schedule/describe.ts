import type { Schedule } from '../../contract/index.ts'
import type { PlannedRun, ScheduleInfo } from '../../scheduler/index.ts'
import { formatAge, formatTable } from '../table.ts'

interface TableContext {
  readonly now: number
  readonly width?: number | undefined
}

/** One line per schedule. */
export function formatSchedules(all: readonly ScheduleInfo[], { now, width }: TableContext): string {
  if (all.length === 0) return 'No schedules.\n'
  return formatTable(
    ['ID', 'TASK', 'TRIGGER', 'NEXT', 'LAST', 'SOURCE'],
    all.map((info) => [
      info.schedule.scheduleId,
      info.schedule.taskName,
      triggerOf(info.schedule),
      info.isPaused ? 'paused' : whenOf(info.nextAt, now),
      info.lastAt === undefined ? '-' : `${formatAge(now - info.lastAt.getTime())} ago`,
      info.source,
    ]),
    { width },
  )
}

/** One line per firing. */
export function formatRuns(runs: readonly PlannedRun[], now: number): string {
  if (runs.length === 0) return 'Nothing will fire.\n'
  return formatTable(
    ['AT', 'IN', 'TASK', 'ID'],
    runs.map(({ at, taskName, scheduleId }) => [at.toISOString(), inWords(at, now), taskName, scheduleId]),
  )
}

export function scheduleToJson({ schedule, source, isPaused, lastAt, nextAt }: ScheduleInfo): object {
  const { scheduleId, taskName, cron, timeZone, intervalMs, time, labels, args, kwargs, ...rules } = schedule
  return {
    scheduleId,
    taskName,
    source,
    cron: cron ?? null,
    timeZone: timeZone ?? null,
    intervalSeconds: intervalMs === undefined ? null : intervalMs / 1000,
    time: time === undefined ? null : new Date(time).toISOString(),
    ...rules,
    labels,
    args,
    kwargs,
    isPaused,
    lastAt: lastAt?.toISOString() ?? null,
    nextAt: nextAt?.toISOString() ?? null,
  }
}

export function runToJson({ scheduleId, taskName, at }: PlannedRun): object {
  return { scheduleId, taskName, at: at.toISOString() }
}

/** `0 5 * * * Europe/Berlin`, `every 90s`, `at 2026-11-22T10:00:00.000Z`. */
function triggerOf({ cron, timeZone, intervalMs, time }: Schedule): string {
  const triggers = []
  if (cron !== undefined) triggers.push(timeZone === undefined ? cron : `${cron} ${timeZone}`)
  if (intervalMs !== undefined) triggers.push(`every ${intervalMs / 1000}s`)
  if (time !== undefined) triggers.push(`at ${new Date(time).toISOString()}`)
  return triggers.join(', ')
}

function whenOf(at: Date | undefined, now: number): string {
  return at === undefined ? 'never' : `${at.toISOString()} (${inWords(at, now)})`
}

function inWords(at: Date, now: number): string {
  const ms = at.getTime() - now
  return ms <= 0 ? 'now' : `in ${formatAge(ms)}`
}
