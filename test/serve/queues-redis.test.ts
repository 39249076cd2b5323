import { randomUUID } from 'node:crypto'

import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'

import { QueueSender, RedisQueueBackend } from '../../src/serve/queues/index.ts'
import type { RedisQueueOptions } from '../../src/serve/queues/index.ts'
import { until } from '../../src/testing/until.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'

const SOON = { timeoutMs: 10_000 }

engineSuite('queues in Redis', [redisEngine], () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis({ appendonly: 'always' })
  })
  afterAll(() => server.close())

  const opened: RedisQueueBackend[] = []
  afterEach(async () => {
    for (const backend of opened.splice(0)) await backend.close()
  })
  const open = (options: RedisQueueOptions = { url: server.url }): RedisQueueBackend => {
    const backend = new RedisQueueBackend(options)
    opened.push(backend)
    return backend
  }
  const name = (): string => `queue-${randomUUID().slice(0, 8)}`
  const list = (key: string): Promise<unknown> => server.command('LRANGE', key, '0', '-1')
  const connections = async (): Promise<number> =>
    String(await server.command('CLIENT', 'LIST', 'TYPE', 'normal'))
      .split('\n')
      .filter((line) => line.includes('cmd=lpush')).length

  it('are lists under the prefix, of which BRPOP takes the oldest', async () => {
    const [backend, queue] = [open({ url: server.url, prefix: 'out:' }), name()]

    for (const message of ['1', '2', '3']) await backend.sendMessage(queue, message)

    expect(await list(`out:${queue}`)).toEqual(['3', '2', '1'])
    expect(await server.command('BRPOP', `out:${queue}`, '1')).toEqual([`out:${queue}`, '1'])
  })

  it('have one connection, which ends when they are closed', async () => {
    const [backend, queue] = [open(), name()]

    await Promise.all(['1', '2', '3'].map((message) => backend.sendMessage(queue, message)))

    expect(await connections()).toBe(1)
    await backend.close()
    await until(async () => (await connections()) === 0, SOON)
    await expect(backend.sendMessage(queue, '4')).rejects.toMatchObject({ code: 'KIQ_SEND_FAILED' })
  })

  it.each([
    ['5', () => new Redis5(server.url)],
    ['6', () => new Redis(server.url)],
  ])('are sent to by a client of ioredis %s, which stays open', async (_version, connect) => {
    const client = connect()
    const [backend, queue] = [open({ client }), name()]

    expect(await backend.sendMessage(queue, '1')).toBe(true)
    await backend.close()

    expect(await client.lrange(queue, 0, -1)).toEqual(['1'])
    client.disconnect()
  })

  it('say why they cannot be reached', async () => {
    const gone = await startRedis()
    await gone.close()

    await expect(open({ url: gone.url }).sendMessage(name(), '1')).rejects.toMatchObject({
      code: 'KIQ_TRANSPORT_FAILED',
      message: expect.stringMatching(/^Redis cannot be reached: .*ECONNREFUSED.*Check the `url`\.$/),
    })
  })

  it('pass on that a key is no list', async () => {
    const [backend, queue] = [open(), name()]
    await server.command('SET', queue, 'text')

    await expect(backend.sendMessage(queue, '1')).rejects.toThrow('WRONGTYPE')
  })

  it('get every message once when Redis is away for a while', async () => {
    const [backend, queue] = [open(), name()]
    const sender = new QueueSender({
      backend,
      logger: recordingLogger(),
      attempts: 1_000,
      backoff: { baseMs: 10, maxMs: 50 },
    })
    expect(await sender.send({ queueName: queue, message: { n: 0 } })).toMatchObject({ state: 'sent' })

    await server.kill()
    const sent = [1, 2, 3].map((n) => sender.send({ queueName: queue, message: { n } }))
    await expect(backend.sendMessage(queue, 'lost')).rejects.toThrow()
    await server.start()

    for (const report of await Promise.all(sent)) expect(report).toMatchObject({ state: 'sent' })
    const kept = (await list(queue)) as string[]
    expect(kept.sort()).toEqual(['{"n":0}', '{"n":1}', '{"n":2}', '{"n":3}'])
  })
})
