import { expect } from 'vitest'

import { KiqError, silentLogger } from '../../contract/index.ts'
import type { MaybePromise, Schedule, ScheduleSource, WritableScheduleSource } from '../../contract/index.ts'
import { deepFreeze } from './freeze.ts'
import type { Contract, Subject } from './suite.ts'
import { describeContract } from './suite.ts'

/** How to exercise one schedule source; see {@link describeScheduleSource}. */
export interface ScheduleSourceSubject extends Subject {
  /**
   * Makes a fresh source that was not started. A writable one is empty, on names or files that no other case uses; one
   * that only reads has at least one schedule.
   */
  readonly create: () => MaybePromise<ScheduleSource>
  /** A second source on the same storage, not started, as another process would open it. */
  readonly peer?: ((first: ScheduleSource) => MaybePromise<ScheduleSource>) | undefined
}

/**
 * Registers the schedule source contract as vitest cases; for writable sources also what concerns changes. Authors of
 * sources call this too.
 */
export function describeScheduleSource(subject: ScheduleSourceSubject): void {
  describeContract<ScheduleRig>(subject, {
    open: () => ScheduleRig.open(subject),
    close: (rig) => rig.close(),
    register: async (contract) => {
      if (isWritable(await subject.create())) registerWriting(contract, subject)
      else registerReading(contract)
    },
  })
}

const PLAIN: Schedule = {
  scheduleId: 'plain',
  taskName: 'app:task',
  labels: {},
  args: [],
  kwargs: {},
  cron: '0 5 * * 1',
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
}

class ScheduleRig {
  readonly source: ScheduleSource
  readonly #subject: ScheduleSourceSubject
  readonly #started: ScheduleSource[] = []

  private constructor(subject: ScheduleSourceSubject, source: ScheduleSource) {
    this.#subject = subject
    this.source = source
  }

  static async open(subject: ScheduleSourceSubject): Promise<ScheduleRig> {
    const rig = new ScheduleRig(subject, await subject.create())
    await rig.#start(rig.source)
    return rig
  }

  async close(): Promise<void> {
    for (const source of this.#started) await source.shutdown()
  }

  get writable(): WritableScheduleSource {
    return isWritable(this.source) ? this.source : expect.fail('this case needs a writable source')
  }

  async peer(): Promise<ScheduleSource> {
    const { peer } = this.#subject
    if (peer === undefined) return expect.fail('this case needs `peer` and must not be registered without it')
    return await this.#start(await peer(this.source))
  }

  async ids(from: ScheduleSource = this.source): Promise<string[]> {
    return (await from.getSchedules()).map((schedule) => schedule.scheduleId).sort()
  }

  async #start(source: ScheduleSource): Promise<ScheduleSource> {
    this.#started.push(source)
    await source.startup({ logger: silentLogger })
    return source
  }
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

function registerWriting(contract: Contract<ScheduleRig>, subject: ScheduleSourceSubject): void {
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

function isWritable(source: ScheduleSource): source is WritableScheduleSource {
  return 'addSchedule' in source
}

function withoutUndefined(schedule: Schedule): object {
  return Object.fromEntries(Object.entries(schedule).filter(([, value]) => value !== undefined))
}
