import type { Logger } from './logger.ts'
import type { Labels } from './message.ts'

/**
 * What to send, and when: Taskiq's record (wire format, section 6), and what ours adds to it, which Python's schedulers
 * ignore. At least one of `cron`, `intervalMs` and `time` is given.
 */
export interface Schedule extends ScheduleRules {
  /** Unique within the source; adding the same id again replaces the schedule. */
  readonly scheduleId: string
  readonly taskName: string
  readonly labels: Labels
  readonly args: readonly unknown[]
  readonly kwargs: Readonly<Record<string, unknown>>
  /** The same id for every firing; one made of the schedule and its time when absent. */
  readonly taskId?: string | undefined
  /** Five fields, or six with seconds first; names, ranges, steps, `L`, `W`, `#`, `@daily` and the like. */
  readonly cron?: string | undefined
  /** IANA zone, for example `Europe/Berlin`, or a fixed offset such as `+02:00`. UTC when absent. */
  readonly timeZone?: string | undefined
  /** Milliseconds between firings, ≥ 100. */
  readonly intervalMs?: number | undefined
  /** Milliseconds since the epoch. */
  readonly time?: number | undefined
}

/** What ours adds to Taskiq's schedule. */
export interface ScheduleRules {
  /** Longest time in milliseconds by which a firing is put off, at random, ≥ 0. 0 when absent. */
  readonly jitterMs?: number | undefined
  /** Not before this, in milliseconds since the epoch. */
  readonly startAt?: number | undefined
  /** Not after this, in milliseconds since the epoch. */
  readonly endAt?: number | undefined
  /**
   * `skip`: not while the task of the last firing has no result. Needs a result backend.
   *
   * `allow` when absent.
   */
  readonly overlap?: 'allow' | 'skip' | undefined
  /**
   * What is made up for after no scheduler ran for a while: nothing, the last firing, or all of them, up to
   * {@link ScheduleRules.catchUpLimit}. `none` when absent. Firings that are late by less than a scheduler's
   * `misfireGrace` are not missed; and one for a single point in time is always made up for.
   */
  readonly catchUp?: 'none' | 'one' | 'all' | undefined
  /** Most firings that `catchUp: 'all'` makes up for, the last ones, ≥ 1. 100 when absent. */
  readonly catchUpLimit?: number | undefined
}

/** Where schedules are kept. */
export interface ScheduleSource {
  /**
   * Tells the sources of an application apart, the same in all its processes; schedulers use it to send no firing twice.
   * The position among the sources of the scheduler when absent.
   */
  readonly name?: string | undefined
  startup(options?: { readonly logger?: Logger | undefined }): Promise<void>
  shutdown(): Promise<void>
  /** Every schedule, in no particular order. A record that cannot be read is reported to the logger and left out. */
  getSchedules(): Promise<readonly Schedule[]>
  /**
   * Calls the listener within a second after schedules were added, replaced or deleted, whoever did it, or somebody
   * resigned or paused something in the {@link ScheduleSource.ledger}. It may be called without a reason. Returns what ends
   * it. A source without it is asked from time to time.
   */
  watch?(listener: () => void): () => void
  /** Where it is kept who fires, and what was fired; without one, every scheduler fires. */
  readonly ledger?: ScheduleLedger | undefined
}

/** A source that also accepts changes. A separate type: what a source cannot do is absent, not an error at run time. */
export interface WritableScheduleSource extends ScheduleSource {
  /** @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` when it has no trigger, or one that cannot be kept. */
  addSchedule(schedule: Schedule): Promise<void>
  /** Harmless when there is none of that id. */
  deleteSchedule(scheduleId: string, options?: DeleteScheduleOptions): Promise<void>
}

export interface DeleteScheduleOptions {
  /** Deletes the schedule only if its `time` is this: another one may have taken its place. */
  readonly ifTime?: number | undefined
}

/** What is known of a schedule besides what it says. */
export interface ScheduleState {
  /** The time of the last firing that was sent or skipped, as planned, without jitter; milliseconds since the epoch. */
  readonly firedAt?: number | undefined
  /** Task of the last firing that was sent. */
  readonly taskId?: string | undefined
  /** Of a schedule that has not fired: since when schedulers look at it. Milliseconds since the epoch. */
  readonly seenAt?: number | undefined
  /** Not fired until somebody resumes it. */
  readonly isPaused: boolean
}

/** What a scheduler has done, for the one that takes over from it. */
export type FiredState = Omit<ScheduleState, 'isPaused'>

/** Under which name somebody claims to lead. */
export interface ScheduleLead {
  readonly name: string
  readonly holder: string
}

/**
 * What the schedulers of one application share, kept beside the schedules: who of them fires, and what was fired.
 *
 * Under each name one scheduler at a time leads. What was fired is kept in groups of schedules, whose names are others.
 */
export interface ScheduleLedger {
  /**
   * Takes the lead, or keeps it. By the clock of the engine, where it has one.
   *
   * @param ttlMs - Others may take the lead so long after the last call.
   * @returns How long the lead of another lasts, in milliseconds; 0 when `holder` leads now.
   */
  lead(name: string, holder: string, ttlMs: number): Promise<number>
  /** Gives the lead to others. Harmless for one who does not lead. */
  resign(name: string, holder: string): Promise<void>
  /** By id of the schedule. */
  load(group: string): Promise<ReadonlyMap<string, ScheduleState>>
  /**
   * Notes what was fired; `undefined` forgets a schedule, its pause too.
   *
   * @returns Whether `lead` is held; else nothing was changed.
   */
  save(group: string, lead: ScheduleLead, changes: ReadonlyMap<string, FiredState | undefined>): Promise<boolean>
  /** Pauses a schedule, whoever leads. */
  pause(group: string, scheduleId: string): Promise<void>
  /**
   * Lets a schedule fire again.
   *
   * @param since - What is known of it counts as not older than this, so that nothing before is made up for.
   */
  resume(group: string, scheduleId: string, since?: number): Promise<void>
}

/** For ledgers: what is known of a schedule after {@link ScheduleLedger.resume}. */
export function resumedState({ firedAt, taskId, seenAt }: FiredState, since: number | undefined): FiredState {
  const later = (at: number): number => Math.max(at, since ?? -Infinity)
  return {
    ...(firedAt === undefined ? {} : { firedAt: later(firedAt) }),
    ...(taskId === undefined ? {} : { taskId }),
    ...(seenAt === undefined ? {} : { seenAt: later(seenAt) }),
  }
}
