import { CronExpressionParser } from 'cron-parser'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { CronExpression } from '../../src/util/cron.ts'
import { Clock, dueTimes, parsePattern, take } from './brute-force.ts'
import { expressions } from './expressions.ts'

const [FROM, TO] = [Date.UTC(2024, 0), Date.UTC(2032, 0)]
const SECOND_MS = 1_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

const ZONES = [
  'UTC',
  '+05:30',
  '-03:30',
  // Further than the library goes.
  '+18:45',
  'Europe/Berlin',
  'America/New_York',
  'Australia/Sydney',
  // Midnight is what is left out.
  'America/Santiago',
  // The hour before midnight is.
  'America/Nuuk',
  // Half an hour.
  'Australia/Lord_Howe',
  'America/St_Johns',
  // Twice a year each way, around Ramadan.
  'Africa/Casablanca',
  'Asia/Kolkata',
  'Pacific/Apia',
]
const clocks = ZONES.map((timeZone) => new Clock(timeZone, FROM, TO))
/** With summer time, and without 30 December 2011. */
const apia = new Clock('Pacific/Apia', Date.UTC(2009, 0), Date.UTC(2014, 0))

/** Any moment that the clock knows, half of them within a day of a change. */
function moments({ from, to, changes }: Clock): fc.Arbitrary<number> {
  const anyTime = fc.integer({ min: from, max: to })
  if (changes.length === 0) return anyTime
  const near = fc
    .tuple(fc.constantFrom(...changes), fc.integer({ min: -26 * HOUR_MS, max: 3 * HOUR_MS }))
    .map(([change, ms]) => change.at + ms)
  return fc.oneof(anyTime, near)
}

function* walk(expression: CronExpression, after: number, to: number): Generator<number> {
  for (let at = expression.next(after); at !== undefined && at < to; at = expression.next(at)) yield at
}

function asText(times: readonly number[]): readonly string[] {
  return times.map((at) => new Date(at).toISOString())
}

function named(clock: Clock): [string, Clock] {
  return [`${clock.timeZone} from ${new Date(clock.from).getUTCFullYear()}`, clock]
}

describe.each([...clocks, apia].map(named))('a cron expression in %s', (_name, clock) => {
  it('is due when the clock shows its time, by brute force', () => {
    fc.assert(
      fc.property(expressions, moments(clock), (text, after) => {
        const found = take(walk(new CronExpression(text, clock.timeZone), after, clock.to), 20)
        expect(asText(found)).toEqual(asText(take(dueTimes(parsePattern(text), clock, after), 20)))
      }),
      { numRuns: 150 },
    )
  })

  it('is due at whole seconds, later and later, and never between', () => {
    fc.assert(
      fc.property(expressions, moments(clock), fc.nat(SECOND_MS), (text, after, part) => {
        let last = after
        for (const at of take(walk(new CronExpression(text, clock.timeZone), after, clock.to), 5)) {
          expect(at).toBeGreaterThan(last)
          expect(at % SECOND_MS).toBe(0)
          const fresh = new CronExpression(text, clock.timeZone)
          expect(fresh.next(at - 1)).toBe(at)
          expect(fresh.next(at - SECOND_MS)).toBe(at)
          expect(fresh.next(last + Math.floor((at - last - 1) * (part / SECOND_MS)))).toBe(at)
          last = at
        }
      }),
      { numRuns: 50 },
    )
  })
})

describe('the brute force', () => {
  it.each([...clocks, apia].map(named))('has a clock for %s that shows what Intl shows', (_name, clock) => {
    fc.assert(
      fc.property(moments(clock), (at) => {
        const span = clock.spans.find(({ from, to }) => from <= at && at < to) ?? clock.spans.at(-1)
        expect(span?.offsetMs).toBe(clock.offsetMsAt(at))
      }),
    )
  })

  it('knows how often clocks are changed', () => {
    expect(clocks.map(({ timeZone, changes }) => [timeZone, changes.length])).toEqual([
      ['UTC', 0],
      ['+05:30', 0],
      ['-03:30', 0],
      ['+18:45', 0],
      ['Europe/Berlin', 16],
      ['America/New_York', 16],
      ['Australia/Sydney', 16],
      ['America/Santiago', 16],
      ['America/Nuuk', 16],
      ['Australia/Lord_Howe', 16],
      ['America/St_Johns', 16],
      ['Africa/Casablanca', expect.any(Number)],
      ['Asia/Kolkata', 0],
      ['Pacific/Apia', 0],
    ])
    expect(apia.changes.map(({ afterMs, beforeMs }) => (afterMs - beforeMs) / HOUR_MS)).toContain(24)
  })
})

/**
 * Known differences, each of which is a decision or a defect of cron-parser 5.10:
 *
 * - Half an hour is too little for it: in Australia/Lord_Howe it passes over times and does not end. A gap before midnight
 *   makes it lose a day in America/Nuuk. Neither is here.
 * - It takes a star with a step in one field of days for a restriction, so that either field suffices; Unix, pycron and this
 *   package ask for both.
 * - It refuses a list that says a value twice, and a day that none of the months has.
 * - From a moment between two seconds, the last before the clock is set back, it passes over the first times.
 * - Where hours are restricted, what falls into a gap is moved on by the length of the gap, and what is repeated is due
 *   once. Both show in the hour after the change alone.
 */
describe.each(
  clocks.filter(({ timeZone }) => !['Australia/Lord_Howe', 'America/Nuuk', '+18:45'].includes(timeZone)).map(named),
)('beside cron-parser, in %s', (_name, clock) => {
  const theirZone = clock.timeZone.replace(/^(?=[+-])/, 'UTC')

  it('an expression is due at the same times', () => {
    fc.assert(
      fc.property(expressions, moments(clock), (text, moment) => {
        const [hour = '', day = '', , weekday = ''] = text.split(' ').slice(-4)
        fc.pre(day === '*' || weekday === '*' || !(day + weekday).includes('*'))
        const after = Math.floor(moment / SECOND_MS) * SECOND_MS
        const theirs = walkTheirs(text, theirZone, after)
        const ours = take(walk(new CronExpression(text, clock.timeZone), after, TO), 15)
        const end = Math.min(...[ours, theirs].map((times) => (times.length < 15 ? TO : times[14]!)))
        const isComparable = (at: number) =>
          at <= end &&
          (hour === '*' ||
            !clock.changes.some(({ at: from, beforeMs, afterMs }) => {
              return from <= at && at < from + Math.abs(afterMs - beforeMs)
            }))
        expect(asText(ours.filter(isComparable))).toEqual(asText(theirs.filter(isComparable)))
      }),
      { numRuns: 60 },
    )
  })
})

describe('beside cron-parser', () => {
  const day = fc.oneof(
    fc.constant('L * *'),
    fc.tuple(fc.integer({ min: 1, max: 28 }), fc.integer({ min: 1, max: 12 })).map(([n, month]) => `L,${n} ${month} *`),
    fc.tuple(fc.nat(7), fc.integer({ min: 1, max: 5 })).map(([weekday, n]) => `* * ${weekday}#${n}`),
    fc.nat(6).map((weekday) => `* * ${weekday}L`),
  )

  it('the last days of months, and the second Monday and the like, are the same days', () => {
    fc.assert(
      fc.property(day, fc.integer({ min: FROM / SECOND_MS, max: TO / SECOND_MS }), (days, second) => {
        const text = `0 12 ${days}`
        const ours = take(walk(new CronExpression(text, 'America/New_York'), second * SECOND_MS, TO), 15)
        const theirs = walkTheirs(text, 'America/New_York', second * SECOND_MS)
        expect(asText(ours)).toEqual(asText(theirs))
      }),
      { numRuns: 60 },
    )
  })
})

/** None when it is never due: they throw. */
function walkTheirs(text: string, timeZone: string, after: number): readonly number[] {
  const times: number[] = []
  try {
    const expression = CronExpressionParser.parse(text, { tz: timeZone, currentDate: new Date(after) })
    while (times.length < 15) {
      const at = expression.next().getTime()
      if (at >= TO) break
      times.push(at)
    }
  } catch (error) {
    const { message } = error as Error
    fc.pre(!message.includes('duplicate values'))
    if (!message.startsWith('Invalid explicit day of month')) throw error
  }
  return times
}

describe('the weekday nearest to a day', () => {
  it.each(Array.from({ length: 31 }, (_, i) => i + 1))('is found by its distance: %dW', (day) => {
    const found = [...walk(new CronExpression(`0 0 ${day}W * *`), FROM - 1, TO)]
    const expected = Array.from({ length: 96 }, (_, month) => nearestWeekday(2024, month, day)).filter(Number.isFinite)
    expect(asText(found)).toEqual(asText(expected))
  })

  /** In the same month, the day before in doubt; NaN when the month has no such day. */
  function nearestWeekday(year: number, month: number, day: number): number {
    const asked = Date.UTC(year, month, day)
    if (new Date(asked).getUTCDate() !== day) return Number.NaN
    const near = [0, -1, 1, -2, 2].map((days) => asked + days * DAY_MS)
    const isIn = (at: number) => new Date(at).getUTCMonth() === new Date(asked).getUTCMonth()
    return near.find((at) => isIn(at) && ![0, 6].includes(new Date(at).getUTCDay())) ?? Number.NaN
  }
})
