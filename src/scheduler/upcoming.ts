import type { Schedule } from '../contract/index.ts'
import { cronExpression } from '../util/cron.ts'

/** What is known of the firings of a schedule so far. All times in milliseconds since the epoch. */
export interface Past {
  /** Of the last firing, as planned. */
  readonly firedAt: number | undefined
  /** Since when the schedule is looked at; before that nothing was missed. */
  readonly seenAt: number
  /**
   * From what intervals count: the last firing, or for the first one `seenAt` (`'firing'`); or fixed points in time that
   * are the same for everybody who has no memory (`'epoch'`).
   */
  readonly anchor: 'firing' | 'epoch'
}

export interface UpcomingOptions {
  readonly now: number
  /** By how much a firing may be late and still is not missed, in milliseconds. */
  readonly graceMs: number
  /** From here on firings are made up for, as was decided before. */
  readonly allowedFrom?: number | undefined
}

export interface Upcoming {
  readonly at: number
  /** It was missed, and is made up for. */
  readonly isCatchUp: boolean
  /** The first of those that were missed and are not made up for. */
  readonly skippedFrom: number | undefined
}

const DEFAULT_CATCH_UP_LIMIT = 100

/** The next firing of a schedule, which may be past: then it is due now. `undefined` = there is none any more. */
export function upcoming(schedule: Schedule, past: Past, options: UpcomingOptions): Upcoming | undefined {
  const { now, graceMs, allowedFrom = Infinity } = options
  const after = past.firedAt ?? -Infinity
  const first = nextTime(schedule, past, after)
  if (first === undefined) return undefined
  const onTimeFrom = now - graceMs
  if (first >= Math.min(onTimeFrom, allowedFrom)) {
    return { at: first, isCatchUp: first < onTimeFrom, skippedFrom: undefined }
  }
  // A single point in time is never skipped.
  if (first === schedule.time) return { at: first, isCatchUp: true, skippedFrom: undefined }
  const madeUp = firstMadeUp(schedule, past, first, onTimeFrom)
  if (madeUp !== undefined) {
    return { at: madeUp, isCatchUp: true, skippedFrom: madeUp === first ? undefined : first }
  }
  const next = nextTime(schedule, past, onTimeFrom - 1)
  return next === undefined ? undefined : { at: next, isCatchUp: false, skippedFrom: first }
}

/** The earliest missed firing that is made up for. */
function firstMadeUp(schedule: Schedule, past: Past, first: number, before: number): number | undefined {
  const { catchUp = 'none', catchUpLimit = DEFAULT_CATCH_UP_LIMIT } = schedule
  if (catchUp === 'none') return undefined
  let earliest: number | undefined
  for (let count = catchUp === 'one' ? 1 : catchUpLimit; count > 0; count -= 1) {
    const earlier = lastTime(schedule, past, { atOrBefore: (earliest ?? before) - 1, after: first - 1 })
    if (earlier === undefined) break
    earliest = earlier
  }
  return earliest
}

/** The first time that a trigger names after that one. */
export function nextTime(schedule: Schedule, past: Past, after: number): number | undefined {
  const { cron, timeZone, intervalMs, time, startAt = -Infinity, endAt = Infinity } = schedule
  const from = Math.max(after, past.firedAt === undefined ? past.seenAt - 1 : -Infinity, startAt - 1)
  let next = Infinity
  if (cron !== undefined) next = cronExpression(cron, timeZone).next(from) ?? Infinity
  if (intervalMs !== undefined) next = Math.min(next, nextOfInterval(schedule, past, from))
  if (time !== undefined && time > after && time > (past.firedAt ?? -Infinity)) next = Math.min(next, time)
  return next <= endAt && next < Infinity ? next : undefined
}

function nextOfInterval(schedule: Schedule, past: Past, after: number): number {
  const { intervalMs = 0 } = schedule
  const { origin, least } = originOf(schedule, past)
  return origin + Math.max(least, Math.floor((after - origin) / intervalMs) + 1) * intervalMs
}

/** From what an interval counts, and how many of them at least. */
function originOf({ startAt }: Schedule, past: Past): { readonly origin: number; readonly least: number } {
  if (past.anchor === 'epoch') return { origin: startAt ?? 0, least: startAt === undefined ? -Infinity : 0 }
  if (past.firedAt !== undefined) return { origin: past.firedAt, least: 1 }
  return { origin: Math.max(past.seenAt, startAt ?? -Infinity), least: 0 }
}

/** The last time that a trigger names within bounds: after the one, and at or before the other. */
function lastTime(
  schedule: Schedule,
  past: Past,
  { atOrBefore, after }: { readonly atOrBefore: number; readonly after: number },
): number | undefined {
  const { cron, timeZone, intervalMs, time, endAt = Infinity } = schedule
  const until = Math.min(atOrBefore, endAt)
  let last = -Infinity
  if (cron !== undefined) last = cronExpression(cron, timeZone).last(until, after) ?? -Infinity
  if (intervalMs !== undefined) {
    const { origin, least } = originOf(schedule, past)
    const count = Math.floor((until - origin) / intervalMs)
    if (count >= least) last = Math.max(last, origin + count * intervalMs)
  }
  if (time !== undefined && time <= until) last = Math.max(last, time)
  return last > after ? last : undefined
}

/** Whether it fires once: at a single point in time. */
export function isSingle(schedule: Schedule): schedule is Schedule & { readonly time: number } {
  return schedule.cron === undefined && schedule.intervalMs === undefined
}

/** By how much a firing is put off: at random, and the same for every scheduler that looks at it. */
export function jitterOf({ scheduleId, jitterMs = 0 }: Schedule, at: number): number {
  return jitterMs === 0 ? 0 : Math.floor(share(`${scheduleId} ${at}`) * (jitterMs + 1))
}

/** A number in [0, 1) for a text: FNV-1a, 32 bits, then mixed as MurmurHash3 ends. */
function share(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}
