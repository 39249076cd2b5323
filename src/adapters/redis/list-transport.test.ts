import { randomUUID } from 'node:crypto'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { engineSuite } from '../../../test/support/engine-suite.ts'
import { recordingLogger } from '../../../test/support/recording-logger.ts'
import type { RedisServer } from '../../../test/support/redis-server.ts'
import { redisEngine, startRedis } from '../../../test/support/redis-server.ts'
import { silentLogger } from '../../contract/index.ts'
import type { Delivery, Logger, WireMessage } from '../../contract/index.ts'
import { until } from '../../testing/until.ts'
import { queueKeys } from './keys.ts'
import { RedisListTransport } from './list-transport.ts'
import type { RedisListTransportOptions } from './list-transport.ts'
import { RedisResultBackend } from './result-backend.ts'
import { CLAIM_FROM_LIST } from './scripts/list-messages.ts'

const LEASE_MS = 1_000
const SOON = { timeoutMs: 5_000 }

interface Opened {
  readonly transport: RedisListTransport
  readonly options: RedisListTransportOptions
  readonly lost: Delivery[]
  readonly cancelled: string[]
}

interface OpenOptions {
  readonly role?: 'client' | 'worker'
  readonly workerId?: string
  readonly logger?: Logger
}

engineSuite('RedisListTransport', [redisEngine], () => {
  let server: RedisServer
  let queue = ''
  const opened: { stop(): Promise<void> }[] = []

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.stop()
  })

  const open = async (more: OpenOptions = {}): Promise<Opened> => {
    const { role = 'worker', workerId = randomUUID(), logger = silentLogger } = more
    queue = opened.length === 0 ? `q-${randomUUID()}` : queue
    const options = { url: server.url, lease: LEASE_MS, clientOptions: { connectionName: randomUUID() } }
    const transport = new RedisListTransport(options)
    opened.push(transport)
    const [lost, cancelled]: [Delivery[], string[]] = [[], []]
    await transport.start({
      role,
      workerId,
      logger,
      defaultQueue: queue,
      onCancel: (taskId) => cancelled.push(taskId),
      onLeaseLost: (deliveries) => lost.push(...deliveries),
    })
    return { transport, options, lost, cancelled }
  }
  const joined = async ({ transport, options }: Opened): Promise<RedisResultBackend> => {
    const results = new RedisResultBackend(options)
    opened.push(results)
    await results.start({ logger: silentLogger })
    expect(transport.joins(results)).toBe(true)
    return results
  }
  const message = (body: string, more: Partial<WireMessage> = {}): WireMessage => {
    return { taskId: randomUUID(), taskName: 't', queue, body, labels: {}, ...more }
  }
  const send = async ({ transport }: Opened, ...bodies: readonly string[]): Promise<WireMessage[]> => {
    const messages = bodies.map((body) => message(body))
    await transport.send(messages)
    return messages
  }
  const take = async ({ transport }: Opened, max = 10, queues = [queue]): Promise<readonly Delivery[]> =>
    await transport.receive({ queues, max, signal: AbortSignal.timeout(5_000) })
  const requeue = async ({ transport }: Opened, deliveries: readonly Delivery[]): Promise<unknown> =>
    await transport.settle(deliveries.map((delivery) => ({ kind: 'requeue', delivery })))
  const ack = async ({ transport }: Opened, deliveries: readonly Delivery[]): Promise<unknown> =>
    await transport.settle(deliveries.map((delivery) => ({ kind: 'ack', delivery })))
  const call = async (name: string, ...args: string[]): Promise<unknown> => await server.command(name, ...args)
  const expectQuiet = async ({ transport }: Opened, ms = 50): Promise<void> =>
    expect(await transport.receive({ queues: [queue], max: 1, signal: AbortSignal.timeout(ms) })).toEqual([])
  /** What a worker that waits does. */
  const moveOne = async (): Promise<unknown> =>
    await call('BLMOVE', queue, queueKeys(queue).incoming, 'RIGHT', 'LEFT', '1')
  const areWaiting = async (workers: number): Promise<boolean> =>
    String(await call('CLIENT', 'LIST')).match(/cmd=blmove/g)?.length === workers
  const waiting = async (): Promise<unknown> => await call('LRANGE', queue, '0', '-1')

  describe('beside workers of Python', () => {
    it('keeps what waits as its body alone', async () => {
      const worker = await open()
      await send(worker, 'a', 'b')
      await requeue(worker, await take(worker, 1))

      expect(await waiting()).toEqual(['b', 'a'])
    })

    it('gives them what came back', async () => {
      const worker = await open()
      await send(worker, 'a')
      await requeue(worker, await take(worker))

      expect(await call('BRPOP', queue, '1')).toEqual([queue, 'a'])
    })

    it('gives them what a worker held when it died, and what it had not claimed', async () => {
      const [dying, other] = [await open(), await open()]
      // From now on its heartbeats look after the queue.
      await expectQuiet(other)
      await send(dying, 'held', 'incoming')
      await take(dying, 1)
      await moveOne()
      await dying.transport.abandon()

      const popped = [await call('BRPOP', queue, '5'), await call('BRPOP', queue, '5')]

      expect(popped.sort()).toEqual([
        [queue, 'held'],
        [queue, 'incoming'],
      ])
    })

    it('forgets the deliveries of what they took', async () => {
      const worker = await open()
      const { attempts } = queueKeys(queue)
      await send(worker, 'a', 'b')
      await requeue(worker, await take(worker))
      expect(await call('HLEN', attempts)).toBe(2)
      expect(Number(await call('PTTL', attempts))).toBeGreaterThan(23 * 60 * 60 * 1_000)
      expect(Number(await call('PTTL', attempts))).toBeLessThanOrEqual(24 * 60 * 60 * 1_000)

      expect(await call('BRPOP', queue, '1')).toEqual([queue, 'a'])
      const [delivery] = await take(worker)

      expect([delivery?.attempt, await call('EXISTS', attempts)]).toEqual([2, 0])
    })
  })

  describe('order', () => {
    it('is kept by what comes back together', async () => {
      const worker = await open()
      await send(worker, 'a', 'b', 'c', 'd')
      const deliveries = await take(worker, 3)

      await worker.transport.settle([...deliveries].reverse().map((delivery) => ({ kind: 'release', delivery })))

      expect((await take(worker)).map(({ body }) => String(body))).toEqual(['a', 'b', 'c', 'd'])
    })

    it('is kept by what a worker hands back when it stops', async () => {
      const [stopping, other] = [await open(), await open()]
      await send(stopping, 'a', 'b', 'c', 'd')
      await take(stopping, 3)

      await stopping.transport.stop()

      const deliveries = await take(other)
      expect(deliveries.map(({ body, attempt }) => [String(body), attempt])).toEqual([
        ['a', 1],
        ['b', 1],
        ['c', 1],
        ['d', 1],
      ])
    })
  })

  describe('a message that a worker moved while it waited', () => {
    it('is the first to be claimed, by anybody', async () => {
      const worker = await open()
      await send(worker, 'a', 'b')
      await moveOne()

      expect((await take(worker)).map(({ body, attempt }) => [String(body), attempt])).toEqual([
        ['a', 1],
        ['b', 1],
      ])
    })

    it('goes back to the list when that worker has no room for it', async () => {
      const worker = await open()
      const second = `${queue}-2`
      const receiving = take(worker, 10, [queue, second])
      await until(() => areWaiting(2), SOON)
      await send(worker, 'a')
      await ack(worker, await receiving)

      await call('LPUSH', second, 'b')

      await until(async () => (await call('LLEN', second)) === 1, SOON)
      expect(await call('LLEN', queueKeys(second).incoming)).toBe(0)
    })
  })

  describe('lost answers', () => {
    it('hands back what came with one', async () => {
      const worker = await open()
      await send(worker, 'first')
      await ack(worker, await take(worker))
      await send(worker, 'lost')
      const { delayed, sequence, attempts, ids, leases, incoming, held } = queueKeys(queue)
      const [consumer = ''] = (await call('ZRANGE', leases, '0', '-1')) as string[]
      const keys = [queue, delayed, sequence, attempts, ids, leases, incoming, held + consumer]
      await call('EVAL', CLAIM_FROM_LIST.source, String(keys.length), ...keys, consumer, '1')
      expect(await call('HLEN', held + consumer)).toBe(1)
      await send(worker, 'next')

      const next = await take(worker)
      const lost = await take(worker)

      expect([...next, ...lost].map(({ body, attempt }) => [String(body), attempt])).toEqual([
        ['next', 1],
        ['lost', 1],
      ])
    })

    it('settles once when a settlement is made again', async () => {
      const worker = await open()
      await send(worker, 'a')
      const deliveries = await take(worker)
      const { held, leases } = queueKeys(queue)
      const [consumer = ''] = (await call('ZRANGE', leases, '0', '-1')) as string[]
      // As the first try left it.
      await call('DEL', held + consumer)

      expect(await requeue(worker, deliveries)).toEqual(['settled'])
      expect(await waiting()).toEqual([])
      expect(await requeue(worker, deliveries)).toEqual(['stale'])
    })
  })

  describe('trouble with Redis', () => {
    it('goes on after the loss of all data, and mistakes no message for an earlier one', async () => {
      const worker = await open()
      await send(worker, 'before')
      const before = await take(worker)

      await call('FLUSHALL')

      await send(worker, 'after')
      const after = await take(worker)
      expect(after.map(({ body }) => String(body))).toEqual(['after'])
      expect(await ack(worker, before)).toEqual(['settled'])
      expect(await worker.transport.inspect()).toMatchObject([{ queue, ready: 0, running: 1 }])
      expect(await ack(worker, after)).toEqual(['settled'])
      expect(worker.lost).toEqual([])
    })

    it('says what is wrong with the key of a queue, and goes on when it is removed', async () => {
      const worker = await open()
      await call('SET', queue, 'something else')

      for (const _ of [1, 2]) await expect(take(worker)).rejects.toThrow(/holds something else at the key/)
      await expect(send(worker, 'a')).rejects.toThrow(/holds something else/)

      expect(await worker.transport.cancel('nobody')).toBe('unknown')
      expect(await worker.transport.inspect()).toContainEqual({ queue, ready: 0, delayed: 0, running: 0, dead: 0 })

      await call('DEL', queue)
      await send(worker, 'a')
      expect(await take(worker)).toHaveLength(1)
    })

    it('settles nothing when the key of the queue of one replacement is wrong', async () => {
      const worker = await open()
      await send(worker, 'a', 'b')
      const [first, second] = await take(worker)
      if (!first || !second) return expect.fail('two were sent')
      await call('SET', `${queue}-wrong`, 'something else')
      const settlements = [
        { kind: 'replace', delivery: first, message: message('c') },
        { kind: 'replace', delivery: second, message: message('d', { queue: `${queue}-wrong` }) },
      ] as const

      await expect(worker.transport.settle(settlements)).rejects.toThrow(/holds something else/)
      expect(await waiting()).toEqual([])

      await call('DEL', `${queue}-wrong`)
      expect(await worker.transport.settle(settlements)).toEqual(['settled', 'settled'])
      expect(await waiting()).toEqual(['c'])
    })

    it('keeps what it holds when Redis itself is away for longer than the lease', async () => {
      const [worker, other] = [await open(), await open()]
      await send(worker, 'a')
      const deliveries = await take(worker)
      await expectQuiet(other)

      server.pause()
      await new Promise((resolve) => setTimeout(resolve, 1.5 * LEASE_MS))
      server.resume()

      await expectQuiet(other, LEASE_MS)
      expect([await ack(worker, deliveries), worker.lost]).toEqual([['settled'], []])
    })

    it('ends an aborted receive within a second while Redis does not answer', async () => {
      const worker = await open()
      const stop = new AbortController()
      const receiving = worker.transport.receive({ queues: [queue], max: 1, signal: stop.signal })
      await until(() => areWaiting(1), SOON)

      server.pause()
      const abortedAt = performance.now()
      stop.abort()
      const deliveries = await receiving
      const tookMs = performance.now() - abortedAt
      server.resume()

      expect(deliveries).toEqual([])
      expect(tookMs).toBeLessThan(1_000)
    })
  })

  it('without memory delivers and acknowledges, and what it cannot store changes nothing', async () => {
    const worker = await open()
    const results = await joined(worker)
    await send(worker, 'a', 'b')
    const deliverAt = Date.now() + 200
    await worker.transport.send([message('later', { deliverAt })])
    const [a] = await take(worker, 1)
    await call('CONFIG', 'SET', 'maxmemory', '1')
    try {
      await until(() => Date.now() > deliverAt + 100, SOON)
      const [b] = await take(worker, 1)
      if (!a || !b) return expect.fail('two were sent')

      await expect(send(worker, 'c')).rejects.toThrow(/out of memory/)
      expect(await ack(worker, [a])).toEqual(['settled'])
      const result = { taskId: 'id', body: 'result' }
      await expect(worker.transport.settle([{ kind: 'ack', delivery: b, result }])).rejects.toThrow(/out of memory/)
      await expect(requeue(worker, [b])).rejects.toThrow(/out of memory/)
      expect(await worker.transport.inspect()).toContainEqual({ queue, ready: 1, delayed: 0, running: 1, dead: 0 })

      await call('CONFIG', 'SET', 'maxmemory', '0')
      expect(await worker.transport.settle([{ kind: 'ack', delivery: b, result }])).toEqual(['settled'])
      expect(await results.get(['id'])).toEqual([Buffer.from('result')])
      expect((await take(worker)).map(({ body }) => String(body))).toEqual(['later'])
    } finally {
      await call('CONFIG', 'SET', 'maxmemory', '0')
    }
  })

  it('renews leases without memory, and takes over what the dead held', async () => {
    const logger = recordingLogger()
    const [dying, other] = [await open(), await open({ logger })]
    await expectQuiet(other)
    await send(dying, 'a')
    await take(dying)
    await call('CONFIG', 'SET', 'maxmemory', '1')
    try {
      await dying.transport.abandon()

      expect((await take(other)).map(({ attempt }) => attempt)).toEqual([2])
      await other.transport.stop()
      expect([await waiting(), other.lost]).toEqual([['a'], []])
      expect(logger.lines.map((line) => line.message)).toEqual([expect.stringContaining('Took back 1 message(s)')])
    } finally {
      await call('CONFIG', 'SET', 'maxmemory', '0')
    }
  })

  it('stops in seconds while Redis does not answer', async () => {
    const logger = recordingLogger()
    const worker = await open({ logger })
    await send(worker, 'a')
    await take(worker)

    server.pause()
    const startedAt = performance.now()
    await worker.transport.stop()
    const tookMs = performance.now() - startedAt
    server.resume()

    expect(tookMs).toBeLessThan(8_000)
    expect(logger.lines).toMatchObject([{ level: 'warn', message: /Could not hand back messages/ }])
  })

  describe('cancel', () => {
    it('finds every message of a task in a long list, while others come', async () => {
      const worker = await open()
      const taskId = randomUUID()
      const body = (id: string, n: number): string => JSON.stringify({ task_id: id, n })
      const bodies = Array.from({ length: 2_500 }, (_, n) => message(body(randomUUID(), n)))
      const mine = [0, 999, 1_000, 2_499].map((at) => {
        bodies[at] = message(body(taskId, at), { taskId })
        return at
      })
      await worker.transport.send(bodies)

      const outcomes = await Promise.all([worker.transport.cancel(taskId), send(worker, body(randomUUID(), -1))])

      expect(outcomes[0]).toBe('removed')
      expect(await call('LLEN', queue)).toBe(2_501 - mine.length)
    })

    it('tells equal bodies apart that do not tell their task', async () => {
      const worker = await open()
      const [first, second, third] = await send(worker, 'x', 'x', 'x')

      expect(await worker.transport.cancel(second?.taskId ?? '')).toBe('removed')

      const deliveries = await take(worker)
      expect(deliveries.map(({ taskId }) => taskId)).toEqual([first?.taskId, third?.taskId])
      expect(await worker.transport.cancel(first?.taskId ?? '')).toBe('requested')
      await requeue(worker, deliveries)
      expect(await worker.transport.cancel(first?.taskId ?? '')).toBe('removed')
      expect(await worker.transport.cancel(second?.taskId ?? '')).toBe('unknown')
      expect((await take(worker)).map(({ taskId }) => taskId)).toEqual([third?.taskId])
    })

    it('finds what a worker has moved and not claimed', async () => {
      const worker = await open()
      const [sent] = await send(worker, 'x')
      await moveOne()

      expect(await worker.transport.cancel(sent?.taskId ?? '')).toBe('removed')
      await expectQuiet(worker)
    })
  })

  it('delivers what was delayed by a process that has ended, when it is due', async () => {
    const worker = await open()
    const client = await open({ role: 'client' })
    const receiving = take(worker)
    await until(() => areWaiting(1), SOON)
    const deliverAt = Date.now() + 800
    await client.transport.send([message('later', { deliverAt })])
    await client.transport.stop()

    expect(await receiving).toHaveLength(1)
    expect(Date.now() - deliverAt).toBeGreaterThanOrEqual(0)
    expect(Date.now() - deliverAt).toBeLessThan(250)
  })

  it('reclaims from the worker of that very name', async () => {
    const [worker, other] = [await open({ workerId: 'w' }), await open({ workerId: 'w:1' })]
    await send(worker, 'a', 'b')
    await take(worker, 1)
    const deliveries = await take(other, 1)

    expect(await worker.transport.reclaim('w')).toBe(1)

    expect(await ack(other, deliveries)).toEqual(['settled'])
  })

  it('says in the log from whom it took messages', async () => {
    const logger = recordingLogger()
    const [dying, other] = [await open({ workerId: 'dying' }), await open({ logger })]
    await send(dying, 'a')
    await take(dying)
    await dying.transport.abandon()

    expect((await take(other)).map(({ attempt }) => attempt)).toEqual([2])

    const told = () => logger.lines.filter(({ level }) => level === 'warn').map((line) => line.message)
    await until(() => told().length > 0, SOON)
    expect(told()).toEqual(['Took back 1 message(s) of kiq:dying:1: its lease is over.'])
  })
})
