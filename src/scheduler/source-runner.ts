import type {
  FiredState,
  Logger,
  Schedule,
  ScheduleLedger,
  ScheduleSource,
  ScheduleState,
  WritableScheduleSource,
} from '../contract/index.ts'
import type { Broker } from '../core/index.ts'
import { sleep } from '../util/abort.ts'
import { backoffMs } from '../util/backoff.ts'
import { ChangeSignal } from './change-signal.ts'
import { Election } from './election.ts'
import { FiringSender } from './firing-sender.ts'
import { isWritable } from './is-writable.ts'
import { Plan } from './plan.ts'
import type { Firing } from './plan.ts'
import { StateWriter } from './state-writer.ts'
import { isSingle } from './upcoming.ts'

/** Longest sleep: so soon a clock that was set is noticed. */
const MAX_SLEEP_MS = 1_000
/** Beyond it, the clock was set; below, it is being corrected, or this process was slow. */
const CLOCK_JUMP_MS = 2_000
/** Firings that begin in one turn of the event loop. */
const MAX_PER_TURN = 500
/** Between two readings of a source that changes all the time. */
const MIN_PAUSE_MS = 50
/** And at most one part in so many of the time is spent on reading. */
const READING_SHARE = 5
/** A source that tells of no changes is read so often. */
const UNWATCHED_MS = 1_000
const BACKOFF = { baseMs: 200, maxMs: 5_000 }
/** Longer than any schedule rests that fires every year. */
const FORGOTTEN_AFTER_MS = 400 * 86_400_000

export interface SourceRunnerParts {
  readonly source: ScheduleSource
  /** Tells the schedules of this source from those of another with the same ids. */
  readonly scope: string
  /** Where it is kept who leads, and what was fired. */
  readonly ledger: ScheduleLedger | undefined
  /** Where the ledger keeps what is known of these schedules. */
  readonly group: string
  /** Under which name these schedules are led; asked when the source has started. */
  readonly leadName: () => string
  /** Others keep what is known of their schedules in the same group. */
  readonly isGroupShared: boolean
  readonly broker: Broker
  readonly holder: string
  readonly leaseMs: number
  readonly graceMs: number
  readonly logger: Logger
  /** The source, or the ledger beside it, has changed. */
  readonly onChange?: (() => void) | undefined
}

/** How a runner runs. */
export interface RunSettings {
  readonly updateIntervalMs: number
  readonly skipsFirst: boolean
}

/** Fires the schedules of one source, while this scheduler leads them. */
export class SourceRunner {
  readonly #parts: SourceRunnerParts
  readonly #sender: FiringSender
  readonly #changed = new ChangeSignal()
  /** Sends and deletions under way. */
  readonly #underWay = new Set<Promise<void>>()
  #signal: AbortSignal = AbortSignal.abort()
  #settings: RunSettings = { updateIntervalMs: 60_000, skipsFirst: false }
  #schedules: readonly Schedule[] = []
  #states: ReadonlyMap<string, ScheduleState> = new Map()
  #election: Election | undefined
  #writer: StateWriter | undefined
  /** While this scheduler leads. */
  #plan: Plan | undefined
  #timer: NodeJS.Timeout | undefined
  /** By how much the clock is ahead of the one that nobody sets. */
  #clockOffset = 0
  readonly #unknownTasks = new Set<string>()

  constructor(parts: SourceRunnerParts) {
    this.#parts = parts
    const { broker, scope, logger } = parts
    this.#sender = new FiringSender({ broker, scope, logger, mayFire: () => this.#mayFire() })
  }

  /** As of the last reading. */
  get schedules(): readonly Schedule[] {
    return this.#schedules
  }

  /** As of the last reading. */
  get states(): ReadonlyMap<string, ScheduleState> {
    return this.#states
  }

  /**
   * Reads what there is now.
   *
   * @throws whatever the source or the ledger throws.
   */
  async refresh(): Promise<void> {
    const { source, ledger, group } = this.#parts
    const schedules = await source.getSchedules()
    const states = await ledger?.load(group)
    this.#schedules = schedules
    if (states) this.#states = states
  }

  /** Somebody may have given up the lead. */
  lookAtLead(): void {
    this.#election?.look()
  }

  /** Until `signal` aborts. The source is started and will be stopped by somebody else. Never rejects. */
  async run(signal: AbortSignal, settings: RunSettings): Promise<void> {
    const { source, ledger, group, leadName, holder, leaseMs, logger } = this.#parts
    this.#signal = signal
    this.#settings = settings
    this.#clockOffset = clockOffset()
    const unwatch = source.watch?.(() => {
      this.#changed.raise()
      this.lookAtLead()
      this.#parts.onChange?.()
    })
    await this.#readFirst()
    const loops = [this.#readLoop()]
    if (ledger === undefined) {
      this.#tellUnelected()
      this.#lead(new Map())
    } else {
      const name = leadName()
      this.#writer = new StateWriter({
        ledger,
        group,
        lead: { name, holder },
        logger,
        onRefused: () => this.#election?.lost(),
      })
      this.#election = new Election({
        ledger,
        name,
        holder,
        leaseMs,
        logger,
        onLead: () => this.#takeLead(ledger),
        onLost: (reason) => this.#loseLead(reason),
      })
      loops.push(this.#election.run(signal))
    }
    await Promise.all(loops)
    unwatch?.()
    clearTimeout(this.#timer)
    this.#writer?.end()
    await Promise.all(this.#underWay)
    await this.#writer?.flush()
    await this.#election?.resign()
    this.#plan = undefined
  }

  #mayFire(): boolean {
    return this.#plan !== undefined && (this.#election === undefined || this.#election.leads)
  }

  async #takeLead(ledger: ScheduleLedger): Promise<void> {
    const { group, scope, logger } = this.#parts
    this.#lead(await ledger.load(group))
    logger.info({ source: scope, schedules: this.#schedules.length }, 'This scheduler leads now.')
  }

  #lead(states: ReadonlyMap<string, ScheduleState>): void {
    const { graceMs, ledger } = this.#parts
    this.#plan = new Plan({
      graceMs,
      skipsFirst: this.#settings.skipsFirst,
      anchor: ledger === undefined ? 'epoch' : 'firing',
      onSkipped: (schedule, from) => this.#tellSkipped(schedule, from),
      onSpent: (schedule, firedAt) => this.#removeSpent(schedule, firedAt),
      onSeen: ({ scheduleId }, seenAt) => this.#writer?.put(scheduleId, { seenAt }),
    })
    this.#states = states
    this.#update()
    this.#forgetGone(states)
  }

  /** What is kept of schedules that are gone; in a group of several, only what is very old. */
  #forgetGone(states: ReadonlyMap<string, ScheduleState>): void {
    const ids = new Set(this.#schedules.map(({ scheduleId }) => scheduleId))
    const oldest = Date.now() - FORGOTTEN_AFTER_MS
    for (const [id, { firedAt, seenAt }] of states) {
      const isOld = (firedAt ?? seenAt ?? Infinity) < oldest
      if (!ids.has(id) && (!this.#parts.isGroupShared || isOld)) this.#writer?.forget(id)
    }
  }

  #loseLead(reason: string): void {
    this.#plan = undefined
    clearTimeout(this.#timer)
    this.#writer?.drop()
    this.#parts.logger.warn({ scope: this.#parts.scope }, `This scheduler leads no longer. ${reason}`)
  }

  // --- reading

  async #readFirst(): Promise<void> {
    for (let attempt = 1; !this.#signal.aborted; attempt += 1) {
      if (await this.#read()) return
      await sleep(backoffMs(attempt, BACKOFF), this.#signal)
    }
  }

  async #readLoop(): Promise<void> {
    const { source } = this.#parts
    const { updateIntervalMs } = this.#settings
    const everyMs = source.watch ? updateIntervalMs : Math.min(updateIntervalMs, UNWATCHED_MS)
    let failures = 0
    for (;;) {
      await this.#changed.wait(failures === 0 ? everyMs : backoffMs(failures, BACKOFF), this.#signal)
      if (this.#signal.aborted) return
      const startedAt = performance.now()
      failures = (await this.#read()) ? 0 : failures + 1
      const tookMs = performance.now() - startedAt
      await sleep(Math.max(MIN_PAUSE_MS, tookMs * (READING_SHARE - 1)), this.#signal)
    }
  }

  /** @returns Whether it could be read. Else everything goes on as it was. */
  async #read(): Promise<boolean> {
    const { logger, scope } = this.#parts
    try {
      await this.refresh()
      this.#tellUnknownTasks()
      this.#update()
      return true
    } catch (err) {
      logger.error({ err, scope }, 'Could not read the schedules; going on with those that are known.')
      return false
    }
  }

  #update(): void {
    if (this.#plan === undefined) return
    const gone = this.#plan.update(this.#schedules, this.#states, Date.now())
    for (const id of gone) this.#writer?.forget(id)
    this.#arm()
  }

  #tellUnelected(): void {
    const { scope, broker, logger } = this.#parts
    if (broker.transport.capabilities.deduplicates) return
    logger.warn(
      { source: scope, transport: broker.transport.name },
      `Nobody is elected for the schedules of the source "${scope}", and the transport "${broker.transport.name}" takes a ` +
        'message twice: with a second scheduler every firing is sent twice. Give the scheduler a `ledger`.',
    )
  }

  #tellUnknownTasks(): void {
    const { broker, logger } = this.#parts
    const names = new Set(this.#schedules.map(({ taskName }) => taskName))
    for (const taskName of this.#unknownTasks) if (!names.has(taskName)) this.#unknownTasks.delete(taskName)
    for (const taskName of names) {
      if (this.#unknownTasks.has(taskName) || broker.findTask(taskName) !== undefined) continue
      this.#unknownTasks.add(taskName)
      logger.warn(
        { taskName },
        `A schedule names the task "${taskName}", which is not registered here. It is sent all the same, for workers ` +
          'elsewhere that know it. Is the name right, and is its module loaded?',
      )
    }
  }

  // --- firing

  #arm(leastMs = 0): void {
    clearTimeout(this.#timer)
    if (this.#plan === undefined || this.#signal.aborted) return
    const { nextAt = Infinity } = this.#plan
    const waitMs = Math.min(Math.max(nextAt - Date.now(), leastMs), MAX_SLEEP_MS)
    // Timers may be early by a part of a millisecond.
    this.#timer = setTimeout(this.#tick, Math.ceil(waitMs))
  }

  readonly #tick = (): void => {
    this.#noteClock()
    const plan = this.#plan
    if (plan === undefined) return
    if (!this.#mayFire()) {
      this.#arm(MAX_SLEEP_MS / 10)
      return
    }
    for (const firing of plan.takeDue(Date.now(), MAX_PER_TURN)) this.#track(this.#fire(plan, firing))
    this.#arm()
  }

  /** The end waits for it. */
  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#underWay.delete(tracked))
    this.#underWay.add(tracked)
  }

  async #fire(plan: Plan, firing: Firing): Promise<void> {
    this.#tellLate(firing)
    const { end, taskId } = await this.#sender.send(firing, this.#signal)
    if (end === 'given up') {
      plan.postponed(firing, Date.now())
      return
    }
    const fired: FiredState = { firedAt: firing.at, taskId: taskId ?? firing.lastTaskId }
    // Not of a plan that another one has followed.
    if (plan === this.#plan) this.#writer?.put(firing.schedule.scheduleId, fired)
    plan.fired(firing, fired, Date.now())
    if (plan === this.#plan) this.#arm()
  }

  #noteClock(): void {
    const offset = clockOffset()
    const jumpMs = offset - this.#clockOffset
    this.#clockOffset = offset
    if (Math.abs(jumpMs) < CLOCK_JUMP_MS || this.#plan === undefined) return
    this.#parts.logger.warn(
      { jumpMs: Math.round(jumpMs) },
      jumpMs > 0
        ? `The clock went forward by ${Math.round(jumpMs / 1000)} s, or the machine slept. What was missed is made up for ` +
            'as each schedule says (`catchUp`).'
        : `The clock went back by ${Math.round(-jumpMs / 1000)} s. Intervals go on; cron schedules that have fired at a ` +
            'time that comes again wait until it is over.',
    )
    this.#plan.clockSet(jumpMs, Date.now())
  }

  #tellLate({ schedule: { scheduleId, time }, at, isCatchUp }: Firing): void {
    const lateMs = Date.now() - at
    if (!isCatchUp && lateMs < this.#parts.graceMs) return
    const what = at === time ? 'its time had passed' : 'it was missed'
    this.#parts.logger.warn(
      { scheduleId, at: new Date(at).toISOString(), lateMs },
      `Schedule "${scheduleId}" fires ${Math.round(lateMs / 1000)} s late: ${what}.`,
    )
  }

  #tellSkipped({ scheduleId, catchUp = 'none' }: Schedule, from: number): void {
    this.#parts.logger.warn(
      { scheduleId, from: new Date(from).toISOString() },
      `Schedule "${scheduleId}" has missed firings from ${new Date(from).toISOString()} on, which are not made up for ` +
        `(catchUp: "${catchUp}").`,
    )
  }

  /** A schedule for a single point in time that has fired: it goes, as with Taskiq. */
  #removeSpent(schedule: Schedule, firedAt: number | undefined): void {
    const { source } = this.#parts
    if (!isSingle(schedule) || !isWritable(source)) return
    const { scheduleId, time } = schedule
    if (firedAt !== undefined && firedAt >= time) this.#track(this.#remove(source, scheduleId, time))
  }

  async #remove(source: WritableScheduleSource, scheduleId: string, ifTime: number): Promise<void> {
    const { logger } = this.#parts
    // First: who takes over must not find the schedule without what is known of it.
    await this.#writer?.flush()
    for (let attempt = 1; ; attempt += 1) {
      try {
        await source.deleteSchedule(scheduleId, { ifTime })
        return
      } catch (err) {
        if (attempt === 1) logger.error({ err, scheduleId }, 'Could not delete a schedule that is done; trying again.')
        if (this.#signal.aborted) return
        await sleep(backoffMs(attempt, BACKOFF), this.#signal)
      }
    }
  }
}

function clockOffset(): number {
  return Date.now() - performance.now()
}
