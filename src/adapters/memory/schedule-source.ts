import { ScheduleError } from '../../contract/index.ts'
import type { Schedule, WritableScheduleSource } from '../../contract/index.ts'

const MIN_INTERVAL_MS = 100

/** Keeps schedules in this object. Needs no `startup`; nothing survives the process. */
export class InMemoryScheduleSource implements WritableScheduleSource {
  readonly #schedules = new Map<string, Schedule>()

  async startup(): Promise<void> {
    // Nothing to open.
  }

  async shutdown(): Promise<void> {
    // Nothing to close: a later startup finds the schedules again.
  }

  async getSchedules(): Promise<readonly Schedule[]> {
    return [...this.#schedules.values()]
  }

  async addSchedule(schedule: Schedule): Promise<void> {
    const problem = problemOf(schedule)
    if (problem !== undefined) {
      throw new ScheduleError(
        'KIQ_SCHEDULE_INVALID',
        `Schedule "${schedule.scheduleId}" of task "${schedule.taskName}" ${problem}`,
      )
    }
    this.#schedules.set(schedule.scheduleId, { ...schedule })
  }

  async deleteSchedule(scheduleId: string): Promise<void> {
    this.#schedules.delete(scheduleId)
  }
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
