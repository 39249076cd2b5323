import { expect } from 'vitest'

import { KiqError } from '../../contract/index.ts'
import type { Schedule } from '../../contract/index.ts'
import { deepFreeze } from './freeze.ts'
import { registerLedger } from './schedule-source-ledger.ts'
import { isWritable, PLAIN, ScheduleRig } from './schedule-source-rig.ts'
import type { ScheduleCaseParts, ScheduleSourceSubject } from './schedule-source-rig.ts'
import { registerWatch } from './schedule-source-watch.ts'
import type { Contract } from './suite.ts'
import { describeContract } from './suite.ts'

export type { ScheduleSourceSubject } from './schedule-source-rig.ts'

/**
 * Registers the schedule source contract as vitest cases; for writable sources also what concerns changes, for those with
 * `watch` or a `ledger` also what these promise. Authors of sources call this too.
 */
export function describeScheduleSource(subject: ScheduleSourceSubject): void {
  describeContract<ScheduleRig>(subject, {
    open: () => ScheduleRig.open(subject),
    close: (rig) => rig.close(),
    register: async (contract) => {
      const parts: ScheduleCaseParts = { contract, subject, source: await subject.create() }
      if (isWritable(parts.source)) registerWriting(parts)
      else registerReading(contract)
      registerWatch(parts)
      registerLedger(parts)
    },
  })
}

const SAMPLES: Readonly<Record<string, Schedule>> = deepFreeze({
  'a cron schedule': PLAIN,
  'a cron schedule in a time zone': { ...PLAIN, timeZone: 'Europe/Berlin' },
  'a cron schedule at an offset': { ...PLAIN, timeZone: '+02:00' },
  'an interval of seconds': { ...trigger({ intervalMs: 90_000 }) },
  'an interval of a fraction of a second': { ...trigger({ intervalMs: 1_500 }) },
  'the shortest interval': { ...trigger({ intervalMs: 100 }) },
  'a point in time': { ...trigger({ time: 1_893_456_000_123 }) },
  'a point in the past': { ...trigger({ time: 1_000 }) },
  'a schedule with arguments, labels and a task id': {
    ...PLAIN,
    scheduleId: 'with everything: ünïcode 😀',
    args: [1, 'two', [3, null], { four: true }, -0.5],
    kwargs: { name: 'ä', nested: { list: [1, { deep: 'yes' }] }, none: null },
    labels: { queue_name: 'low', text: 'with "quotes"' },
    taskId: 'the-same-every-time',
  },
  'a cron schedule with seconds': { ...PLAIN, cron: '*/15 * * * * *' },
  'a jitter': { ...PLAIN, jitterMs: 1_500 },
  'no jitter': { ...PLAIN, jitterMs: 0 },
  'a start and an end': { ...PLAIN, startAt: 1_893_456_000_123, endAt: 1_893_459_600_456 },
  'a start alone, in the past': { ...PLAIN, startAt: 1_000 },
  'an end at its start': { ...PLAIN, startAt: 1_893_456_000_000, endAt: 1_893_456_000_000 },
  'that firings overlap': { ...PLAIN, overlap: 'allow' },
  'that firings do not overlap': { ...PLAIN, overlap: 'skip' },
  'that nothing is made up for': { ...PLAIN, catchUp: 'none' },
  'that the last firing is made up for': { ...PLAIN, catchUp: 'one' },
  'how many firings are made up for': { ...trigger({ intervalMs: 60_000 }), catchUp: 'all', catchUpLimit: 7 },
})

const INVALID: Readonly<Record<string, Partial<Schedule>>> = {
  'without a trigger': {},
  'with a blank cron expression': { cron: ' ' },
  'with an interval below 100 ms': { intervalMs: 99 },
  'with a negative interval': { intervalMs: -60_000 },
  'with an interval that is no number': { intervalMs: NaN },
  'with an endless interval': { intervalMs: Infinity },
  'with a time that is no number': { time: NaN },
  'with a time beyond all dates': { time: 1e18 },
  'with an unknown time zone': { cron: '0 5 * * 1', timeZone: 'Mars/Olympus_Mons' },
  'with a minute that no hour has': { cron: '61 * * * *' },
  'with a day that no year has': { cron: '0 2 30 2 *' },
  'with a cron expression of four fields': { cron: '* * * *' },
  'with a negative jitter': { intervalMs: 60_000, jitterMs: -1 },
  'with an endless jitter': { intervalMs: 60_000, jitterMs: Infinity },
  'with a start that is no number': { intervalMs: 60_000, startAt: NaN },
  'with an end before its start': { intervalMs: 60_000, startAt: 2_000, endAt: 1_999 },
  'with another word for overlap': { intervalMs: 60_000, overlap: 'never' as 'skip' },
  'with another word for catching up': { intervalMs: 60_000, catchUp: 'some' as 'all' },
  'with a limit of nothing to make up for': { intervalMs: 60_000, catchUp: 'all', catchUpLimit: 0 },
  'with a limit that is no whole number': { intervalMs: 60_000, catchUp: 'all', catchUpLimit: 1.5 },
}

function registerReading(contract: Contract<ScheduleRig>): void {
  contract('gives schedules with an id, a task name and a trigger', async ({ source }) => {
    const schedules = await source.getSchedules()

    expect(schedules.length).toBeGreaterThan(0)
    for (const schedule of schedules) {
      expect(schedule).toMatchObject({ scheduleId: expect.any(String), taskName: expect.any(String) })
      expect([schedule.cron, schedule.intervalMs, schedule.time].some((one) => one !== undefined)).toBe(true)
      expect([Array.isArray(schedule.args), typeof schedule.kwargs, typeof schedule.labels]).toEqual([
        true,
        'object',
        'object',
      ])
    }
  })

  contract('gives every schedule an id of its own, the same on every call', async (rig) => {
    const ids = await rig.ids()

    expect(new Set(ids).size).toBe(ids.length)
    expect(await rig.ids()).toEqual(ids)
  })
}

function registerWriting({ contract, subject }: ScheduleCaseParts): void {
  contract('is empty at first', async ({ source }) => {
    expect(await source.getSchedules()).toEqual([])
  })

  contract('may be started without options', async ({ source }) => {
    await source.shutdown()
    await source.startup()

    expect(await source.getSchedules()).toEqual([])
  })

  for (const [what, schedule] of Object.entries(SAMPLES)) {
    contract(`keeps ${what}`, async ({ source, writable }) => {
      await writable.addSchedule(schedule)

      expect((await source.getSchedules()).map(withoutUndefined)).toEqual([schedule])
    })
  }

  contract('keeps many schedules', async (rig) => {
    const ids = Array.from({ length: 120 }, (_, index) => `schedule-${index}`).sort()
    for (const scheduleId of ids) await rig.writable.addSchedule({ ...PLAIN, scheduleId })

    expect(await rig.ids()).toEqual(ids)
  })

  contract('replaces a schedule of the same id', async ({ source, writable }) => {
    await writable.addSchedule(PLAIN)
    const later = { ...trigger({ intervalMs: 5_000 }), scheduleId: PLAIN.scheduleId, taskName: 'app:other' }

    await writable.addSchedule(later)

    expect((await source.getSchedules()).map(withoutUndefined)).toEqual([later])
  })

  contract('deletes a schedule, and only that', async (rig) => {
    for (const scheduleId of ['a', 'b', 'c']) await rig.writable.addSchedule({ ...PLAIN, scheduleId })

    await rig.writable.deleteSchedule('b')

    expect(await rig.ids()).toEqual(['a', 'c'])
  })

  contract('deletes a schedule that is not there without harm', async (rig) => {
    await rig.writable.addSchedule(PLAIN)

    await rig.writable.deleteSchedule('never added')
    await rig.writable.deleteSchedule(PLAIN.scheduleId)
    await rig.writable.deleteSchedule(PLAIN.scheduleId)

    expect(await rig.ids()).toEqual([])
  })

  contract('deletes a schedule only at the time it should have', async (rig) => {
    const at = (time: number): Schedule => trigger({ time })
    await rig.writable.addSchedule(at(2_000_000_000_000))

    await rig.writable.deleteSchedule('triggered', { ifTime: 1_000 })
    expect(await rig.ids()).toEqual(['triggered'])
    await rig.writable.deleteSchedule('triggered', { ifTime: 2_000_000_000_000 })
    await rig.writable.deleteSchedule('triggered', { ifTime: 2_000_000_000_000 })
    expect(await rig.ids()).toEqual([])

    await rig.writable.addSchedule(PLAIN)
    await rig.writable.deleteSchedule(PLAIN.scheduleId, { ifTime: 1_000 })
    expect(await rig.ids()).toEqual([PLAIN.scheduleId])
  })

  contract('takes a deleted schedule again', async (rig) => {
    await rig.writable.addSchedule(PLAIN)
    await rig.writable.deleteSchedule(PLAIN.scheduleId)

    await rig.writable.addSchedule(PLAIN)

    expect(await rig.ids()).toEqual([PLAIN.scheduleId])
  })

  for (const [what, triggers] of Object.entries(INVALID)) {
    contract(`refuses a schedule ${what}`, async (rig) => {
      const error = await rig.writable.addSchedule(trigger(triggers)).catch((reason: unknown) => reason)

      expect(KiqError.is(error, 'KIQ_SCHEDULE_INVALID'), String(error)).toBe(true)
      expect(await rig.ids()).toEqual([])
    })
  }

  if (subject.peer === undefined) return

  contract('has the name that its peer has', async (rig) => {
    expect((await rig.peer()).name).toBe(rig.source.name)
  })

  contract('shows changes to a peer, and the changes of a peer', async (rig) => {
    const peer = await rig.peer()
    await rig.writable.addSchedule(PLAIN)
    expect(await rig.ids(peer)).toEqual([PLAIN.scheduleId])

    if (isWritable(peer)) await peer.deleteSchedule(PLAIN.scheduleId)

    expect(await rig.ids()).toEqual(isWritable(peer) ? [] : [PLAIN.scheduleId])
  })
}

/** A schedule with these triggers and no others. */
function trigger(triggers: Partial<Schedule>): Schedule {
  return { scheduleId: 'triggered', taskName: 'app:task', labels: {}, args: [], kwargs: {}, ...triggers }
}

function withoutUndefined(schedule: Schedule): object {
  return Object.fromEntries(Object.entries(schedule).filter(([, value]) => value !== undefined))
}
