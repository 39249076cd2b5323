import { describe, expect, it, onTestFinished } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import type { Body } from '../../contract/index.ts'
import { until } from '../../testing/until.ts'
import { engineSuite } from '../../../test/support/engine-suite.ts'
import { redisEngine, startRedis } from '../../../test/support/redis-server.ts'
import { RedisResultBackend } from './result-backend.ts'

type Command = (name: string, ...args: string[]) => Promise<unknown>

const soon = { timeoutMs: 5_000 }

engineSuite('waiters for results in Redis', [redisEngine], () => {
  async function setup(): Promise<{ backend: RedisResultBackend; command: Command }> {
    const redis = await startRedis()
    const backend = new RedisResultBackend({ url: redis.url })
    await backend.start({ logger: silentLogger })
    onTestFinished(async () => {
      await backend.stop()
      await redis.close()
    })
    return { backend, command: (name, ...args) => redis.command(name, ...args) }
  }

  const listen = (backend: RedisResultBackend, taskId: string): string[] => {
    const told: string[] = []
    backend.subscribe(taskId, (body: Body) => told.push(Buffer.from(body as Uint8Array).toString()))
    return told
  }

  describe('of a worker of Kiq', () => {
    it('are told of many results by one publication, with their values', async () => {
      const { backend, command } = await setup()
      const ids = Array.from({ length: 50 }, (_, i) => `task-${i}-abcd`)
      const told = ids.map((taskId) => listen(backend, taskId))
      await until(async () => ((await command('PUBSUB', 'CHANNELS')) as string[]).length === 1, soon)
      const before = await calls(command, 'publish')

      await backend.save(ids.map((taskId) => ({ taskId, body: `result of ${taskId} \u{1F600}` })))

      await until(() => told.every((bodies) => bodies.length === 1), soon)
      expect(told.flat()).toEqual(ids.map((taskId) => `result of ${taskId} \u{1F600}`))
      expect((await calls(command, 'publish')) - before).toBe(1)
    })

    it('get a long result, which is not published', async () => {
      const { backend } = await setup()
      const told = listen(backend, 'long-abcd')
      const short = listen(backend, 'short-abcd')
      const body = 'x'.repeat(100_000)

      await backend.save([
        { taskId: 'long-abcd', body },
        { taskId: 'short-abcd', body: 'y' },
      ])

      await until(() => told.length === 1 && short.length === 1, soon)
      expect([told, short]).toEqual([[body], ['y']])
    })

    it('cost no publication when nobody listens', async () => {
      const { backend, command } = await setup()

      await backend.save([{ taskId: 'a', body: 'b' }])

      expect(await calls(command, 'publish')).toBe(0)
    })
  })

  it('find what Python stores, which publishes nothing', async () => {
    const { backend, command } = await setup()
    const told = listen(backend, 'from-python')

    await command('SET', 'from-python', '{}')

    await until(() => told.length === 1, soon)
    expect(told).toEqual(['{}'])
  })

  it('ask less and less often', async () => {
    const { backend, command } = await setup()
    listen(backend, 'never')
    const before = await calls(command, 'mget')

    await new Promise((resolve) => setTimeout(resolve, 1_000))

    // At 0, 10, 30, 70, 150, 310 and 630 ms.
    expect((await calls(command, 'mget')) - before).toBeLessThanOrEqual(8)
  })
})

/** How often Redis has executed a command. */
async function calls(command: Command, name: string): Promise<number> {
  const stats = String(await command('INFO', 'commandstats'))
  return Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}
