// Cron by the book, and slowly: shares no code, no library and no method with src/util/cron.ts, which it is there to check.

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

/** A stretch of time in which the clock is that far ahead of UTC. */
interface Span {
  readonly from: number
  readonly to: number
  readonly offsetMs: number
}

/** Where the offset changes. */
export interface Change {
  readonly at: number
  readonly beforeMs: number
  readonly afterMs: number
}

/** The clock of a time zone between two moments, as Intl shows it. */
export class Clock {
  readonly timeZone: string
  readonly from: number
  readonly to: number
  readonly spans: readonly Span[]
  readonly #offsetMsAt: (ms: number) => number

  /** @param timeZone - IANA name, or `±HH:MM`. */
  constructor(timeZone: string, from: number, to: number) {
    this.timeZone = timeZone
    this.from = from
    this.to = to
    const fixed = /^([+-])(\d\d):(\d\d)$/.exec(timeZone)
    const fixedMs = fixed && Number(`${fixed[1]}1`) * (Number(fixed[2]) * HOUR_MS + Number(fixed[3]) * MINUTE_MS)
    this.#offsetMsAt = fixedMs === null ? offsetReader(timeZone) : () => fixedMs
    this.spans = this.#findSpans(from, to, fixedMs === null ? 6 * HOUR_MS : to - from)
  }

  get changes(): readonly Change[] {
    return this.spans.slice(1).map((span, i) => ({
      at: span.from,
      beforeMs: this.spans[i]!.offsetMs,
      afterMs: span.offsetMs,
    }))
  }

  offsetMsAt(ms: number): number {
    return this.#offsetMsAt(ms)
  }

  #findSpans(from: number, to: number, stepMs: number): readonly Span[] {
    const spans: Span[] = []
    let start = from
    for (let probe = from; probe < to; probe += stepMs) {
      const offsetMs = this.#offsetMsAt(probe)
      const end = Math.min(probe + stepMs, to)
      if (this.#offsetMsAt(end) === offsetMs) continue
      const change = this.#findChange(probe, end)
      spans.push({ from: start, to: change, offsetMs })
      start = change
    }
    spans.push({ from: start, to, offsetMs: this.#offsetMsAt(to) })
    return spans
  }

  /** The first second with another offset, by halving. */
  #findChange(from: number, to: number): number {
    const offsetMs = this.#offsetMsAt(from)
    let [before, after] = [from, to]
    while (after - before > SECOND_MS) {
      const middle = before + Math.floor((after - before) / 2 / SECOND_MS) * SECOND_MS
      if (this.#offsetMsAt(middle) === offsetMs) before = middle
      else after = middle
    }
    return after
  }
}

function offsetReader(timeZone: string): (ms: number) => number {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  return (ms) => {
    const [day = 0, month = 0, year = 0, hour = 0, minute = 0, second = 0] = format.format(ms).split(/\D+/).map(Number)
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(ms / SECOND_MS) * SECOND_MS
  }
}

export interface Pattern {
  readonly seconds: readonly number[]
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly days: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  readonly weekdays: ReadonlySet<number>
  /** Both fields of days have to match: one of them has a star in it. Otherwise one of them suffices. */
  readonly both: boolean
  /** One time of day, written without a star or a step. */
  readonly fixed: boolean
}

/** Five or six fields of `*`, numbers, ranges, steps and lists of these. */
export function parsePattern(text: string): Pattern {
  const fields = text.split(' ')
  if (fields.length === 5) fields.unshift('0')
  const [second = '', minute = '', hour = '', day = '', month = '', weekday = ''] = fields
  const time = [valuesOf(second, 0, 59), valuesOf(minute, 0, 59), valuesOf(hour, 0, 23)] as const
  return {
    seconds: time[0],
    minutes: time[1],
    hours: time[2],
    days: new Set(valuesOf(day, 1, 31)),
    months: new Set(valuesOf(month, 1, 12)),
    weekdays: new Set(valuesOf(weekday, 0, 7).map((value) => value % 7)),
    both: day.includes('*') || weekday.includes('*'),
    fixed: time.every((values) => values.length === 1) && !/[*/]/.test(second + minute + hour),
  }
}

function valuesOf(field: string, min: number, max: number): readonly number[] {
  const values = new Set<number>()
  for (const part of field.split(',')) {
    const [range = '', step = '1'] = part.split('/')
    const [low = '', high = low] = range === '*' ? [String(min), String(max)] : range.split('-')
    for (let value = Number(low); value <= Number(high); value += Number(step)) values.add(value)
  }
  return [...values].sort((a, b) => a - b)
}

/** When it is due after that moment, in order, as long as the clock is known. */
export function* dueTimes(pattern: Pattern, clock: Clock, after: number): Generator<number> {
  for (const [i, span] of clock.spans.entries()) {
    if (span.to <= after) continue
    const before = clock.spans[i - 1]
    if (before && after < span.from && pattern.fixed && isDueInGap(pattern, before, span)) yield span.from
    const firstWall = Math.max(span.from, after) + span.offsetMs
    for (let day = Math.floor(firstWall / DAY_MS) * DAY_MS; day < span.to + span.offsetMs; day += DAY_MS) {
      if (!isDay(pattern, day)) continue
      for (const wall of timesOf(pattern, day, firstWall)) {
        const at = wall - span.offsetMs
        if (at <= after || at < span.from) continue
        if (at >= span.to) break
        // The clock showed it before it was set back.
        if (pattern.fixed && before && wall - before.offsetMs < span.from) continue
        yield at
      }
    }
  }
}

/** Whether its one time of a day is left out where the clock is set forward, on the day on which it goes on. */
function isDueInGap(pattern: Pattern, before: Span, span: Span): boolean {
  const [gapStart, gapEnd] = [span.from + before.offsetMs, span.from + span.offsetMs]
  const day = Math.floor(gapEnd / DAY_MS) * DAY_MS
  return isDay(pattern, day) && [...timesOf(pattern, day, day)].some((wall) => gapStart <= wall && wall < gapEnd)
}

function* timesOf({ hours, minutes, seconds }: Pattern, day: number, from: number): Generator<number> {
  for (const hour of hours) {
    for (const minute of minutes) {
      const wall = day + hour * HOUR_MS + minute * MINUTE_MS
      if (wall + MINUTE_MS <= from) continue
      for (const second of seconds) yield wall + second * SECOND_MS
    }
  }
}

function isDay({ days, months, weekdays, both }: Pattern, wallDay: number): boolean {
  const date = new Date(wallDay)
  if (!months.has(date.getUTCMonth() + 1)) return false
  const [isDate, isWeekday] = [days.has(date.getUTCDate()), weekdays.has(date.getUTCDay())]
  return both ? isDate && isWeekday : isDate || isWeekday
}

export function take<T>(values: Iterable<T>, count: number): T[] {
  const taken: T[] = []
  for (const value of values) {
    if (taken.length === count) break
    taken.push(value)
  }
  return taken
}
