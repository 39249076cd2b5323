import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { CronError, CronExpression, cronExpression, plainCron } from './cron.ts'

const SECOND_MS = 1_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

/** A Thursday. */
const NEW_YEAR = Date.UTC(2026, 0)

/** The next times in 2026, in UTC, without what is always the same. */
function next(text: string, count: number, timeZone?: string): string {
  const expression = cronExpression(text, timeZone)
  const times: string[] = []
  for (let at: number | undefined = NEW_YEAR - 1; times.length < count;) {
    at = expression.next(at)
    if (at === undefined) break
    times.push(new Date(at).toISOString().replace(/:00\.000Z$|\.000Z$/, ''))
  }
  return times.join(' ')
}

function errorOf(text: string): CronError {
  try {
    cronExpression(text)
  } catch (error) {
    if (error instanceof CronError) return error
    throw error
  }
  throw new Error(`${text} is taken`)
}

describe('the syntax', () => {
  it.each([
    ['* * * * *', '2026-01-01T00:00 2026-01-01T00:01 2026-01-01T00:02'],
    ['*/20 * * * *', '2026-01-01T00:00 2026-01-01T00:20 2026-01-01T00:40'],
    ['5 * * * *', '2026-01-01T00:05 2026-01-01T01:05 2026-01-01T02:05'],
    ['30 4 * * *', '2026-01-01T04:30 2026-01-02T04:30 2026-01-03T04:30'],
    ['0 9-17/4 * * *', '2026-01-01T09:00 2026-01-01T13:00 2026-01-01T17:00'],
    ['10,5,5 0 * * *', '2026-01-01T00:05 2026-01-01T00:10 2026-01-02T00:05'],
    ['1-2,58-59 23 * * *', '2026-01-01T23:01 2026-01-01T23:02 2026-01-01T23:58'],
    ['*,5 0 * * *', '2026-01-01T00:00 2026-01-01T00:01 2026-01-01T00:02'],
    ['007 00 * * *', '2026-01-01T00:07 2026-01-02T00:07 2026-01-03T00:07'],
    ['0 0 31 * *', '2026-01-31T00:00 2026-03-31T00:00 2026-05-31T00:00'],
    ['0 0 29 2 *', '2028-02-29T00:00 2032-02-29T00:00 2036-02-29T00:00'],
    ['0 0 1 */5 *', '2026-01-01T00:00 2026-06-01T00:00 2026-11-01T00:00'],
    ['0 0 */15 * *', '2026-01-01T00:00 2026-01-16T00:00 2026-01-31T00:00'],
  ])('knows numbers, ranges, steps and lists: %s', (text, times) => {
    expect(next(text, 3)).toBe(times)
  })

  it.each([
    ['* * * * * *', '2026-01-01T00:00 2026-01-01T00:00:01 2026-01-01T00:00:02'],
    ['*/30 5 0 * * *', '2026-01-01T00:05 2026-01-01T00:05:30 2026-01-02T00:05'],
    ['59 59 23 31 12 *', '2026-12-31T23:59:59 2027-12-31T23:59:59 2028-12-31T23:59:59'],
    ['1-2,9 0 0 1 1 *', '2026-01-01T00:00:01 2026-01-01T00:00:02 2026-01-01T00:00:09'],
  ])('knows six fields with seconds first: %s', (text, times) => {
    expect(next(text, 3)).toBe(times)
  })

  it.each(['JAN', 'jan', 'Jan', 'January', 'JANUARY', '1', '01'])('knows the month %s', (month) => {
    expect(next(`0 0 5 ${month} *`, 2)).toBe('2026-01-05T00:00 2027-01-05T00:00')
  })

  it('knows every month by its short and its long name', () => {
    const names = 'January February March April May June July August September October November December'.split(' ')
    for (const [i, name] of names.entries()) {
      const times = next(`0 0 1 ${i + 1} *`, 2)
      expect([name, next(`0 0 1 ${name} *`, 2)]).toEqual([name, times])
      expect([name, next(`0 0 1 ${name.slice(0, 3)} *`, 2)]).toEqual([name, times])
    }
  })

  it('knows every day by its short and its long name', () => {
    const names = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ')
    for (const [i, name] of names.entries()) {
      const times = next(`0 0 * * ${i}`, 2)
      expect([name, next(`0 0 * * ${name}`, 2)]).toEqual([name, times])
      expect([name, next(`0 0 * * ${name.slice(0, 3)}`, 2)]).toEqual([name, times])
    }
  })

  it.each([
    ['0 0 * * 7', '0 0 * * 0'],
    ['0 0 * * SUN', '0 0 * * 0'],
    ['0 0 * * 5-7', '0 0 * * 0,5,6'],
    ['0 0 * * FRI-SUN', '0 0 * * 0,5,6'],
    ['0 0 * * Friday-Sunday', '0 0 * * 0,5,6'],
    ['0 0 * * mon-Friday', '0 0 * * 1-5'],
    ['0 0 * * MON-FRI/2', '0 0 * * 1,3,5'],
    ['0 0 * * 1-7/3', '0 0 * * 0,1,4'],
    ['0 0 * * Sat,SUN', '0 0 * * 0,6'],
    ['0 0 1 JAN-March,december *', '0 0 1 1-3,12 *'],
    ['0 0 1 jan-dec/6 *', '0 0 1 1,7 *'],
    ['0 0 ? * 1', '0 0 * * 1'],
    ['0 0 5 * ?', '0 0 5 * *'],
    ['? 0 * * *', '* 0 * * *'],
    ['  0   0  *\t* 1 ', '0 0 * * 1'],
    ['\n0 0 * * 1\u00a0', '0 0 * * 1'],
    ['0 0 0 * * 1', '0 0 * * 1'],
  ])('reads %j as %j', (text, same) => {
    expect(next(text, 10)).toBe(next(same, 10))
  })

  it.each([
    ['0 0 L * *', '2026-01-31 2026-02-28 2026-03-31'],
    ['0 0 l 2 *', '2026-02-28 2027-02-28 2028-02-29'],
    ['0 0 15,L * *', '2026-01-15 2026-01-31 2026-02-15'],
    ['0 0 LW * *', '2026-01-30 2026-02-27 2026-03-31'],
    // A Sunday, a Saturday, and a Saturday that is the first.
    ['0 0 15W 2,3,8 *', '2026-02-16 2026-03-16 2026-08-14'],
    ['0 0 1W 8 *', '2026-08-03 2027-08-02 2028-08-01'],
    ['0 0 31W 1,2,5 *', '2026-01-30 2026-05-29 2027-01-29'],
    ['0 0 * * FRIL', '2026-01-30 2026-02-27 2026-03-27'],
    ['0 0 * * 5L', '2026-01-30 2026-02-27 2026-03-27'],
    ['0 0 * * 7L', '2026-01-25 2026-02-22 2026-03-29'],
    ['0 0 * * MON#2', '2026-01-12 2026-02-09 2026-03-09'],
    ['0 0 * * Monday#2', '2026-01-12 2026-02-09 2026-03-09'],
    ['0 0 * * 0#1,0#3', '2026-01-04 2026-01-18 2026-02-01'],
    ['0 0 * * 4#5', '2026-01-29 2026-04-30 2026-07-30'],
  ])('knows the last, the nearest and the nth: %s', (text, dates) => {
    expect(next(text, 3).replaceAll('T00:00', '')).toBe(dates)
  })

  it.each([
    // Both are restricted: one suffices.
    ['0 0 10 * MON', '2026-01-05 2026-01-10 2026-01-12'],
    ['0 0 L * MON#1', '2026-01-05 2026-01-31 2026-02-02'],
    ['0 0 1-31 * MON', '2026-01-01 2026-01-02 2026-01-03'],
    // One has a star in it: both have to match.
    ['0 0 * * MON', '2026-01-05 2026-01-12 2026-01-19'],
    ['0 0 ? * MON', '2026-01-05 2026-01-12 2026-01-19'],
    ['0 0 */2 * MON', '2026-01-05 2026-01-19 2026-02-09'],
    ['0 0 10 * */2', '2026-01-10 2026-02-10 2026-03-10'],
    ['0 0 11 * */2', '2026-01-11 2026-04-11 2026-06-11'],
  ])('knows what two fields of days mean: %s', (text, dates) => {
    expect(next(text, 3).replaceAll('T00:00', '')).toBe(dates)
  })

  it.each([
    ['@yearly', '0 0 1 1 *'],
    ['@annually', '0 0 1 1 *'],
    ['@monthly', '0 0 1 * *'],
    ['@weekly', '0 0 * * 0'],
    ['@daily', '0 0 * * *'],
    ['@midnight', '0 0 * * *'],
    ['@hourly', '0 * * * *'],
    ['@Hourly', '0 * * * *'],
    ['@DAILY', '0 0 * * *'],
    [' @weekly\n', '0 0 * * 0'],
  ])('knows the macro %j', (macro, same) => {
    expect(next(macro, 5)).toBe(next(same, 5))
  })
})

describe('an error', () => {
  it.each([
    ['', undefined, 'it is empty'],
    [' \n', undefined, 'it is empty'],
    ['*', undefined, 'it has 1 field, not five or six'],
    ['* * * *', undefined, 'it has 4 fields, not five or six'],
    ['* * * * * * *', undefined, 'it has 7 fields, not five or six'],
    ['0 2 30 2 *', undefined, 'it is never due: no such day exists'],
    ['0 2 31 2,4,6,9,11 *', undefined, 'it is never due: no such day exists'],
  ])('says what is wrong with the whole of %j', (text, position, message) => {
    expect(errorOf(text)).toMatchObject({ position, message })
  })

  it.each([
    ['@fortnightly', 0, '@fortnightly is none of'],
    ['  @reboot', 2, '@reboot is none of'],
    ['@daily 5', 0, '@daily 5 is none of'],
    ['@', 0, '@ is none of'],
  ])('names the macros in the place of %j', (text, position, start) => {
    const message = `${start} @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly`
    expect(errorOf(text)).toMatchObject({ position, message })
  })

  it.each([
    ['61 * * * *', 0, '"61" is no minute: use 0 to 59'],
    ['60 * * * * *', 0, '"60" is no second: use 0 to 59'],
    ['* 60 * * * *', 2, '"60" is no minute: use 0 to 59'],
    ['0 24 * * *', 2, '"24" is no hour: use 0 to 23'],
    ['0 20-24 * * *', 2, '"20-24" is no hour: use 0 to 23'],
    ['0 0 0 * *', 4, '"0" is no day of the month: use 1 to 31'],
    ['0 0 1,32 * *', 6, '"32" is no day of the month: use 1 to 31'],
    ['0 0 32W * *', 4, '"32W" is no day of the month: use 1 to 31'],
    ['0 0 * 0 *', 6, '"0" is no month: use 1 to 12'],
    ['0 0 * 13 *', 6, '"13" is no month: use 1 to 12'],
    ['0 0 * * 8', 8, '"8" is no day of the week: use 0 to 7'],
    ['9007199254740993 * * * *', 0, '"9007199254740993" is no minute: use 0 to 59'],
    ['*/0 * * * *', 0, '"*/0" is no minute: a step is at least 1'],
    ['0 1-5/0 * * *', 2, '"1-5/0" is no hour: a step is at least 1'],
    ['*/61 * * * *', 0, '"*/61" is no minute: the step is larger than the field'],
    ['0 1-5/25 * * *', 2, '"1-5/25" is no hour: the step is larger than the field'],
    ['0 0 * * MON#6', 8, '"MON#6" is no day of the week: use #1 to #5'],
  ])('says which values are allowed in the place of those in %j', (text, position, message) => {
    expect(errorOf(text)).toMatchObject({ position, message })
  })

  it.each([
    ['1,,2 * * * *', 2, 'an empty part in the field minute'],
    ['0 1,2, * * *', 6, 'an empty part in the field hour'],
    [', * * * *', 0, 'an empty part in the field minute'],
    ['* * * ,MAY * *', 6, 'an empty part in the field day of the month'],
    ['1- * * * *', 0, '"1-" is no minute: it is not complete'],
    ['-1 * * * *', 0, '"-1" is no minute: it is not complete'],
    ['*/ * * * *', 0, '"*/" is no minute: it is not complete'],
    ['5/15 * * * *', 0, '"5/15" is no minute: put * or a range before the step, as in */15 or 5-59/15'],
    ['0 /5 * * *', 2, '"/5" is no hour: put * or a range before the step, as in */15 or 5-59/15'],
    ['0 0 * FEB/2 *', 6, '"FEB/2" is no month: put * or a range before the step, as in */15 or 5-59/15'],
    ['0 22-2 * * *', 2, '"22-2" is no hour: the range ends before it starts, write two of them with a comma between'],
    [
      '0 0 * * 1,SAT-MON',
      10,
      '"SAT-MON" is no day of the week: the range ends before it starts, write two of them with a comma between',
    ],
    ['1-2-3 * * * *', 0, '"1-2-3" is no minute: it is no number, range or step'],
    ['*/2/3 * * * *', 0, '"*/2/3" is no minute: it is no number, range or step'],
    ['1-5/ * * * *', 0, '"1-5/" is no minute: it is no number, range or step'],
    ['** * * * *', 0, '"**" is no minute: it is no number, range or step'],
    ['5? * * * *', 0, '"5?" is no minute: it is no number, range or step'],
    ['0 0 * * MON#', 8, '"MON#" is no day of the week: it is no number, range or step'],
    ['0 0 * * #2', 8, '"#2" is no day of the week: it is no number, range or step'],
    ['0 0 * * L', 8, '"L" is no day of the week: it is no number, range or step'],

    ['0 0 W * *', 4, '"W" is no day of the month: it is no number, range or step'],
    ['0 0 L-3 * *', 4, '"L-3" is no day of the month: L is a value of its own'],
    ['0 0 1,2L * *', 6, '"2L" is no day of the month: L is a value of its own'],
    ['0 0 1,LW * *', 4, '"1,LW" is no day of the month: LW cannot be in a list'],
    ['0 0 1W-5 * *', 4, '"1W-5" is no day of the month: W follows a single day'],
    ['0 0 */5W * *', 4, '"*/5W" is no day of the month: W follows a single day'],
  ])('says how the parts of %j do not fit', (text, position, message) => {
    expect(errorOf(text)).toMatchObject({ position, message })
  })

  it.each([
    ['0 0 * FOO *', 6, '"FOO" is no month: it holds characters that mean nothing here'],
    ['0 0 * * MON,FOO', 12, '"FOO" is no day of the week: it holds characters that mean nothing here'],
    ['0 0 * MON *', 6, '"MON" is no month: it holds characters that mean nothing here'],
    ['0 0 * * TUES', 8, '"TUES" is no day of the week: write names in full or with three letters'],
    ['0 0 * SEPT *', 6, '"SEPT" is no month: write names in full or with three letters'],
    ['L * * * *', 0, '"L" is no minute: it holds characters that mean nothing here'],
    ['0 0 * * 1W', 8, '"1W" is no day of the week: it holds characters that mean nothing here'],
    ['1#2 * * * *', 0, '"1#2" is no minute: it holds characters that mean nothing here'],
    ['1.5 * * * *', 0, '"1.5" is no minute: it holds characters that mean nothing here'],
    ['٣ * * * *', 0, '"٣" is no minute: it holds characters that mean nothing here'],
    ['* @daily * * *', 2, '"@daily" is no hour: it holds characters that mean nothing here'],
  ])('says which names and characters of %j are unknown', (text, position, message) => {
    expect(errorOf(text)).toMatchObject({ position, message })
  })

  it.each([
    ['5 10:00 * * *', 2, '"10:00" is no hour: it holds characters that mean nothing here'],
    ['Mon Jan 1 10:00:00 2040', 0, '"Mon" is no minute: it holds characters that mean nothing here'],
    [
      '2040-01-01T10:00:00Z * * * *',
      0,
      '"2040-01-01T10:00:00Z" is no minute: it holds characters that mean nothing here',
    ],
  ])('is what a date is: %j', (text, position, message) => {
    expect(errorOf(text)).toMatchObject({ position, message })
  })

  it('counts spaces in front and between', () => {
    expect(errorOf('  *   24 * * *').position).toBe(6)
    expect(errorOf('\t*\n*  *\t * 1,2,9').position).toBe(15)
  })

  it('is about the first of several', () => {
    expect(errorOf('61 24 99 * *').message).toBe('"61" is no minute: use 0 to 59')
  })

  it('never ends in a full stop, and is always one of ours', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[*/,#W?:+@. 019MONL-]{0,8}$/), { minLength: 5 }), (parts) => {
        try {
          new CronExpression(parts.join(' '))
        } catch (error) {
          expect(error).toBeInstanceOf(CronError)
          const { message, position = 0 } = error as CronError
          expect(message).not.toMatch(/\.$|CronPattern|Syntax error|[Ii]nvalid/)
          expect(position).toBeLessThanOrEqual(parts.join(' ').length)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('a time zone', () => {
  it.each([
    [undefined, '2026-01-01T00:00'],
    ['UTC', '2026-01-01T00:00'],
    ['+00:00', '2026-01-01T00:00'],
    ['-00:00', '2026-01-01T00:00'],
    ['+05:30', '2026-01-01T18:30'],
    ['-03:30', '2026-01-01T03:30'],
    ['+14:30', '2026-01-01T09:30'],
    ['+14:45', '2026-01-01T09:15'],
    ['-23:59', '2026-01-01T23:59'],
    ['+23:59', '2026-01-01T00:01'],
    ['Europe/Berlin', '2026-01-01T23:00'],
    ['Etc/GMT+5', '2026-01-01T05:00'],
  ])('%s has its midnight', (timeZone, time) => {
    expect(next('0 0 * * *', 1, timeZone)).toBe(time)
  })

  it('has its own date', () => {
    expect(next('@yearly', 1, 'Europe/Berlin')).toBe('2026-12-31T23:00')
    expect(next('0 3 1 1 *', 1, '+05:30')).toBe('2026-12-31T21:30')
    expect(next('0 22 31 12 *', 1, '-03:30')).toBe('2026-01-01T01:30')
  })
})

describe('next', () => {
  const texts = ['* * * * * *', '*/7 * * * *', '30 2 * * *', '15 1-3 * * *', '0 0 29 2 *', '0 0 1 1 *']
  const zones = ['UTC', '-03:30', 'Europe/Berlin', 'Australia/Lord_Howe']

  it('is later than what it is asked for, to the millisecond', () => {
    const expression = new CronExpression('* * * * * *')
    expect(expression.next(NEW_YEAR - 1)).toBe(NEW_YEAR)
    expect(expression.next(NEW_YEAR)).toBe(NEW_YEAR + SECOND_MS)
    expect(expression.next(NEW_YEAR + 1)).toBe(NEW_YEAR + SECOND_MS)
    expect(expression.next(NEW_YEAR + 999)).toBe(NEW_YEAR + SECOND_MS)
    expect(expression.next(NEW_YEAR + 999.5)).toBe(NEW_YEAR + SECOND_MS)
    expect(expression.next(-1)).toBe(0)
    expect(expression.next(-DAY_MS - 1)).toBe(-DAY_MS)
  })

  it('is the same in any order of questions', () => {
    // From within two days, so that many questions have the same answer.
    const start = Date.UTC(2026, 2, 28)
    const moments = fc.array(fc.integer({ min: start, max: start + 2 * DAY_MS }), { minLength: 2, maxLength: 12 })
    fc.assert(
      fc.property(fc.constantFrom(...texts), fc.constantFrom(...zones), moments, (text, zone, questions) => {
        const shared = new CronExpression(text, zone)
        for (const after of questions) {
          const answer = new CronExpression(text, zone).next(after)
          expect(shared.next(after)).toBe(answer)
          if (answer === undefined) continue
          expect(shared.next(answer - 1)).toBe(answer)
          expect(shared.next(answer)).toBe(new CronExpression(text, zone).next(answer))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('is nothing for what is never due, in any order of questions', () => {
    const expression = new CronExpression('0 0 30 2 *')
    expect([NEW_YEAR, NEW_YEAR + 1, 0, NEW_YEAR].map((after) => expression.next(after))).toEqual(
      Array(4).fill(undefined),
    )
  })
})

describe('last', () => {
  function lastByWalking(expression: CronExpression, atOrBefore: number, after: number): number | undefined {
    let found: number | undefined
    for (let at = expression.next(after); at !== undefined && at <= atOrBefore; at = expression.next(at)) found = at
    return found
  }

  it.each([
    ['*/5 * * * *', '2026-03-29T03:07:12.345Z', '2026-03-29T03:05:00.000Z'],
    // At, and one millisecond before.
    ['*/5 * * * *', '2026-03-29T03:05:00.000Z', '2026-03-29T03:05:00.000Z'],
    ['*/5 * * * *', '2026-03-29T03:04:59.999Z', '2026-03-29T03:00:00.000Z'],
    // In the gap of Berlin.
    ['30 2 * * *', '2026-03-29T01:00:00.000Z', '2026-03-29T01:00:00.000Z'],
    ['30 2 * * *', '2026-10-25T01:45:00.000Z', '2026-10-25T00:30:00.000Z'],
    ['0 0 29 2 *', '2026-01-01T00:00:00.000Z', '2024-02-28T23:00:00.000Z'],
    ['* * * * * *', '2026-01-01T00:00:00.500Z', '2026-01-01T00:00:00.000Z'],
  ])('%s at %s is %s', (text, at, expected) => {
    const found = new CronExpression(text, 'Europe/Berlin').last(Date.parse(at), 0)
    expect(found === undefined ? undefined : new Date(found).toISOString()).toBe(expected)
  })

  it('is later than its lower end', () => {
    const hourly = new CronExpression('0 * * * *')
    const at = NEW_YEAR + 30 * 60_000
    expect(hourly.last(at, NEW_YEAR - 1)).toBe(NEW_YEAR)
    expect(hourly.last(NEW_YEAR, NEW_YEAR - 1)).toBe(NEW_YEAR)
    expect(hourly.last(at, NEW_YEAR)).toBeUndefined()
    expect(hourly.last(at, at)).toBeUndefined()
    expect(hourly.last(at, at + HOUR_MS)).toBeUndefined()
  })

  it('is nothing for what is never due', () => {
    expect(new CronExpression('0 0 30 2 *').last(NEW_YEAR, 0)).toBeUndefined()
  })

  it('is what walking finds', () => {
    const texts = ['*/7 * * * *', '30 2 * * *', '15 1-3 * * *', '0 0 29 2 *', '*/20 30 2 * * 0', '0 12 1 * *']
    const moment = fc.integer({ min: Date.UTC(2025, 9, 20), max: Date.UTC(2026, 3, 10) })
    const reach = fc.oneof(fc.nat(2 * HOUR_MS), fc.nat(3 * DAY_MS))
    fc.assert(
      fc.property(
        fc.constantFrom(...texts),
        fc.constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe'),
        moment,
        reach,
        (text, zone, at, backMs) => {
          const found = new CronExpression(text, zone).last(at, at - backMs)
          expect(found).toBe(lastByWalking(new CronExpression(text, zone), at, at - backMs))
        },
      ),
      { numRuns: 100 },
    )
  })

  it('does not spoil what next answers', () => {
    const expression = new CronExpression('*/7 * * * *', 'Europe/Berlin')
    const fresh = () => new CronExpression('*/7 * * * *', 'Europe/Berlin')
    for (const hours of [0, 5, -5, 100, 1]) {
      const at = NEW_YEAR + hours * HOUR_MS + 1
      expect(expression.last(at, 0)).toBe(fresh().last(at, 0))
      expect(expression.next(at)).toBe(fresh().next(at))
    }
  })
})

describe('cronExpression', () => {
  it('shares an expression among all who ask for it in the same zone', () => {
    const daily = cronExpression('0 4 * * *', 'Europe/Berlin')
    expect(cronExpression('0 4 * * *', 'Europe/Berlin')).toBe(daily)
    expect(cronExpression('0 4 * * *', 'Europe/Paris')).not.toBe(daily)
    expect(cronExpression('0 4 * * *')).toBe(cronExpression('0 4 * * *', 'UTC'))
    expect(daily.text).toBe('0 4 * * *')
  })

  it('says every time what is wrong', () => {
    expect(errorOf('0 2 30 2 *')).not.toBe(errorOf('0 2 30 2 *'))
    expect(errorOf('61 * * * *').message).toBe(errorOf('61 * * * *').message)
  })

  it('forgets the oldest of very many', () => {
    const oldest = cronExpression('59 59 23 31 12 *')
    for (let i = 0; i < 10_000; i++)
      cronExpression(`${i % 60} ${Math.floor(i / 60) % 60} ${Math.floor(i / 3_600)} * * *`)
    expect(cronExpression('59 59 23 31 12 *')).not.toBe(oldest)
  })
})

describe('plainCron', () => {
  it.each([
    ['* * * * *', '* * * * *'],
    ['  */5\t1-3  1,15 * * ', '*/5 1-3 1,15 * *'],
    ['@daily', '0 0 * * *'],
    [' @Yearly ', '0 0 1 1 *'],
    ['@weekly', '0 0 * * 0'],
    ['0 0 * jan-Mar,December MON-FRI', '0 0 * 1-3,12 1-5'],
    ['0 0 * * Saturday,sun', '0 0 * * 6,0'],
    ['0 0 * * 7', '0 0 * * 0'],
    ['0 0 * * 1,7', '0 0 * * 1,0'],
    ['0 0 * * 5-7', '0 0 * * 5-6,0'],
    ['0 0 * * 0-7', '0 0 * * 0-6'],
    ['0 0 * * 7-7', '0 0 * * 0'],
    ['0 0 * * 1-7/2', '0 0 * * 1,3,5,0'],
    ['0 0 * * 1-7/4', '0 0 * * 1,5'],
    ['0 0 * * FRI-SUN', '0 0 * * 5-6,0'],
    ['0 0 * * Monday-Sunday', '0 0 * * 1-6,0'],
    ['0 0 * * MON-SUN/3', '0 0 * * 1,4,0'],
    ['0 0 * * SUN-TUE', '0 0 * * 0-2'],
    ['0 0 7 7 7', '0 0 7 7 0'],
    ['0 0 ? * ?', '0 0 * * *'],
    ['?/5 * * * *', '*/5 * * * *'],
    ['*,5 * * * *', '* * * * *'],
    ['0 0 5 9 12 *', '0 5 9 12 *'],
    ['00 0 5 9 12 MON', '0 5 9 12 1'],
  ])('says %j in plain words: %j', (text, plain) => {
    expect(plainCron(text)).toBe(plain)
    expect(next(plain, 20)).toBe(next(text, 20))
  })

  it.each([
    ['30 0 5 * * *', '30 0 5 * * *'],
    ['* * * * * MON', '* * * * * 1'],
    ['0 0 L * *', '0 0 L * *'],
    ['0 0 LW * *', '0 0 LW * *'],
    ['0 0 15W JAN *', '0 0 15W 1 *'],
    ['0 0 * * MON#2', '0 0 * * 1#2'],
    ['0 0 * * Sunday#1', '0 0 * * 0#1'],
    ['0 0 * * FRIL', '0 0 * * 5L'],
    ['0 0 * * 7L', '0 0 * * 7L'],
    ['0 0 * * TUE-friL', '0 0 * * 2-5L'],
  ])('leaves in %j what cannot be said so: %j', (text, plain) => {
    expect(plainCron(text)).toBe(plain)
    expect(next(plain, 20)).toBe(next(text, 20))
  })
})
