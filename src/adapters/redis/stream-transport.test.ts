import { randomUUID } from 'node:crypto'

import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'

import { engineSuite } from '../../../test/support/engine-suite.ts'
import type { RedisServer } from '../../../test/support/redis-server.ts'
import { redisEngine, startRedis } from '../../../test/support/redis-server.ts'
import { silentLogger } from '../../contract/index.ts'
import type { WireMessage } from '../../contract/index.ts'
import { RedisStreamTransport } from './stream-transport.ts'

engineSuite('RedisStreamTransport beside workers of another kind', [redisEngine], () => {
  let redis: RedisServer
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis.close())

  async function setup(role: 'client' | 'worker'): Promise<{ transport: RedisStreamTransport; queue: string }> {
    const queue = randomUUID()
    const transport = new RedisStreamTransport({ url: redis.url })
    await transport.start({
      role,
      workerId: randomUUID(),
      logger: silentLogger,
      defaultQueue: queue,
      onCancel: () => undefined,
      onLeaseLost: () => undefined,
    })
    onTestFinished(() => transport.stop())
    return { transport, queue }
  }

  const message = (queue: string, body: string, more: Partial<WireMessage> = {}): WireMessage => {
    return { taskId: randomUUID(), taskName: 'task', queue, body, labels: {}, ...more }
  }

  /** Takes and acknowledges as Python's workers do: the entries stay. */
  async function otherWorks(queue: string, count: number): Promise<void> {
    const from = ['GROUP', 'taskiq', 'other', 'COUNT', `${count}`, 'STREAMS', queue, '>']
    const reply = (await redis.command('XREADGROUP', ...from)) as [string, [string, string[]][]][]
    const ids = reply[0]?.[1].map(([id]) => id) ?? []
    expect(ids).toHaveLength(count)
    await redis.command('XACK', queue, 'taskiq', ...ids)
  }

  it('counts what waits, not what others have acknowledged and left', async () => {
    const { transport, queue } = await setup('worker')
    await transport.send(Array.from({ length: 30 }, (_, i) => message(queue, `${i}`)))
    await otherWorks(queue, 20)
    const signal = AbortSignal.timeout(5_000)
    const taken = await transport.receive({ queues: [queue], max: 5, signal })
    await transport.settle(taken.slice(0, 3).map((delivery) => ({ kind: 'ack', delivery })))

    expect(await transport.inspect()).toContainEqual({ queue, ready: 5, delayed: 0, running: 2, dead: 0 })
  })

  it('does not cancel what others have acknowledged and left', async () => {
    const { transport, queue } = await setup('client')
    const done = message(queue, 'done')
    await transport.send([done])
    await otherWorks(queue, 1)

    expect(await transport.cancel(done.taskId)).toBe('unknown')
  })

  it('puts prioritized messages on the stream where only others work', async () => {
    const { transport, queue } = await setup('client')
    await transport.send([message(queue, 'first')])
    await otherWorks(queue, 1)

    await transport.send([message(queue, 'urgent', { priority: 5 })])

    await otherWorks(queue, 1)
  })

  // For a second, which a busy machine may need to look.
  it('keeps prioritized messages apart where nobody works yet', { retry: 3 }, async () => {
    const { transport, queue } = await setup('client')

    await transport.send([message(queue, 'low', { priority: 1 }), message(queue, 'high', { priority: 5 })])

    expect(await redis.command('XLEN', queue)).toBe(0)
    expect(await transport.inspect()).toContainEqual({ queue, ready: 2, delayed: 0, running: 0, dead: 0 })
  })

  it('moves delayed messages to the stream without a worker of ours', async () => {
    const { transport, queue } = await setup('client')

    await transport.send([message(queue, 'later', { deliverAt: Date.now() + 200 })])

    expect(await redis.command('XLEN', queue)).toBe(0)
    await expect.poll(() => redis.command('XLEN', queue), { timeout: 5_000 }).toBe(1)
  })
})
