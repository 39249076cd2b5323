import type { FiredState, Schedule, ScheduleState } from '../contract/index.ts'
import { Heap } from '../util/heap.ts'
import type { Past } from './upcoming.ts'
import { jitterOf, upcoming } from './upcoming.ts'

/** A schedule that is due. */
export interface Firing {
  readonly schedule: Schedule
  /** As planned, without jitter; milliseconds since the epoch. */
  readonly at: number
  /** It was missed while no scheduler ran, and is made up for. */
  readonly isCatchUp: boolean
  /** Task of the firing before. */
  readonly lastTaskId: string | undefined
  /** Its time comes a second time, as the clock was set back: it has been sent at that time before. */
  readonly isRepeat: boolean
}

/** What a plan tells of besides firings. */
export interface PlanEvents {
  /** A schedule was seen for the first time, or has begun anew: from then on firings can be missed. */
  readonly onSeen?: ((schedule: Schedule, seenAt: number) => void) | undefined
  /** Firings of that schedule were missed, and are not made up for. */
  readonly onSkipped?: ((schedule: Schedule, from: number) => void) | undefined
  /** The schedule has no further firing; the last one was at that time. */
  readonly onSpent?: ((schedule: Schedule, firedAt: number | undefined) => void) | undefined
}

export interface PlanOptions extends PlanEvents {
  /** By how much a firing may be late and still is not missed, in milliseconds. */
  readonly graceMs: number
  readonly anchor: Past['anchor']
  /** Intervals do not fire at once when they are first seen. */
  readonly skipsFirst?: boolean | undefined
}

interface Entry {
  schedule: Schedule
  /** Of all that decides when it fires. */
  trigger: string
  past: Past
  lastTaskId: string | undefined
  isPaused: boolean
  next: { readonly at: number; readonly sendAt: number; readonly isCatchUp: boolean } | undefined
  /** The latest time of a firing ever. */
  latestAt: number
  /** See `UpcomingOptions.allowedFrom`. */
  allowedFrom: number | undefined
  isFiring: boolean
  /** Of the item in the heap that counts; others are out of date. */
  version: number
}

interface Item {
  readonly sendAt: number
  readonly entry: Entry
  readonly version: number
}

/**
 * When each schedule fires next. Looks at no clock: the time comes with every call. Holds one firing of a schedule at a
 * time, so that they come in their order; what is due is given out once, and again after {@link Plan.fired}.
 *
 * Costs O(log n) for each firing, and nothing in between.
 */
export class Plan {
  readonly #options: PlanOptions
  readonly #entries = new Map<string, Entry>()
  readonly #heap = new Heap<Item>((a, b) => a.sendAt < b.sendAt)

  constructor(options: PlanOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * Plans these schedules from now on, and no others. One that was planned already goes on; one whose trigger has changed
   * begins anew.
   *
   * @param states - What is known of schedules that are new here, and which are paused.
   * @returns Ids of schedules that are gone.
   */
  update(schedules: readonly Schedule[], states: ReadonlyMap<string, ScheduleState>, now: number): readonly string[] {
    const left = new Set(this.#entries.keys())
    for (const schedule of schedules) {
      left.delete(schedule.scheduleId)
      this.#put(schedule, states.get(schedule.scheduleId), now)
    }
    for (const id of left) this.#remove(id)
    return [...left]
  }

  /** What is due, the earliest first. Each is to be told to {@link Plan.fired} or {@link Plan.postponed}. */
  takeDue(now: number, max: number = Infinity): readonly Firing[] {
    const firings: Firing[] = []
    while (firings.length < max) {
      const item = this.#peek()
      if (item === undefined || item.sendAt > now) break
      this.#heap.pop()
      const { entry } = item
      const next = this.#stillDue(entry, now)
      if (next === undefined) continue
      entry.isFiring = true
      entry.version += 1
      const { at, isCatchUp } = next
      const isRepeat = at <= entry.latestAt
      firings.push({ schedule: entry.schedule, at, isCatchUp, lastTaskId: entry.lastTaskId, isRepeat })
    }
    return firings
  }

  /** It was sent, or skipped for good: the next one is planned. */
  fired({ schedule: { scheduleId }, at }: Firing, { taskId }: FiredState, now: number): void {
    const entry = this.#entries.get(scheduleId)
    if (entry === undefined) return
    entry.isFiring = false
    entry.past = { ...entry.past, firedAt: at }
    entry.latestAt = Math.max(entry.latestAt, at)
    if (taskId !== undefined) entry.lastTaskId = taskId
    this.#planNext(entry, now)
  }

  /** It was not sent: it is due again at that time. */
  postponed({ schedule: { scheduleId } }: Firing, until: number): void {
    const entry = this.#entries.get(scheduleId)
    if (entry?.next === undefined) return
    entry.isFiring = false
    // Late by now, and for a reason: that is no miss.
    entry.allowedFrom = Math.min(entry.allowedFrom ?? Infinity, entry.next.at)
    this.#push(entry, until)
  }

  /** Milliseconds since the epoch; `undefined` = nothing is planned. */
  get nextAt(): number | undefined {
    return this.#peek()?.sendAt
  }

  /**
   * The clock was set by so many milliseconds. Forward, what lies between is missed. Back, intervals go on as they were,
   * and what fired already at a time that comes again does not fire again.
   */
  clockSet(byMs: number, now: number): void {
    if (byMs >= 0) return
    for (const entry of this.#entries.values()) {
      const { past, schedule } = entry
      const isInterval = schedule.intervalMs !== undefined && schedule.cron === undefined
      const { firedAt } = past
      entry.past = {
        ...past,
        seenAt: past.seenAt + byMs,
        firedAt: firedAt !== undefined && isInterval && past.anchor === 'firing' ? firedAt + byMs : firedAt,
      }
      if (!entry.isFiring && !entry.isPaused) this.#planNext(entry, now)
    }
  }

  #put(schedule: Schedule, state: ScheduleState | undefined, now: number): void {
    const isPaused = state?.isPaused ?? false
    const trigger = triggerOf(schedule)
    const known = this.#entries.get(schedule.scheduleId)
    if (known === undefined) {
      this.#add(schedule, { trigger, state, isPaused }, now)
      return
    }
    known.schedule = schedule
    if (known.trigger !== trigger) {
      known.trigger = trigger
      known.past = { ...known.past, firedAt: undefined, seenAt: this.#firstSeen(schedule, now) }
      this.#options.onSeen?.(schedule, known.past.seenAt)
    } else if (known.isPaused === isPaused) {
      return
    } else if (!isPaused && schedule.time === undefined) {
      // What fell into the pause was not missed.
      known.past = { ...known.past, firedAt: now }
    }
    known.isPaused = isPaused
    known.allowedFrom = undefined
    if (!known.isFiring) this.#planNext(known, now)
  }

  #add(
    schedule: Schedule,
    { trigger, state, isPaused }: { trigger: string; state: ScheduleState | undefined; isPaused: boolean },
    now: number,
  ): void {
    const { anchor, onSeen } = this.#options
    const seenAt = state?.seenAt ?? this.#firstSeen(schedule, now)
    if (state?.firedAt === undefined && state?.seenAt === undefined) onSeen?.(schedule, seenAt)
    const entry: Entry = {
      schedule,
      trigger,
      past: { firedAt: state?.firedAt, seenAt, anchor },
      lastTaskId: state?.taskId,
      isPaused,
      next: undefined,
      latestAt: state?.firedAt ?? -Infinity,
      allowedFrom: undefined,
      isFiring: false,
      version: 0,
    }
    this.#entries.set(schedule.scheduleId, entry)
    this.#planNext(entry, now)
  }

  #firstSeen({ intervalMs = 0 }: Schedule, now: number): number {
    return this.#options.skipsFirst ? now + intervalMs : now
  }

  #remove(id: string): void {
    const entry = this.#entries.get(id)
    if (entry) entry.version += 1
    this.#entries.delete(id)
  }

  /** The firing of an entry that has come to the front; plans another one when that is too late by now. */
  #stillDue(entry: Entry, now: number): Entry['next'] {
    const { next, allowedFrom = Infinity } = entry
    // By when it was to be sent: jitter is no lateness.
    if (next === undefined || next.sendAt >= now - this.#options.graceMs || next.at >= allowedFrom) return next
    this.#planNext(entry, now)
    return undefined
  }

  #planNext(entry: Entry, now: number): void {
    entry.version += 1
    entry.next = undefined
    if (entry.isPaused) return
    const { schedule, past, allowedFrom } = entry
    const { graceMs, onSkipped, onSpent } = this.#options
    // What jitter puts off is late for that reason alone.
    const next = upcoming(schedule, past, { now, graceMs: graceMs + (schedule.jitterMs ?? 0), allowedFrom })
    if (next?.skippedFrom !== undefined) onSkipped?.(schedule, next.skippedFrom)
    if (next === undefined) {
      onSpent?.(schedule, past.firedAt)
      return
    }
    const sendAt = next.at + (next.isCatchUp ? 0 : jitterOf(schedule, next.at))
    entry.next = { at: next.at, sendAt, isCatchUp: next.isCatchUp }
    entry.allowedFrom = next.isCatchUp ? Math.min(allowedFrom ?? Infinity, next.at) : undefined
    this.#push(entry, sendAt)
  }

  #push(entry: Entry, sendAt: number): void {
    entry.version += 1
    this.#heap.push({ sendAt, entry, version: entry.version })
  }

  /** The first item that is not out of date. */
  #peek(): Item | undefined {
    for (;;) {
      const item = this.#heap.peek()
      if (item === undefined || item.version === item.entry.version) return item
      this.#heap.pop()
    }
  }
}

function triggerOf({ cron, timeZone, intervalMs, time, jitterMs, startAt, endAt }: Schedule): string {
  return JSON.stringify([cron, timeZone, intervalMs, time, jitterMs, startAt, endAt])
}
