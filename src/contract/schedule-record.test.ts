import { describe, expect, it } from 'vitest'

import { cronExpression } from '../util/cron.ts'
import { ScheduleError } from './errors.ts'
import { scheduleFromRecord, scheduleToRecord } from './schedule-record.ts'
import type { Schedule } from './schedule-source.ts'

const BARE = { scheduleId: 's', taskName: 't', labels: {}, args: [], kwargs: {} }
const PLAIN: Schedule = { ...BARE, cron: '* * * * *' }

const record = (change: object): object => ({
  task_name: 't',
  labels: {},
  args: [],
  kwargs: {},
  schedule_id: 's',
  ...change,
})
const cron = (change: object): object => record({ cron: '* * * * *', ...change })

/** The first times at which an expression is due. */
function firings(expression: string): readonly number[] {
  const times = [0]
  while (times.length < 30) times.push(cronExpression(expression).next(Number(times.at(-1))) ?? NaN)
  return times
}

describe('scheduleToRecord', () => {
  it('makes what Python writes, in its order', () => {
    const schedule: Schedule = {
      scheduleId: 'c1',
      taskName: 't',
      labels: { lab: '5' },
      args: [1],
      kwargs: { b: 2 },
      cron: '*/5 * * * *',
    }

    expect(JSON.stringify(scheduleToRecord(schedule))).toBe(
      '{"task_name":"t","labels":{"lab":"5"},"args":[1],"kwargs":{"b":2},"task_id":null,"schedule_id":"c1",' +
        '"cron":"*/5 * * * *","cron_offset":null,"time":null,"interval":null}',
    )
  })

  it('makes a record of its own, of plain data', () => {
    const args = [{ at: new Date(0), none: undefined }, undefined]
    const made = scheduleToRecord({ ...PLAIN, args })

    args.pop()

    expect(made.args).toStrictEqual([{ at: '1970-01-01T00:00:00.000Z' }, null])
  })

  it.each([
    [90_000, 90],
    [1_500, 'PT1.5S'],
    [100, 'PT0.1S'],
  ])('has an interval of %i ms as %s', (intervalMs, expected) => {
    expect(scheduleToRecord({ ...BARE, intervalMs })).toMatchObject({ interval: expected })
  })

  it.each([
    [0, '1970-01-01T00:00:00.000Z'],
    [1_893_456_000_123, '2030-01-01T00:00:00.123Z'],
    [-62_135_596_800_000, '0001-01-01T00:00:00.000Z'],
    [253_402_300_799_999, '9999-12-31T23:59:59.999Z'],
  ])('has the time %i as %s', (time, expected) => {
    expect(scheduleToRecord({ ...BARE, time })).toMatchObject({ time: expected })
  })

  // Python's Taskiq before 0.13 takes every offset for the name of a zone.
  it.each([
    ['Europe/Berlin', 'Europe/Berlin'],
    ['+02:00', 'Etc/GMT-2'],
    ['-12:00', 'Etc/GMT+12'],
    ['+14:00', 'Etc/GMT-14'],
    ['+00:00', 'Etc/GMT-0'],
    ['+05:30', '+05:30'],
    ['-13:00', '-13:00'],
  ])('has the time zone %s as %s, and reads that again', (timeZone, expected) => {
    const made = scheduleToRecord({ ...PLAIN, timeZone })

    expect(made).toMatchObject({ cron_offset: expected })
    expect(scheduleFromRecord(made)).toMatchObject({ timeZone })
  })

  it.each([
    ['@daily', '0 0 * * *'],
    ['@Hourly', '0 * * * *'],
    ['@yearly', '0 0 1 1 *'],
    ['0 0 1 jan mon', '0 0 1 1 1'],
    ['0 0 * JAN,december *', '0 0 * 1,12 *'],
    ['0 0 * * MON-FRI', '0 0 * * 1-5'],
    ['0 0 * * 7', '0 0 * * 0'],
    ['  0\t0  * *   * ', '0 0 * * *'],
    ['*/15 * * * * *', '*/15 * * * * *'],
    ['0 0 L * *', '0 0 L * *'],
  ])('has the cron expression %j as %j, which Python reads, and reads that again', (expression, expected) => {
    const made = scheduleToRecord({ ...BARE, cron: expression })

    expect(made).toMatchObject({ cron: expected })
    expect(scheduleFromRecord(made)).toEqual({ ...BARE, cron: expected })
    expect(scheduleToRecord({ ...BARE, cron: expected })).toEqual(made)
  })

  it.each(['fri-sun', 'SAT-sunday', 'sun-sat', '1-7/2', '5-7', 'sun,sat', '7#1', 'MON#2', '5L'])(
    'has the days %s in words that mean the same here',
    (days) => {
      const { cron: made } = scheduleToRecord({ ...BARE, cron: `0 0 * * ${days}` })

      expect(firings(String(made))).toEqual(firings(`0 0 * * ${days}`))
    },
  )

  it.each([
    [{ jitterMs: 1_500 }, { jitter_ms: 1_500 }],
    [{ jitterMs: 0 }, { jitter_ms: 0 }],
    [{ startAt: 0 }, { start: '1970-01-01T00:00:00.000Z' }],
    [{ endAt: 1_893_456_000_123 }, { end: '2030-01-01T00:00:00.123Z' }],
    [{ overlap: 'skip' }, { overlap: 'skip' }],
    [{ overlap: 'allow' }, { overlap: 'allow' }],
    [{ catchUp: 'one' }, { catch_up: 'one' }],
    [
      { catchUp: 'all', catchUpLimit: 7 },
      { catch_up: 'all', catch_up_limit: 7 },
    ],
  ] as const)('has %j as %j, apart from what Python reads, and reads that again', (rules, expected) => {
    const made = scheduleToRecord({ ...PLAIN, ...rules })

    expect(made.kiq).toStrictEqual(expected)
    expect(Object.keys(made).at(-1)).toBe('kiq')
    expect(scheduleFromRecord(made)).toEqual({ ...PLAIN, ...rules })
  })

  it('has nothing but what Python writes where there are no rules', () => {
    const none = { jitterMs: undefined, startAt: undefined, overlap: undefined, catchUp: undefined }

    expect(scheduleToRecord({ ...PLAIN, ...none })).not.toHaveProperty('kiq')
  })

  const cycle: unknown[] = []
  cycle.push(cycle)
  it.each([
    ['a bigint', { args: [[1n]] }],
    ['bytes', { kwargs: { bytes: new Uint8Array([1]) } }],
    ['a Buffer, which would be an object', { kwargs: { bytes: Buffer.from('a') } }],
    ['a number that JSON has no word for', { labels: { n: NaN } }],
    ['a cycle', { args: cycle }],
    ['a year that Python does not have', { time: Date.UTC(10_000, 0) }],
    ['the year 0', { time: -62_135_596_800_001 }],
    ['an interval that is no number any more', { intervalMs: 2 ** 54 }],
    ['no trigger', { cron: undefined }],
    ['a cron expression that cannot be read', { cron: '61 * * * *' }],
    ['a cron expression that is never due', { cron: '0 2 30 2 *' }],
    ['a negative jitter', { jitterMs: -1 }],
    ['an end before the start', { startAt: 2, endAt: 1 }],
    ['a start in a year that Python does not have', { startAt: Date.UTC(10_000, 0) }],
    ['another word for overlap', { overlap: 'never' as 'skip' }],
    ['another word for catching up', { catchUp: 'some' as 'all' }],
    ['a limit of 0', { catchUpLimit: 0 }],
  ])('refuses %s', (_, change) => {
    expect(() => scheduleToRecord({ ...PLAIN, ...change })).toThrow(ScheduleError)
  })

  it('says where a value stands that cannot be kept', () => {
    expect(() => scheduleToRecord({ ...PLAIN, kwargs: { big: 5n } })).toThrow(
      'Schedule "s" of task "t" has 5n at "big", which JSON cannot keep. Use text instead.',
    )
  })
})

describe('scheduleFromRecord', () => {
  it.each([
    ['whole seconds', { interval: 90 }, { intervalMs: 90_000 }],
    ['a fraction of seconds, which Python refuses', { interval: 1.5 }, { intervalMs: 1_500 }],
    ['digits', { interval: '90' }, { intervalMs: 90_000 }],
    ['digits with a fraction of none', { interval: '90.0' }, { intervalMs: 90_000 }],
    ['digits between spaces', { interval: ' 90 ' }, { intervalMs: 90_000 }],
    ['an ISO duration', { interval: 'PT1M30S' }, { intervalMs: 90_000 }],
    ['an ISO duration of days', { interval: 'P1DT1H' }, { intervalMs: 90_000_000 }],
    ['a clock', { interval: '1:30:00' }, { intervalMs: 5_400_000 }],
    ['days and a clock', { interval: '2 days, 1:00:00' }, { intervalMs: 176_400_000 }],
    ['a UTC time', { time: '2026-11-22T02:10:51.018729Z' }, { time: Date.UTC(2026, 10, 22, 2, 10, 51, 18) }],
    ['a time with an offset', { time: '2030-01-02T03:04:05+02:00' }, { time: Date.UTC(2030, 0, 2, 1, 4, 5) }],
    ['a naive time, which is UTC', { time: '2030-01-02 03:04:05' }, { time: Date.UTC(2030, 0, 2, 3, 4, 5) }],
    ['a time in Unix seconds', { time: 1_500 }, { time: 1_500_000 }],
    ['a time in seconds with a fraction', { time: 1.001 }, { time: 1_001 }],
    ['the last time in seconds', { time: 2e10 }, { time: 2e13 }],
    ['a time in milliseconds', { time: 2e10 + 1 }, { time: 2e10 + 1 }],
    ['a time in milliseconds before 1970', { time: -2e10 - 1 }, { time: -2e10 - 1 }],
    ['a time in digits', { time: '1893456000123' }, { time: 1_893_456_000_123 }],
    ['the epoch', { time: 0 }, { time: 0 }],
  ])('reads %s', (_, change, expected) => {
    expect(scheduleFromRecord(record(change))).toEqual({ ...BARE, ...expected })
  })

  it.each([
    ['a zone', 'Europe/Berlin', 'Europe/Berlin'],
    ['an offset', '+02:00', '+02:00'],
    ['an offset of half an hour', '-05:30', '-05:30'],
    ['an ISO duration', 'PT2H', '+02:00'],
    ['a negative ISO duration', '-PT5H30M', '-05:30'],
    ['no offset', 'PT0S', '+00:00'],
    ['a clock', '2:00:00', '+02:00'],
    ['seconds', 7_200, '+02:00'],
    ['negative seconds', -1_800, '-00:30'],
    ['an offset by its IANA name', 'Etc/GMT+5', '-05:00'],
  ])('reads %s as a time zone', (_, offset, timeZone) => {
    expect(scheduleFromRecord(cron({ cron_offset: offset }))).toEqual({ ...PLAIN, timeZone })
  })

  it('takes an empty time zone for none', () => {
    expect(scheduleFromRecord(cron({ cron_offset: '' }))).toEqual(PLAIN)
  })

  it('reads a task id', () => {
    expect(scheduleFromRecord(cron({ task_id: 'x' }))).toEqual({ ...PLAIN, taskId: 'x' })
  })

  it('takes null and missing fields for the same, and ignores others', () => {
    const nulls = { task_id: null, cron_offset: null, time: null, interval: null }

    expect(scheduleFromRecord(cron({ ...nulls, labels_types: {}, extra: 1 }))).toEqual(PLAIN)
  })

  it.each([
    ['no rules', {}, {}],
    ['rules that are all null', { jitter_ms: null, start: null, end: null, overlap: null, catch_up: null }, {}],
    ['rules that it does not know', { jitter_ms: 5, of_a_later_version: true }, { jitterMs: 5 }],
    ['times with an offset', { start: '2030-01-01T02:00:00+02:00' }, { startAt: 1_893_456_000_000 }],
    [
      'times as numbers',
      { start: 1_893_456_000, end: 1_893_456_000_123 },
      { startAt: 1_893_456_000_000, endAt: 1_893_456_000_123 },
    ],
  ])('reads %s', (_, kiq, expected) => {
    expect(scheduleFromRecord(cron({ kiq }))).toEqual({ ...PLAIN, ...expected })
  })

  it('reads a record without rules', () => {
    expect(scheduleFromRecord(cron({ kiq: null }))).toEqual(PLAIN)
  })

  it('hands on labels and arguments as they come', () => {
    const given = {
      labels: { n: 1, text: '5', none: null, list: [1] },
      args: [2n ** 64n, 0.5],
      kwargs: { a: { b: [] } },
    }

    expect(scheduleFromRecord(cron(given))).toEqual({ ...PLAIN, ...given })
  })

  it.each([
    ['text', 'nonsense'],
    ['nothing', null],
    ['a list', []],
    ['bytes', new Uint8Array([1])],
    ['no trigger', record({})],
    ['a blank cron expression', record({ cron: '' })],
    ['a cron expression that is no text', record({ cron: 5 })],
    ['no task name', cron({ task_name: null })],
    ['no id', cron({ schedule_id: undefined })],
    ['a task id that is no text', cron({ task_id: 5 })],
    ['no labels', cron({ labels: null })],
    ['arguments that are no list', cron({ args: {} })],
    ['keyword arguments that are a list', cron({ kwargs: [] })],
    ['an interval that is no duration', record({ interval: 'soon' })],
    ['an interval that is a boolean', record({ interval: true })],
    ['an interval beyond all numbers', record({ interval: 10n ** 30n })],
    ['a negative interval', record({ interval: '-PT90S' })],
    ['a time that is none', record({ time: 'tomorrow' })],
    ['a time that is a boolean', record({ time: true })],
    ['a zone that does not exist', cron({ cron_offset: 'Mars/Olympus_Mons' })],
    ['an offset of seconds', cron({ cron_offset: 'PT90S' })],
    ['an offset of a day', cron({ cron_offset: 'P1D' })],
    ['an offset that is an object', cron({ cron_offset: {} })],
    ['rules that are no object', cron({ kiq: 'none' })],
    ['rules that are a list', cron({ kiq: [] })],
    ['a jitter that is text', cron({ kiq: { jitter_ms: '5' } })],
    ['a negative jitter', cron({ kiq: { jitter_ms: -5 } })],
    ['a start that is no time', cron({ kiq: { start: 'tomorrow' } })],
    ['an end before the start', cron({ kiq: { start: 2, end: 1 } })],
    ['another word for overlap', cron({ kiq: { overlap: true } })],
    ['another word for catching up', cron({ kiq: { catch_up: 'some' } })],
    ['a limit that is no whole number', cron({ kiq: { catch_up_limit: 1.5 } })],
    ['a cron expression that is never due', record({ cron: '0 0 30 2 *' })],
  ])('refuses %s', (_, value) => {
    expect(() => scheduleFromRecord(value)).toThrow(ScheduleError)
  })

  it.each([
    [[], 'A stored schedule is []. Delete it and add it again.'],
    [
      record({ time: 'tomorrow' }),
      'The stored schedule "s" has "tomorrow" as its `time`, which is no time. Delete it and add it again.',
    ],
    [
      cron({ kiq: { end: 'tomorrow' } }),
      'The stored schedule "s" has "tomorrow" as its `end`, which is no time. Delete it and add it again.',
    ],
    [cron({ args: undefined }), 'The stored schedule "s" has no `args`. Delete it and add it again.'],
  ])('says what is wrong with %j', (value, message) => {
    expect(() => scheduleFromRecord(value)).toThrow(message)
  })
})
