import { ScheduleError } from './errors.ts'
import type { Schedule } from './schedule-source.ts'

const MIN_INTERVAL_MS = 100

/**
 * What every writable source asks of a schedule before it keeps it.
 *
 * @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` with the value and the remedy, when it could never fire.
 */
export function checkSchedule(schedule: Schedule): void {
  const problem = problemOf(schedule)
  if (problem === undefined) return
  throw new ScheduleError(
    'KIQ_SCHEDULE_INVALID',
    `Schedule "${schedule.scheduleId}" of task "${schedule.taskName}" ${problem}`,
  )
}

/** What keeps a schedule from ever firing, and the remedy; `undefined` = nothing. The fields of `cron` are not judged. */
function problemOf({ cron, intervalMs, time, timeZone }: Schedule): string | undefined {
  if (cron === undefined && intervalMs === undefined && time === undefined) {
    return 'has no trigger. Give it `cron`, `intervalMs` or `time`.'
  }
  if (cron?.trim() === '') {
    return `has the cron expression ${JSON.stringify(cron)}. Write five fields, for example "*/5 * * * *".`
  }
  if (intervalMs !== undefined && !(Number.isFinite(intervalMs) && intervalMs >= MIN_INTERVAL_MS)) {
    return `has an interval of ${intervalMs} ms. Use at least ${MIN_INTERVAL_MS}.`
  }
  if (time !== undefined && Number.isNaN(new Date(time).getTime())) {
    return `has the time ${time}, which is no date. Use milliseconds since the epoch.`
  }
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    return `has the time zone ${JSON.stringify(timeZone)}. Use an IANA name such as "Europe/Berlin", or "+02:00".`
  }
  return undefined
}

function isTimeZone(text: string): boolean {
  // By hand: Node 20 does not take offsets for zones.
  if (/^[+-]([01]\d|2[0-3]):[0-5]\d$/.test(text)) return true
  try {
    new Intl.DateTimeFormat('en', { timeZone: text })
    return true
  } catch {
    return false
  }
}
