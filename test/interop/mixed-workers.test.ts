import { describe, expect, it } from 'vitest'

import { RedisListBroker, RedisPubSubBroker } from '../../src/adapters/redis/index.ts'
import { context } from '../../src/index.ts'
import type { Broker } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import type { Kit, PythonSettings } from './kit.ts'
import { interop, SOON, WAIT } from './kit.ts'

const COUNT = 150

interop('workers of both languages', (kit) => {
  describe('on one stream', () => {
    it('execute every task once, whoever sent it, and leave nothing behind', async () => {
      const settings: PythonSettings = { queue: kit.queue() }
      const { queue } = settings
      const broker = await kit.broker({ queue })
      await bothWork(kit, settings, broker)

      const ids = await bothSend(kit, settings, broker)

      const done = await everyResult(kit, broker, ids)
      // Python leaves its entries in the stream.
      await until(async () => (await kit.pending(queue)).length === 0, SOON)
      expect(await kit.depth(queue)).toEqual({ length: done.python, pending: 0 })
    })
  })

  it('on one list execute every task once, whoever sent it, and leave nothing behind', async () => {
    const settings: PythonSettings = { queue: kit.queue(), kind: 'list' }
    const { queue } = settings
    const broker = await kit.started(new RedisListBroker({ url: kit.url, logger: kit.log, queueName: queue }))
    await bothWork(kit, settings, broker)

    const ids = await bothSend(kit, settings, broker)

    await everyResult(kit, broker, ids)
    expect(await broker.transport.inspect?.()).toContainEqual({ queue, ready: 0, delayed: 0, running: 0, dead: 0 })
    const keys = (await kit.command('KEYS', `*${queue}*`)) as readonly string[]
    expect(keys.filter((key) => key === queue || key.includes(':held:') || key.endsWith(':incoming'))).toEqual([])
  })

  it('on one channel execute each every task', async () => {
    const settings: PythonSettings = { queue: kit.queue(), kind: 'pubsub' }
    const { queue } = settings
    const broker = await kit.started(new RedisPubSubBroker({ url: kit.url, logger: kit.log, queueName: queue }))
    await bothWork(kit, settings, broker)
    await until(async () => String(await kit.command('PUBSUB', 'NUMSUB', queue)) === `${queue},2`, SOON)

    const ids = await bothSend(kit, settings, broker)

    await until(async () => {
      const runs = await Promise.all(ids.map((id) => kit.runs(id)))
      return runs.every((languages) => languages.toSorted().join() === 'kiq,python')
    }, SOON)
    const results = await Promise.all(ids.map((id) => broker.sentTask<string>(id).result(WAIT)))
    expect(results.filter((language) => language !== 'kiq' && language !== 'python')).toEqual([])
  })
})

/** A worker of each language that knows the task. */
async function bothWork(kit: Kit, settings: PythonSettings, broker: Broker): Promise<void> {
  broker.task('both:work', async (ms: number) => {
    await kit.note(context().taskId)
    await new Promise((resolve) => setTimeout(resolve, ms))
    return 'kiq'
  })
  await kit.python(settings, ['--max-async-tasks', '10'])
  await kit.work(broker, { concurrency: 5 })
}

/** From clients of both at the same time; resolves with the ids. */
async function bothSend(kit: Kit, settings: PythonSettings, broker: Broker): Promise<readonly string[]> {
  const work = broker.externalTask<[ms: number], string>('both:work')
  const [ours, theirs] = await Promise.all([
    work.kiqMany(Array.from({ length: COUNT }, (_, n) => [10 + (n % 20)])),
    kit.send(
      settings,
      Array.from({ length: COUNT }, (_, n) => ({ task: 'both:work', call: `(${10 + (n % 20)})` })),
    ),
  ])
  return [...ours.map(({ taskId }) => taskId), ...theirs]
}

/** Waits for all results, and tells how many tasks each language has executed. */
async function everyResult(
  kit: Kit,
  broker: Broker,
  ids: readonly string[],
): Promise<{ readonly kiq: number; readonly python: number }> {
  const results = await Promise.all(ids.map((id) => broker.sentTask<string>(id).result(WAIT)))
  const runs = await Promise.all(ids.map((id) => kit.runs(id)))
  expect(runs).toEqual(results.map((language) => [language]))
  const kiq = results.filter((language) => language === 'kiq').length
  expect(kiq).toBeGreaterThan(0)
  expect(kiq).toBeLessThan(ids.length)
  return { kiq, python: ids.length - kiq }
}
