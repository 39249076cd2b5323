import { describe, expect, it } from 'vitest'

import { SmartRetryMiddleware } from '../../src/index.ts'
import { InMemoryScheduleSource } from '../../src/scheduler/index.ts'
import { until } from '../../src/testing/until.ts'
import { fake } from '../support/brokers.ts'
import { messagesOf, runScheduler, SOON } from './rig.ts'

describe('a delay on a transport that cannot delay', () => {
  it('waits in the schedule source of the broker', async () => {
    const { broker, transport } = fake({ capabilities: { delays: false } })
    const source = new InMemoryScheduleSource()
    const note = broker.withScheduleSource(source).task('note', (_text: string) => {})
    await broker.startup()
    const sent = await note.kicker().withLabels({ own: 1 }).withDelay(400).kiq('a')
    const [now] = await note.kiqMany([['b']])

    expect(await source.getSchedules()).toEqual([
      expect.objectContaining({ scheduleId: sent.taskId, taskId: sent.taskId, labels: { own: 1 }, args: ['a'] }),
    ])
    runScheduler(broker, [source])
    await until(() => transport.sent.length === 2, SOON)
    expect(transport.sent.map(({ taskId }) => taskId)).toEqual([now?.taskId, sent.taskId])
    await until(async () => (await source.getSchedules()).length === 0, SOON)
  })

  it('waits there also for retries, and runs its hooks once', async () => {
    const { broker, transport, work } = fake({ capabilities: { delays: false }, loop: true })
    const source = new InMemoryScheduleSource()
    let hooks = 0
    let attempts = 0
    broker.withScheduleSource(source).withMiddlewares(
      {
        preSend: (message) => {
          hooks += 1
          return message
        },
      },
      new SmartRetryMiddleware({ defaultDelay: '300ms', useJitter: false }),
    )
    const failing = broker.task(
      'failing',
      () => {
        attempts += 1
        if (attempts === 1) throw new Error('once')
      },
      { labels: { retry_on_error: true } },
    )
    await work()
    await failing.kicker().withDelay(100).kiq()
    expect(hooks).toBe(0)
    runScheduler(broker, [source])
    await until(() => attempts === 1, SOON)
    const failedAt = performance.now()

    await until(() => attempts === 2, SOON)

    expect(performance.now() - failedAt).toBeGreaterThan(200)
    expect(hooks).toBe(2)
    expect(transport.settlements.every(({ kind }) => kind === 'ack')).toBe(true)
  })

  it('stays open when a scheduler on it ends', async () => {
    const { broker } = fake({ capabilities: { delays: false } })
    const ends: string[] = []
    const source = Object.assign(new InMemoryScheduleSource(), { shutdown: async () => void ends.push('shutdown') })
    broker.withScheduleSource(source)
    await broker.startup()
    const { stop, log } = runScheduler(broker, [source])
    await until(() => messagesOf(log, 'info').length > 0, SOON)

    await stop()

    expect(ends).toEqual([])
  })

  it('is refused without one, and says what to do', async () => {
    const { broker } = fake({ capabilities: { delays: false } })
    const note = broker.task('note', () => {})
    await broker.startup()

    await expect(note.kicker().withDelay('1s').kiq()).rejects.toThrow(/`withScheduleSource\(\)`/)
  })
})
