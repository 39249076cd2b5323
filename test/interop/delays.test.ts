import { describe, expect, it } from 'vitest'

import type { RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import { context } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { deferred } from '../support/deferred.ts'
import type { Kit } from './kit.ts'
import { interop, SOON, WAIT } from './kit.ts'

const DELAY_MS = 500

interop('messages with a delay or a priority', (kit) => {
  describe('that only Python executes', () => {
    it('come after their time', async () => {
      const { broker, time } = await open(kit, ['python'])
      const start = Date.now()

      const sent = await time.kicker().withDelay(DELAY_MS).kiq()

      expect(await sent.result(WAIT)).toBeGreaterThanOrEqual(start + DELAY_MS)
      expect(await kit.runs(sent.taskId)).toEqual(['python'])
      expect(await broker.transport.inspect?.()).toContainEqual(expect.objectContaining({ delayed: 0 }))
    })

    // Before its first message nobody sees a worker of Python: Redis makes its consumer only then.
    it.each(['that has had a message', 'that has had none'])(
      'come whatever their priority, to a worker %s',
      async (which) => {
        const { time } = await open(kit, ['python'])
        if (which === 'that has had a message') await (await time.kiq()).result(WAIT)
        const start = Date.now()

        const sent = await Promise.all([
          time.kicker().withPriority(5).kiq(),
          time.kicker().withPriority(-5).kiq(),
          time.kicker().withPriority(5).withDelay(DELAY_MS).kiq(),
        ])

        const [high = 0, low = 0, later = 0] = await Promise.all(sent.map((task) => task.result(WAIT)))
        expect(Math.min(high, low)).toBeGreaterThanOrEqual(start)
        expect(later).toBeGreaterThanOrEqual(start + DELAY_MS)
      },
    )

    it('come when the process that sent them has ended, and another of Kiq is there', async () => {
      const { queue, broker, time } = await open(kit, ['python'])
      const start = Date.now()
      const { taskId } = await time.kicker().withDelay(DELAY_MS).kiq()
      await broker.shutdown()

      const other = await kit.broker({ queue })

      expect(await other.sentTask(taskId).result(WAIT)).toBeGreaterThanOrEqual(start + DELAY_MS)
    })

    it('come at once when Python delays them, whose broker for Redis does not', async () => {
      const { queue } = await open(kit, ['python'])

      const [outcome] = await kit.call({ queue }, [{ task: 'both:time', call: '()', labels: "{'delay': 600}" }])

      expect(outcome?.isErr).toBe(false)
    })
  })

  describe('that both execute', () => {
    it('come after their time, once', async () => {
      const { queue, time } = await open(kit, ['python', 'kiq'])
      const start = Date.now()

      const sent = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          time
            .kicker()
            .withDelay(DELAY_MS + n)
            .kiq(),
        ),
      )

      const times = await Promise.all(sent.map((task) => task.result(WAIT)))
      expect(times.filter((at, n) => at < start + DELAY_MS + n)).toEqual([])
      const runs = await Promise.all(sent.map(({ taskId }) => kit.runs(taskId)))
      expect(runs.filter(({ length }) => length !== 1)).toEqual([])
      await until(async () => (await kit.pending(queue)).length === 0, SOON)
    })

    it('come whatever their priority, once', async () => {
      const { time } = await open(kit, ['python', 'kiq'])

      const sent = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          time
            .kicker()
            .withPriority((n % 5) - 2)
            .kiq(),
        ),
      )

      await Promise.all(sent.map((task) => task.result(WAIT)))
      const runs = await Promise.all(sent.map(({ taskId }) => kit.runs(taskId)))
      expect(runs.filter(({ length }) => length !== 1)).toEqual([])
    })

    it('come from Kiq when they have a priority, and a worker of Kiq is there when they are sent', async () => {
      const { queue, broker, time } = await open(kit, ['python'])
      await kit.work(broker)

      const sent = await time.kicker().withPriority(1).kiq()

      await sent.result(WAIT)
      expect(await kit.runs(sent.taskId)).toEqual(['kiq'])
      expect(await kit.depth(queue)).toEqual({ length: 0, pending: 0 })
    })

    it('come from Python when they have a priority, and the worker of Kiq has ended before it took them', async () => {
      const { queue, broker, time } = await open(kit, ['python'])
      await (await time.kiq()).result(WAIT)
      const opened = deferred()
      const working = await kit.broker({ queue })
      const gate = working.task('ts:gate', async () => await opened.promise)
      const worker = await kit.work(working, { concurrency: 1 })
      await gate.kicker().withPriority(2).kiq()
      await until(() => worker.running === 1, SOON)
      const sent = await time.kicker().withPriority(1).kiq()

      opened.resolve()
      await worker.stop()
      await working.shutdown()

      await sent.result(WAIT)
      expect(await kit.runs(sent.taskId)).toEqual(['python'])
      expect(await broker.transport.inspect?.()).toContainEqual(expect.objectContaining({ queue, running: 0 }))
    })
  })
})

async function open(kit: Kit, workers: readonly ('python' | 'kiq')[]) {
  const queue = kit.queue()
  const broker: RedisStreamBroker = await kit.broker({ queue })
  const time = broker.task('both:time', async () => {
    await kit.note(context().taskId)
    return Date.now()
  })
  if (workers.includes('python')) await kit.python({ queue })
  if (workers.includes('kiq')) await kit.work(broker)
  return { queue, broker, time }
}
