import { describe, expect, it } from 'vitest'

import { BrokerError, MessageError } from '../../src/contract/index.ts'
import type { Schedule, ScheduleSource } from '../../src/contract/index.ts'
import { InMemoryScheduleSource, LabelScheduleSource, Scheduler } from '../../src/scheduler/index.ts'
import { until } from '../../src/testing/until.ts'
import { sleep } from '../../src/util/abort.ts'
import { fake, inMemory } from '../support/brokers.ts'
import { deferred } from '../support/deferred.ts'
import { messagesOf, runScheduler, SOON } from './rig.ts'

const FAR = new Date('2040-01-01T00:00:00Z')

function plain(change: Partial<Schedule>): Schedule {
  return { scheduleId: 's', taskName: 'note', labels: {}, args: [], kwargs: {}, ...change }
}

describe('Scheduler', () => {
  it('sends what tasks declare, with their labels and the id of the schedule', async () => {
    const { broker, transport } = fake({ capabilities: { deduplicates: true } })
    broker.task('note', () => {}, {
      queue: 'low',
      labels: { own: 1 },
      schedule: [{ interval: '1h', args: ['a'], kwargs: { b: 2 }, labels: { own: 2, more: true } }],
    })
    runScheduler(broker, [new LabelScheduleSource(broker), new InMemoryScheduleSource()])

    const [sent] = await until(() => (transport.sent.length > 0 ? transport.sent : undefined), SOON)

    expect(JSON.parse(String(sent?.body))).toMatchObject({
      task_id: sent?.taskId,
      task_name: 'note',
      labels: { own: '1', more: 'True', queue_name: 'low', schedule_id: 'note:3600000ms' },
      args: ['a'],
      kwargs: { b: 2 },
    })
    expect(sent).toMatchObject({ queue: 'low', once: { key: 'schedule:labels:note:3600000ms', ttlMs: 3_600_000 } })
    expect(sent?.taskId).toMatch(/^[0-9a-f]{32}$/)
  })

  it('sends nothing to be sent once through a transport that cannot', async () => {
    const { broker, transport } = fake({ capabilities: { deduplicates: false } })
    const source = new InMemoryScheduleSource()
    await source.addSchedule(plain({ intervalMs: 3_600_000, taskId: 'always this' }))
    runScheduler(broker, [source])

    const [sent] = await until(() => (transport.sent.length > 0 ? transport.sent : undefined), SOON)

    expect(sent).toMatchObject({ taskId: 'always this' })
    expect(sent?.once).toBeUndefined()
  })

  it('takes a new schedule within a second, and lets go of one that is deleted', async () => {
    const broker = inMemory()
    const runs: string[] = []
    const note = broker.task('note', (text: string) => void runs.push(text))
    const source = new InMemoryScheduleSource()
    runScheduler(broker, [source])
    await until(() => broker.isStarted, SOON)

    const startedAt = performance.now()
    const often = await note.scheduleByInterval(source, 100, 'tick')
    await until(() => runs.length >= 1, SOON)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    await until(() => runs.length >= 3, SOON)
    await often.unschedule()
    await sleep(150)
    const count = runs.length
    await sleep(300)

    expect(runs).toHaveLength(count)
  })

  it('fires once at a time, and deletes the schedule', async () => {
    const broker = inMemory()
    const at: number[] = []
    const note = broker.task('note', () => void at.push(Date.now()))
    const source = new InMemoryScheduleSource()
    const { log } = runScheduler(broker, [source])
    const time = new Date(Date.now() + 400)
    await note.scheduleByTime(source, time)
    const late = await note.scheduleByTime(source, new Date(Date.now() - 60_000))

    await until(() => at.length === 2, SOON)
    await until(async () => (await source.getSchedules()).length === 0, SOON)
    await sleep(200)

    expect(at).toHaveLength(2)
    expect(at[1]).toBeGreaterThanOrEqual(time.getTime())
    expect(messagesOf(log, 'warn')).toEqual([
      expect.stringMatching(`^Schedule "${late.scheduleId}" fires 60 s late: its time had passed.$`),
    ])
  })

  it('goes on where it was after a restart, and says what it skipped', async () => {
    const { broker, transport } = fake()
    const source = new InMemoryScheduleSource()
    await source.addSchedule(plain({ scheduleId: 'skips', intervalMs: 200 }))
    await source.addSchedule(plain({ scheduleId: 'one', intervalMs: 200, catchUp: 'one' }))
    const { stop } = runScheduler(broker, [source], { misfireGrace: 100 })
    await until(() => transport.sent.length >= 2, SOON)
    await stop()
    const before = transport.sent.length
    await sleep(1_000)

    const { log } = runScheduler(broker, [source], { misfireGrace: 100 })
    await until(() => transport.sent.length >= before + 4, SOON)

    expect(messagesOf(log, 'warn')).toContainEqual(
      expect.stringMatching(/^Schedule "skips" has missed firings from 20.*\(catchUp: "none"\)/),
    )
    expect(messagesOf(log, 'warn').filter((text) => text.includes('late: it was missed'))).toEqual([
      expect.stringContaining('"one"'),
    ])
  })

  it('sends a firing again until it is accepted, and holds no other up', async () => {
    const { broker, transport } = fake()
    transport.fail('send', new BrokerError('KIQ_TRANSPORT_FAILED', 'away'), 3)
    const source = new InMemoryScheduleSource()
    await source.addSchedule(plain({ scheduleId: 'first', time: Date.now() }))
    const { log } = runScheduler(broker, [source])
    await until(() => transport.sendCalls.length >= 1, SOON)
    await source.addSchedule(plain({ scheduleId: 'second', time: Date.now() + 50 }))

    await until(async () => (await source.getSchedules()).length === 0, SOON)

    expect(transport.sent).toHaveLength(2)
    expect(messagesOf(log, 'error').every((text) => text.endsWith('could not be sent; trying again.'))).toBe(true)
  })

  it('holds no schedule up while another send takes long', async () => {
    const { broker, transport } = fake()
    const gate = deferred()
    transport.next.send.push({ instead: () => gate.promise })
    const source = new InMemoryScheduleSource()
    await source.addSchedule(plain({ scheduleId: 'stuck', time: Date.now() }))
    // Sends of one turn travel together, and the next ones behind them: with a broker each they do not.
    const other = fake()
    const free = new InMemoryScheduleSource()
    await free.addSchedule(plain({ scheduleId: 'free', intervalMs: 100 }))
    runScheduler(broker, [source])
    runScheduler(other.broker, [free])

    await until(() => other.transport.sent.length >= 3, SOON)

    expect(transport.sent).toHaveLength(0)
    gate.resolve()
    await until(() => transport.sent.length === 1, SOON)
  })

  it('skips a firing that can never be sent, and goes on', async () => {
    const { broker, transport } = fake()
    broker.withMiddlewares({
      preSend: (message) => {
        if (message.taskName === 'bad') throw new MessageError('KIQ_ARGUMENTS_UNSERIALIZABLE', 'no')
        return message
      },
    })
    const source = new InMemoryScheduleSource()
    await source.addSchedule(plain({ scheduleId: 'bad', taskName: 'bad', time: Date.now() }))
    await source.addSchedule(plain({ scheduleId: 'good', time: Date.now() }))
    const { log } = runScheduler(broker, [source])

    await until(async () => (await source.getSchedules()).length === 0, SOON)

    expect(transport.sent.map(({ taskName }) => taskName)).toEqual(['note'])
    expect(messagesOf(log, 'error')).toEqual(['Schedule "bad" cannot be sent; this firing is skipped.'])
  })

  it('sends tasks that are not registered here, and says so once', async () => {
    const { broker, transport } = fake()
    const source = new InMemoryScheduleSource()
    await source.addSchedule(plain({ taskName: 'elsewhere', intervalMs: 100 }))
    const { log } = runScheduler(broker, [source])

    await until(() => transport.sent.length >= 3, SOON)
    await source.addSchedule(plain({ scheduleId: 'other', taskName: 'elsewhere', intervalMs: 100_000 }))
    await until(() => transport.sent.length >= 5, SOON)

    const said = messagesOf(log, 'warn').filter((text) => text.includes('"elsewhere", which is not registered here'))
    expect(said).toHaveLength(1)
  })

  it('does not overlap where it shall not', async () => {
    const broker = inMemory()
    const gate = deferred()
    let running = 0
    let most = 0
    let runs = 0
    const slow = broker.task('slow', async () => {
      running += 1
      runs += 1
      most = Math.max(most, running)
      await gate.promise
      running -= 1
    })
    const source = new InMemoryScheduleSource()
    await slow.kicker().withScheduleId('slow').withScheduleOptions({ overlap: 'skip' }).scheduleByInterval(source, 100)
    const { log } = runScheduler(broker, [source])
    await until(() => messagesOf(log, 'info').filter((text) => text.includes('is skipped')).length >= 3, SOON)
    expect(runs).toBe(1)

    gate.resolve()
    await until(() => runs >= 3, SOON)

    expect(most).toBe(1)
  })

  it('says that it overlaps where nobody keeps results', async () => {
    const { broker, transport } = fake({}, { resultBackend: undefined })
    const source = new InMemoryScheduleSource()
    await source.addSchedule(plain({ intervalMs: 100, overlap: 'skip' }))
    const { log } = runScheduler(broker, [source])

    await until(() => transport.sent.length >= 3, SOON)

    expect(messagesOf(log, 'error')).toEqual([expect.stringContaining('Give the broker a result backend.')])
  })

  it('goes on with what it knows while a source fails', async () => {
    const { broker, transport } = fake()
    let fails = false
    const source: ScheduleSource = {
      startup: async () => {},
      shutdown: async () => {},
      getSchedules: async () => {
        if (fails) throw new Error('gone')
        return [plain({ intervalMs: 100 })]
      },
    }
    const { log } = runScheduler(broker, [source], { updateInterval: 100 })
    await until(() => transport.sent.length >= 1, SOON)
    fails = true
    await until(() => messagesOf(log, 'error').length > 0, SOON)
    const count = transport.sent.length

    await until(() => transport.sent.length >= count + 3, SOON)

    expect(messagesOf(log, 'error')[0]).toBe('Could not read the schedules; going on with those that are known.')
  })

  it('is fired by one scheduler at a time, and handed over at once', async () => {
    const { broker, transport } = fake({ capabilities: { deduplicates: false } })
    const source = new InMemoryScheduleSource()
    await source.addSchedule(plain({ intervalMs: 100 }))
    await broker.startup()
    const first = runScheduler(broker, [source], { lease: '30s' })
    await until(() => messagesOf(first.log, 'info').includes('This scheduler leads now.'), SOON)
    const second = runScheduler(broker, [source], { lease: '30s' })
    await until(() => transport.sent.length >= 5, SOON)
    expect(messagesOf(second.log, 'info')).toEqual([])

    const startedAt = performance.now()
    await first.stop()
    await until(() => messagesOf(second.log, 'info').includes('This scheduler leads now.'), SOON)
    const count = transport.sent.length
    await until(() => transport.sent.length >= count + 5, SOON)

    expect(performance.now() - startedAt).toBeLessThan(3_000)
    const times = transport.sent.map(({ taskId }) => taskId)
    expect(new Set(times).size).toBe(times.length)
  })

  it('pauses, resumes, fires and removes', async () => {
    const { broker, transport } = fake()
    const source = new InMemoryScheduleSource()
    broker.task('labelled', () => {}, { schedule: [{ cron: '0 0 1 1 *', scheduleId: 'declared' }] })
    await source.addSchedule(plain({ scheduleId: 'often', intervalMs: 100, args: [1] }))
    const { scheduler, log } = runScheduler(broker, [new LabelScheduleSource(broker), source])
    await until(() => transport.sent.length >= 2, SOON)

    await scheduler.pause('often')
    await sleep(200)
    const count = transport.sent.length
    await sleep(300)
    expect(transport.sent).toHaveLength(count)
    expect((await scheduler.list()).map(({ schedule, isPaused }) => [schedule.scheduleId, isPaused])).toEqual([
      ['declared', false],
      ['often', true],
    ])
    expect(scheduler.nextRuns({ scheduleId: 'often' })).toEqual([])

    const { taskId } = await scheduler.fire('often')
    expect(transport.sent.at(-1)).toMatchObject({ taskId, taskName: 'note' })
    await scheduler.resume('often')
    await until(() => transport.sent.length > count + 1, SOON)
    await scheduler.pause('declared')
    expect((await scheduler.list()).find(({ schedule }) => schedule.scheduleId === 'declared')?.isPaused).toBe(true)
    await scheduler.remove('often')
    expect(await source.getSchedules()).toEqual([])

    await expect(scheduler.remove('declared')).rejects.toThrow(/nothing can be deleted. Take it out of the code/)
    await expect(scheduler.fire('nothing')).rejects.toMatchObject({ code: 'KIQ_SCHEDULE_UNKNOWN' })
    expect(messagesOf(log, 'error')).toEqual([])
  })

  it('makes up for nothing that fell into a pause, also when nobody ran at its end', async () => {
    const { broker, transport } = fake()
    const source = new InMemoryScheduleSource()
    await source.addSchedule(plain({ scheduleId: 'often', intervalMs: 100, catchUp: 'all' }))
    const first = runScheduler(broker, [source])
    await until(() => transport.sent.length >= 2, SOON)
    await first.scheduler.pause('often')
    await sleep(100)
    await first.stop()
    const count = transport.sent.length
    await sleep(1_000)
    const resumedAt = Date.now()
    await new Scheduler(broker, [source]).resume('often')

    runScheduler(broker, [source])
    await until(() => transport.sent.length >= count + 3, SOON)

    expect(transport.sent.length - count).toBeLessThanOrEqual((Date.now() - resumedAt) / 100 + 1)
  })

  it('goes on with what tasks declare when another version of the application declares more', async () => {
    const source = new InMemoryScheduleSource()
    const versions = [1, 2].map((version) => {
      const { broker, transport } = fake()
      const schedule = [{ interval: '1h' as const }]
      broker.task('note', () => {}, { schedule })
      if (version === 2) broker.task('more', () => {}, { schedule })
      return { broker, transport, sources: [new LabelScheduleSource(broker), source] }
    })
    const [one, two] = versions as [(typeof versions)[0], (typeof versions)[0]]
    const first = runScheduler(one.broker, one.sources)
    await until(() => one.transport.sent.length === 1, SOON)
    await first.scheduler.pause('note:3600000ms')
    await first.stop()

    const { scheduler } = runScheduler(two.broker, two.sources)
    await until(() => two.transport.sent.length === 1, SOON)

    expect(two.transport.sent.map(({ taskName }) => taskName)).toEqual(['more'])
    const [note] = (await scheduler.list()).filter(({ schedule }) => schedule.taskName === 'note')
    expect(note).toMatchObject({ isPaused: true, lastAt: expect.any(Date) as Date })
  })

  it('fires an earlier time that takes the place of one that has fired', async () => {
    const broker = inMemory()
    const runs: string[] = []
    const note = broker.task('note', (text: string) => void runs.push(text))
    const source = new InMemoryScheduleSource()
    runScheduler(broker, [source])
    const kicker = note.kicker().withScheduleId('same')
    await kicker.scheduleByTime(source, new Date(), 'first')
    await until(async () => (await source.getSchedules()).length === 0 && runs.length === 1, SOON)

    await kicker.scheduleByTime(source, new Date(Date.now() - 5_000), 'second')

    await until(() => runs.length === 2, SOON)
    expect(runs).toEqual(['first', 'second'])
  })

  it('sends each firing once through a broker in memory, also without an election', async () => {
    const broker = inMemory()
    let runs = 0
    broker.task('note', () => void (runs += 1), { schedule: [{ interval: 200 }] })
    await broker.startup()
    runScheduler(broker, [new LabelScheduleSource(broker)])
    runScheduler(broker, [new LabelScheduleSource(broker)])
    await until(() => runs >= 2, SOON)
    const [before, startedAt] = [runs, performance.now()]
    await sleep(1_000)

    expect(runs - before).toBeLessThanOrEqual(Math.ceil((performance.now() - startedAt) / 200) + 1)
  })

  it.each([
    [true, []],
    [false, [expect.stringMatching(/^Nobody is elected for the schedules of the source "labels".*Give .* a `ledger`/)]],
  ])('says when every scheduler would send: transport that deduplicates %s', async (deduplicates, expected) => {
    const { broker, transport } = fake({ capabilities: { deduplicates } })
    broker.task('note', () => {}, { schedule: [{ interval: 100 }] })
    const { log } = runScheduler(broker, [new LabelScheduleSource(broker)])

    await until(() => transport.sent.length > 0, SOON)

    expect(messagesOf(log, 'warn')).toEqual(expected)
  })

  it('says where a pause cannot be kept', async () => {
    const { broker } = fake()
    broker.task('labelled', () => {}, { schedule: [{ cron: '0 0 1 1 *', scheduleId: 'declared' }] })
    const scheduler = new Scheduler(broker, [new LabelScheduleSource(broker)])

    await expect(scheduler.pause('declared')).rejects.toMatchObject({ code: 'KIQ_UNSUPPORTED' })
  })

  it('starts and stops what was not started, and leaves alone what was', async () => {
    const own = fake()
    const { stop } = runScheduler(own.broker, [new InMemoryScheduleSource()])
    await until(() => own.broker.isStarted, SOON)
    await stop()
    expect(own.broker.isStarted).toBe(false)

    const given = fake()
    await given.broker.startup()
    const other = runScheduler(given.broker, [new InMemoryScheduleSource()])
    await until(() => messagesOf(other.log, 'info').length > 0, SOON)
    await other.stop()
    expect(given.broker.isStarted).toBe(true)
  })

  it('runs once at a time, and again after its end', async () => {
    const { broker } = fake()
    const { scheduler, stop } = runScheduler(broker, [new InMemoryScheduleSource()])

    await expect(scheduler.run()).rejects.toThrow(/is running already/)
    await stop()
    await scheduler.run({ signal: AbortSignal.timeout(50) })
  })

  it.each([
    ['a short lease', { lease: 100 }],
    ['a lease that is no duration', { lease: 'soon' }],
    ['a negative grace', { misfireGrace: -1 }],
    ['an update without an interval', { updateInterval: 0 }],
  ])('refuses %s', (_what, options) => {
    const { broker } = fake()

    expect(() => new Scheduler(broker, [], options)).toThrow(/^`(lease|misfireGrace|updateInterval)` is /)
  })

  it('refuses sources that cannot be told apart', () => {
    const { broker } = fake()
    const labels = new LabelScheduleSource(broker)

    expect(() => new Scheduler(broker, [labels, labels])).toThrow(/Two sources of the scheduler are called "labels"/)
  })
})

describe('nextRuns', () => {
  it('gives the next firings of all schedules, or of one', async () => {
    const { broker } = fake()
    broker.task('labelled', () => {}, {
      schedule: [
        { cron: '0 2 * * *', timeZone: 'Europe/Berlin', scheduleId: 'nightly' },
        { cron: '@hourly', scheduleId: 'hourly' },
      ],
    })
    const source = new InMemoryScheduleSource()
    await source.addSchedule(plain({ scheduleId: 'once', time: FAR.getTime() }))
    const { scheduler, log } = runScheduler(broker, [new LabelScheduleSource(broker), source])
    await until(() => messagesOf(log, 'info').length >= 2, SOON)
    const now = new Date('2026-11-22T23:30:00Z')

    expect(scheduler.nextRuns({ now, count: 3 }).map(({ scheduleId, at }) => [scheduleId, at.toISOString()])).toEqual([
      ['hourly', '2026-11-23T00:00:00.000Z'],
      ['nightly', '2026-11-23T01:00:00.000Z'],
      ['hourly', '2026-11-23T01:00:00.000Z'],
    ])
    expect(scheduler.nextRuns({ now, scheduleId: 'once' })).toEqual([{ scheduleId: 'once', taskName: 'note', at: FAR }])
    expect(scheduler.nextRuns({ now, scheduleId: 'nobody' })).toEqual([])
    // What is due is still to come.
    const after = new Date('2041-01-01T00:00:00Z')
    expect(scheduler.nextRuns({ now: after, scheduleId: 'once' }).map(({ at }) => at)).toEqual([FAR])
    await expect(scheduler.upcoming({ scheduleId: 'nobody' })).rejects.toMatchObject({ code: 'KIQ_SCHEDULE_UNKNOWN' })
  })
})
