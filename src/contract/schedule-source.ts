import type { Logger } from './logger.ts'
import type { Labels } from './message.ts'

/**
 * What to send, and when. Exactly Taskiq's record (wire format, section 6): at least one of `cron`, `intervalMs` and
 * `time` is given.
 */
export interface Schedule {
  /** Unique within the source; adding the same id again replaces the schedule. */
  readonly scheduleId: string
  readonly taskName: string
  readonly labels: Labels
  readonly args: readonly unknown[]
  readonly kwargs: Readonly<Record<string, unknown>>
  /** The same id for every firing; a fresh one per firing when absent. */
  readonly taskId?: string | undefined
  readonly cron?: string | undefined
  /** IANA zone, for example `Europe/Berlin`, or a fixed offset such as `+02:00`. UTC when absent. */
  readonly timeZone?: string | undefined
  /** Milliseconds between firings, ≥ 100. */
  readonly intervalMs?: number | undefined
  /** Milliseconds since the epoch. */
  readonly time?: number | undefined
}

/** Where schedules are kept. */
export interface ScheduleSource {
  startup(options?: { readonly logger?: Logger | undefined }): Promise<void>
  shutdown(): Promise<void>
  /** Every schedule, in no particular order. A record that cannot be read is reported to the logger and left out. */
  getSchedules(): Promise<readonly Schedule[]>
}

/** A source that also accepts changes. A separate type: what a source cannot do is absent, not an error at run time. */
export interface WritableScheduleSource extends ScheduleSource {
  /** @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` when it has no trigger, or one that cannot be kept. */
  addSchedule(schedule: Schedule): Promise<void>
  /** Harmless when there is none of that id. */
  deleteSchedule(scheduleId: string): Promise<void>
}
