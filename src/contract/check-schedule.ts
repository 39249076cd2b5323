import { CronError, cronExpression } from '../util/cron.ts'
import { messageOf, show } from '../util/show.ts'
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

/** What keeps a schedule from ever firing, and the remedy; `undefined` = nothing. */
function problemOf(schedule: Schedule): string | undefined {
  const { cron, intervalMs, time, timeZone } = schedule
  if (cron === undefined && intervalMs === undefined && time === undefined) {
    return 'has no trigger. Give it `cron`, `intervalMs` or `time`.'
  }
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    return `has the time zone ${JSON.stringify(timeZone)}. Use an IANA name such as "Europe/Berlin", or "+02:00".`
  }
  if (intervalMs !== undefined && !(Number.isFinite(intervalMs) && intervalMs >= MIN_INTERVAL_MS)) {
    return `has an interval of ${intervalMs} ms. Use at least ${MIN_INTERVAL_MS}.`
  }
  if (time !== undefined && !isTime(time)) {
    return `has the time ${time}, which is no date. Use milliseconds since the epoch.`
  }
  return (cron === undefined ? undefined : cronProblem(cron, timeZone)) ?? ruleProblem(schedule)
}

function cronProblem(cron: string, timeZone: string | undefined): string | undefined {
  try {
    cronExpression(cron, timeZone)
    return undefined
  } catch (error) {
    const where =
      error instanceof CronError && error.position !== undefined ? ` at character ${error.position + 1}` : ''
    const reason = `has the cron expression ${JSON.stringify(cron)}, which cannot be used${where}: ${messageOf(error)}.`
    return `${reason} Write five fields, for example "*/5 * * * *", or six with seconds first.`
  }
}

function ruleProblem({
  jitterMs,
  startAt,
  endAt,
  overlap,
  catchUp,
  catchUpLimit,
  taskId,
}: Schedule): string | undefined {
  if (jitterMs !== undefined && !(Number.isFinite(jitterMs) && jitterMs >= 0)) {
    return `has a jitter of ${jitterMs} ms. Use 0 or more.`
  }
  for (const [name, at] of Object.entries({ startAt, endAt })) {
    if (at !== undefined && !isTime(at)) return `has ${name} ${at}, which is no date. Use milliseconds since the epoch.`
  }
  if (startAt !== undefined && endAt !== undefined && endAt < startAt) {
    return `ends at ${new Date(endAt).toISOString()}, before it starts. Use a later \`endAt\`.`
  }
  if (overlap !== undefined && !['allow', 'skip'].includes(overlap)) {
    return `has overlap ${show(overlap)}. Use 'allow' or 'skip'.`
  }
  if (overlap === 'skip' && taskId !== undefined) {
    return (
      `has overlap "skip" and the task id "${taskId}", so that the result of one firing would count as the end of the ` +
      'next. Drop one of them.'
    )
  }
  if (catchUp !== undefined && !['none', 'one', 'all'].includes(catchUp)) {
    return `has catchUp ${show(catchUp)}. Use 'none', 'one' or 'all'.`
  }
  if (catchUpLimit !== undefined && !(Number.isSafeInteger(catchUpLimit) && catchUpLimit >= 1)) {
    return `has a catchUpLimit of ${catchUpLimit}. Use a whole number ≥ 1.`
  }
  return undefined
}

function isTime(ms: number): boolean {
  return !Number.isNaN(new Date(ms).getTime())
}

/** Names that were looked up: that takes longer than all the rest. */
const zones = new Map<string, boolean>()
const MAX_ZONES = 1_000

function isTimeZone(text: string): boolean {
  // By hand: Node 20 does not take offsets for zones.
  if (/^[+-]([01]\d|2[0-3]):[0-5]\d$/.test(text)) return true
  const known = zones.get(text)
  if (known !== undefined) return known
  if (zones.size >= MAX_ZONES) zones.clear()
  const isKnown = isIanaZone(text)
  zones.set(text, isKnown)
  return isKnown
}

function isIanaZone(text: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text })
    return true
  } catch {
    return false
  }
}
