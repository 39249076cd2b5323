import { expect, it, onTestFinished } from 'vitest'

import { BrokerError } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { sleep } from '../../src/util/abort.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { errorOf } from './redis-errors.ts'
import { leftovers } from './ledger.ts'
import { SOON } from './redis-project.ts'
import { messagesOf, startLocal, startWorker } from './redis-workers.ts'

const EMPTY = { ready: 0, delayed: 0, running: 0, dead: 0 }
const LEASE_MS = 1_000

engineSuite('Redis that refuses', [redisEngine], () => {
  it('for want of memory: nothing is half done, and all goes on when there is more', async () => {
    const server = await open()
    const options = { url: server.url, lease: LEASE_MS }
    const [client, first, second] = [
      await startLocal(options),
      await startWorker(options, { concurrency: 3 }),
      await startWorker(options, { concurrency: 3 }),
    ]
    const sent = await client.work.kiqMany(Array.from({ length: 20 }, (_, n) => [n, 300]))
    await until(() => first.started.length + second.started.length === 6, SOON)

    await server.command('CONFIG', 'SET', 'maxmemory', '1')
    const error = await errorOf(client.work.kiq(100))
    const many = await errorOf(client.work.kiqMany(Array.from({ length: 1_000 }, (_, n) => [1_000 + n])))
    await until(() => first.ended.length + second.ended.length >= 6, SOON)
    // For longer than the leases, which cannot be renewed meanwhile.
    await sleep(2.5 * LEASE_MS)
    const results = await Promise.all(sent.map((task) => server.command('EXISTS', task.taskId)))
    const entries = Number(await server.command('XLEN', 'taskiq'))
    await server.command('CONFIG', 'SET', 'maxmemory', '0')
    const values = await Promise.all(sent.map((task) => task.result({ timeout: '20s' })))

    expect(error).toBeInstanceOf(BrokerError)
    expect(error).toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
    expect(error.message).toMatch(/is out of memory \(OOM, `maxmemory`\) and takes no writes\. Nothing was changed\./)
    expect(error.message).toMatch(/Give it more memory, or let results expire sooner/)
    expect(many).toMatchObject({ code: 'KIQ_SEND_FAILED' })
    expect(many.message).toMatch(/^1000 of 1000 messages were not accepted.*out of memory/)
    // Of a task, either the message is there or the result.
    expect(results.filter((count) => count === 1).length + entries).toBe(20)
    expect(values).toEqual(sent.map((_task, n) => n * 2))
    expect([...first.started, ...second.started].sort((a, b) => a - b)).toEqual(sent.map((_task, n) => n))
    expect([...first.aborted, ...second.aborted]).toEqual([])
    expect(await leftovers(client.broker)).toEqual(EMPTY)
    console.log(
      `Redis out of memory for ${3 * LEASE_MS} ms, lease ${LEASE_MS} ms: 20 tasks, lost 0, executed more than once 0`,
    )
  }, 60_000)

  it('a queue that is something else: names it, and goes on when that is gone', async () => {
    const server = await open()
    const worker = await startWorker({ url: server.url })
    const before = await worker.work.kiq(1)
    await before.result({ timeout: '10s' })

    await server.command('SET', 'taskiq', 'mine')
    const error = await errorOf(worker.work.kiq(2))
    const early = await errorOf(startLocal({ url: server.url }))
    await until(() => messagesOf(worker.log, 'error').includes('Cannot receive; trying again.'), SOON)
    await server.command('DEL', 'taskiq')
    const sent = await worker.work.kiq(3)

    const told = worker.log.lines.find(({ message }) => message.startsWith('Cannot receive'))?.fields['err']
    for (const one of [error, early, told]) {
      expect(one).toBeInstanceOf(BrokerError)
      expect(one).toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
      expect((one as Error).message).toMatch(/holds something else at the key "taskiq".*WRONGTYPE/)
      expect((one as Error).message).toMatch(/Use another `queueName`, or remove what is there/)
    }
    expect(await sent.result({ timeout: '15s' })).toBe(6)
    expect(worker.started).toEqual([1, 3])
  }, 60_000)

  it('a queue whose consumer group was destroyed: makes it again, and executes what is in the stream', async () => {
    const server = await open()
    const worker = await startWorker({ url: server.url }, { concurrency: 2 })
    const sent = await worker.work.kiqMany(Array.from({ length: 10 }, (_, n) => [n, 200]))
    await until(() => worker.started.length === 2, SOON)

    await server.command('XGROUP', 'DESTROY', 'taskiq', 'taskiq')
    const values = await Promise.all(sent.map((task) => task.result({ timeout: '15s' })))

    expect(values).toEqual(sent.map((_task, n) => n * 2))
    expect(new Set(worker.started).size).toBe(10)
    await until(async () => JSON.stringify(await leftovers(worker.broker)) === JSON.stringify(EMPTY), SOON)
    expect(messagesOf(worker.log, 'warn').join()).toContain('consumer group')
    expect(await (await worker.work.kiq(20)).result({ timeout: '10s' })).toBe(40)
  }, 60_000)

  it.each([
    ['XGROUP', 'DESTROY', 'taskiq', 'taskiq'],
    ['DEL', 'taskiq'],
    ['RENAME', 'taskiq', 'another'],
    ['FLUSHALL', 'SYNC'],
    ['SCRIPT', 'FLUSH'],
  ])('nothing, though a worker waited when somebody said %s %s', async (name, ...args) => {
    const server = await open()
    const worker = await startWorker({ url: server.url })
    await (await worker.work.kiq(1)).result({ timeout: '10s' })
    await until(async () => String(await server.command('CLIENT', 'LIST')).includes('cmd=xreadgroup'), SOON)

    await server.command(name, ...args)

    expect(await (await worker.work.kiq(2)).result({ timeout: '2s' })).toBe(4)
    expect(await (await worker.work.kiq(3)).result({ timeout: '2s' })).toBe(6)
    expect(worker.started).toEqual([1, 2, 3])
    expect(messagesOf(worker.log, 'error')).toEqual([])
  })

  it.each([
    ['the stream', 'DEL', 'taskiq'],
    ['everything', 'FLUSHALL', 'SYNC'],
  ])('nothing, though %s was deleted: goes on with what is sent next', async (_what, ...command) => {
    const server = await open()
    {
      const options = { url: server.url, lease: LEASE_MS }
      const client = await startLocal(options)
      const [busy, idle] = [
        await startWorker(options, { concurrency: 2 }),
        await startWorker(options, { queues: ['b'] }),
      ]
      const sent = await client.work.kiqMany(Array.from({ length: 10 }, (_, n) => [n, 1_500]))
      await until(() => busy.started.length === 2, SOON)
      const [name, ...args] = command as [string, ...string[]]

      await server.command(name, ...args)

      // Those that ran keep their outcome.
      const running = sent.filter((_task, n) => busy.started.includes(n))
      expect(await Promise.all(running.map((task) => task.result({ timeout: '10s' })))).toHaveLength(2)
      const next = await client.work.kiq(100)
      expect(await next.result({ timeout: '10s' })).toBe(200)
      const other = await client.work.kicker().withQueue('b').kiq(101)
      expect(await other.result({ timeout: '10s' })).toBe(202)
      expect([...busy.started, ...idle.started]).toHaveLength(4)
      expect([...busy.aborted, ...idle.aborted]).toEqual([])
      // Others still find all there is.
      const depths = (await client.broker.transport.inspect?.()) ?? []
      expect(depths.map(({ queue }) => queue)).toEqual(['b', 'taskiq'])
      expect(messagesOf(busy.log, 'error')).toEqual([])
    }
  })
})

async function open(): Promise<RedisServer> {
  const server = await startRedis()
  onTestFinished(() => server.close())
  return server
}
