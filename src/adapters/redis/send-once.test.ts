import { randomUUID } from 'node:crypto'

import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'

import { engineSuite } from '../../../test/support/engine-suite.ts'
import type { RedisServer } from '../../../test/support/redis-server.ts'
import { redisEngine, startRedis } from '../../../test/support/redis-server.ts'
import { silentLogger } from '../../contract/index.ts'
import type { Transport, WireMessage } from '../../contract/index.ts'
import { RedisListTransport } from './list-transport.ts'
import { RedisPubSubTransport } from './pubsub-transport.ts'
import { RedisStreamTransport } from './stream-transport.ts'

engineSuite('messages that are sent once, in Redis', [redisEngine], () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  const start = async <T extends Transport>(transport: T): Promise<T> => {
    onTestFinished(() => transport.stop())
    await transport.start({
      role: 'client',
      workerId: randomUUID(),
      logger: silentLogger,
      defaultQueue: 'q',
      onCancel: () => undefined,
      onLeaseLost: () => undefined,
    })
    return transport
  }
  const message = (queue: string, key: string): WireMessage => ({
    taskId: randomUUID(),
    taskName: 't',
    queue,
    body: 'x',
    labels: {},
    once: { key, at: 1, ttlMs: 60_000 },
  })

  it('are remembered beside their queue, for their time', async () => {
    const transport = await start(new RedisListTransport({ url: server.url }))

    await transport.send([message('list', 'key')])

    expect(await server.command('GET', 'kiq:{list}:once:key')).toBe('1')
    expect(await server.command('PTTL', 'kiq:{list}:once:key')).toBeGreaterThan(30_000)
  })

  it('keep a stream as short as the others do', async () => {
    const transport = await start(new RedisStreamTransport({ url: server.url, maxLength: 10 }))

    for (let batch = 0; batch < 20; batch += 1) {
      await transport.send(Array.from({ length: 50 }, (_, i) => message('short', `${batch}/${i}`)))
    }

    // About: Redis drops whole nodes of a hundred entries.
    expect(await server.command('XLEN', 'short')).toBeLessThan(250)
  })

  it('are sent to a channel and to a stream of the same name', async () => {
    const stream = await start(new RedisStreamTransport({ url: server.url }))
    const channel = await start(new RedisPubSubTransport({ url: server.url }))

    await channel.send([message('both', 'key')])
    await stream.send([message('both', 'key')])

    expect(await server.command('XLEN', 'both')).toBe(1)
  })

  it('are not remembered when they cannot be sent', async () => {
    await server.command('SET', 'taken', 'no list')
    const transport = await start(new RedisListTransport({ url: server.url }))
    await expect(transport.send([message('taken', 'key')])).rejects.toThrow(/WRONGTYPE/)
    await server.command('DEL', 'taken')

    await transport.send([message('taken', 'key')])

    expect(await server.command('LLEN', 'taken')).toBe(1)
  })
})
