import { describe, expect, it } from 'vitest'

import { InMemoryScheduleSource, LabelScheduleSource } from '../../src/scheduler/index.ts'
import { fake, inMemory } from '../support/brokers.ts'

const FAR = new Date('2040-01-01T00:00:00Z')

describe('schedules of tasks', () => {
  it.each([
    [{ cron: '*/0 * * * *' }, /cannot be used at character 1: "\*\/0" is no minute: /],
    [{ cron: '0 61 * * *' }, /at character 3: "61" is no hour: use 0 to 23/],
    [{ cron: '0 2 30 2 *' }, /it is never due: no such day exists/],
    [{ cron: '* * * * *', timeZone: 'Mars/Olympus' }, /time zone "Mars\/Olympus"/],
    [{ interval: 0 }, /an interval of 0 ms\. Use at least 100/],
    [{ interval: 'often' }, /`interval` is "often"/],
    [{ time: new Date(NaN) }, /`time` is .*no date/],
    [{}, /has no trigger/],
    [{ cron: '* * * * *', jitter: '-1s' }, /`jitter` is "-1s"/],
    [{ cron: '* * * * *', start: FAR, end: new Date(0) }, /before it starts/],
    [{ cron: '* * * * *', catchUp: 'some' as never }, /catchUp "some"/],
    [{ cron: '* * * * *', overlap: 'maybe' as never }, /overlap "maybe"/],
    [{ cron: '* * * * *', catchUpLimit: 0 }, /catchUpLimit of 0/],
  ])('refuses %j where it is declared', (schedule, message) => {
    const { broker } = fake()

    expect(() => broker.task('note', () => {}, { schedule: [schedule] })).toThrow(message)
  })

  it('have no id that another task has', () => {
    const { broker } = fake()
    const schedule = [{ cron: '@daily', scheduleId: 'nightly' }]
    broker.task('one', () => {}, { schedule })

    expect(() => broker.task('two', () => {}, { schedule })).toThrow(
      /"one" and "two" both declare a schedule "nightly"/,
    )
  })

  it('may not skip what overlaps under one task id', async () => {
    const broker = inMemory()
    const kicker = broker
      .task('note', () => {})
      .kicker()
      .withTaskId('fixed')
      .withScheduleOptions({ overlap: 'skip' })

    await expect(kicker.scheduleByInterval(new InMemoryScheduleSource(), '1m')).rejects.toThrow(/Drop one of them/)
  })

  it('have ids that stay the same, and tell them apart', () => {
    const { broker } = fake()
    const same = { cron: '@daily' }
    broker.task('note', () => {}, { schedule: [same, same, { interval: '90s' }, { time: FAR }] })

    expect(new LabelScheduleSource(broker).current().map(({ scheduleId }) => scheduleId)).toEqual([
      'note:@daily',
      'note:@daily#2',
      'note:90000ms',
      'note:2040-01-01T00:00:00.000Z',
    ])
  })
})
