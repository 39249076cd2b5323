import { describe, expect, it } from 'vitest'

import { ScheduleError } from '../../contract/index.ts'
import type { Schedule } from '../../contract/index.ts'
import { formatSchedule, parseSchedule } from './schedule-record.ts'

const PLAIN: Schedule = { scheduleId: 's', taskName: 't', labels: {}, args: [], kwargs: {}, cron: '* * * * *' }

const record = (change: object): string =>
  JSON.stringify({ task_name: 't', labels: {}, args: [], kwargs: {}, schedule_id: 's', ...change })

describe('formatSchedule', () => {
  it('writes what Python writes, in its order', () => {
    const schedule: Schedule = {
      scheduleId: 'c1',
      taskName: 't',
      labels: { lab: '5' },
      args: [1],
      kwargs: { b: 2 },
      cron: '*/5 * * * *',
    }

    expect(formatSchedule(schedule)).toBe(
      '{"task_name":"t","labels":{"lab":"5"},"args":[1],"kwargs":{"b":2},"task_id":null,"schedule_id":"c1",' +
        '"cron":"*/5 * * * *","cron_offset":null,"time":null,"interval":null}',
    )
  })

  it.each([
    [90_000, 90],
    [1_500, 'PT1.5S'],
    [100, 'PT0.1S'],
  ])('writes an interval of %i ms as %s', (intervalMs, expected) => {
    const { cron: _, ...rest } = PLAIN
    expect(JSON.parse(formatSchedule({ ...rest, intervalMs }))).toMatchObject({ interval: expected })
  })

  it.each([
    ['a bigint', { args: [[1n]] }],
    ['bytes', { kwargs: { bytes: new Uint8Array([1]) } }],
    ['a number that JSON has no word for', { labels: { n: NaN } }],
  ])('refuses %s, which would come back as something else', (_, change) => {
    expect(() => formatSchedule({ ...PLAIN, ...change })).toThrow(ScheduleError)
  })
})

describe('parseSchedule', () => {
  it.each([
    ['whole seconds', { interval: 90 }, { intervalMs: 90_000 }],
    ['digits', { interval: '90' }, { intervalMs: 90_000 }],
    ['an ISO duration', { interval: 'PT1M30S' }, { intervalMs: 90_000 }],
    ['an ISO duration of days', { interval: 'P1DT1H' }, { intervalMs: 90_000_000 }],
    ['a clock', { interval: '1:30:00' }, { intervalMs: 5_400_000 }],
    ['a UTC time', { time: '2026-11-22T02:10:51.018729Z' }, { time: Date.UTC(2026, 10, 22, 2, 10, 51, 18) }],
    ['a time with an offset', { time: '2030-01-02T03:04:05+02:00' }, { time: Date.UTC(2030, 0, 2, 1, 4, 5) }],
    ['a naive time, which is UTC', { time: '2030-01-02 03:04:05' }, { time: Date.UTC(2030, 0, 2, 3, 4, 5) }],
    ['a time in Unix seconds', { time: 1_500 }, { time: 1_500_000 }],
    ['a zone', { cron: '* * * * *', cron_offset: 'Europe/Berlin' }, { cron: '* * * * *', timeZone: 'Europe/Berlin' }],
    ['a task id', { cron: '* * * * *', task_id: 'x' }, { cron: '* * * * *', taskId: 'x' }],
  ])('reads %s', (_, change, expected) => {
    expect(parseSchedule(record(change))).toEqual({
      scheduleId: 's',
      taskName: 't',
      labels: {},
      args: [],
      kwargs: {},
      ...expected,
    })
  })

  it.each([
    ['no JSON', 'nonsense'],
    ['a list', '[]'],
    ['no trigger', record({})],
    ['no task name', record({ task_name: null, cron: '* * * * *' })],
    ['arguments that are no list', record({ args: {}, cron: '* * * * *' })],
    ['an interval that is no duration', record({ interval: 'soon' })],
    ['a time that is none', record({ time: 'tomorrow' })],
  ])('refuses %s', (_, text) => {
    expect(() => parseSchedule(text)).toThrow(ScheduleError)
  })
})
