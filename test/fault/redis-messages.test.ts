import { expect, it, onTestFinished } from 'vitest'

import type { DeadLetter } from '../../src/contract/index.ts'
import type { Broker } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import { RedisProject, SOON } from './redis-project.ts'
import { startWorker } from './redis-workers.ts'

const MESSAGE = { labels: {}, labels_types: {}, args: [7], kwargs: {} }

engineSuite('messages on Redis that nobody can run', [redisEngine], () => {
  it('become dead letters with a reason, and hold nothing up', async () => {
    const server = await startRedis()
    onTestFinished(() => server.close())
    const worker = await startWorker({ url: server.url })
    const add = async (...fields: readonly string[]): Promise<unknown> => {
      return await server.command('XADD', 'taskiq', '*', ...fields)
    }
    const unknown = JSON.stringify({ ...MESSAGE, task_id: 'of-later', task_name: 'later' })
    const bad = JSON.stringify({ ...MESSAGE, task_id: 'bad-args', task_name: 'work', args: 'none' })
    await add('foo', 'bar')
    await add('data', '{"task_id": "broken", "task_na')
    await add('data', '')
    await server.command('EVAL', "redis.call('XADD', 'taskiq', '*', 'data', '\\255\\0\\128\\1')", '0')
    await add('data', 'null')
    await add('data', bad)
    await add('data', unknown)
    const after = await worker.work.kiq(1)

    expect(await after.result({ timeout: '10s' })).toBe(2)
    const letters = await until(async () => {
      const all = await lettersOf(worker)
      return all.length === 7 ? all : undefined
    }, SOON)
    // They are given up beside each other: in any order.
    const reasons = letters.map(({ reason }) => reason).sort()
    expect(reasons).toEqual([
      expect.stringMatching(/^No task named "later" is registered in this worker .* `kiq dead retry`/),
      'The entry has no field "data": it is no message of Taskiq or Kiq.',
      expect.stringMatching(/^The message cannot be read: /),
      expect.stringMatching(/^The message cannot be read: /),
      expect.stringMatching(/^The message cannot be read: /),
      expect.stringMatching(/^The message cannot be read: /),
      expect.stringMatching(/^The message cannot be read: /),
    ])
    // Somebody waits for it, and learns why.
    const outcome = await worker.broker.waitResult('of-later', { timeout: '5s' })
    expect(outcome).toMatchObject({ isErr: true, error: { code: 'KIQ_TASK_UNKNOWN' } })
    expect(worker.started).toEqual([1])
    expect(await server.command('XLEN', 'taskiq')).toBe(0)

    // What is mended runs; what is not comes back.
    const { broker } = worker
    broker.task('later', (n: number) => n + 1)
    expect(await broker.transport.deadLetters?.retry()).toBe(7)
    await until(async () => (await lettersOf(worker)).length === 6, SOON)
    expect(await broker.waitResult('of-later', { timeout: '5s' })).toMatchObject({ isErr: false, returnValue: 8 })
    expect(await broker.transport.deadLetters?.drop()).toBe(6)
    expect(await (await worker.work.kiq(2)).result({ timeout: '10s' })).toBe(4)
  })

  it('because they kill the process become dead letters, and take no task along that runs beside them', async () => {
    const server = await startRedis()
    onTestFinished(() => server.close())
    const project = new RedisProject({ url: server.url })
    const { broker, killer, work } = await project.client()
    const poison = await killer.kiq(0)
    const beside = await work.kiqMany(Array.from({ length: 9 }, (_, n) => [n, 300]))
    await project.workers(1, '--concurrency', '10')

    const outcome = await poison.waitResult({ timeout: '30s' })
    const results = await Promise.all(beside.map((task) => task.result({ timeout: '30s' })))

    expect(outcome).toMatchObject({ isErr: true, error: { code: 'KIQ_MESSAGE_POISONED' } })
    expect(results.map(({ value }) => value)).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16])
    const dead = await lettersOf({ broker })
    expect(dead.map(({ taskName, attempt, reason }) => [taskName, attempt, reason.slice(0, 36)])).toEqual([
      ['killer', 6, 'The message was delivered 5 times wi'],
    ])
    expect(project.told('start', 0).filter(({ attempt }) => attempt > 5)).toEqual([])
  }, 60_000)
})

async function lettersOf({ broker }: { readonly broker: Broker }): Promise<readonly DeadLetter[]> {
  return (await broker.transport.deadLetters?.list()) ?? []
}
