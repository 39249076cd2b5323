import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it, onTestFinished } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import type { Delivery, WireMessage } from '../../contract/index.ts'
import { until } from '../../testing/until.ts'
import { acquireDatabase } from './registry.ts'
import { SqliteTransport } from './transport.ts'
import type { SqliteTransportOptions } from './transport.ts'

interface Opened {
  readonly transport: SqliteTransport
  readonly workerId: string
  readonly cancelled: string[]
  readonly lost: Delivery[]
  readonly take: (max: number, queues?: readonly string[]) => Promise<readonly Delivery[]>
}

interface Rig {
  readonly path: string
  readonly open: (options?: Partial<SqliteTransportOptions>, role?: 'client' | 'worker') => Promise<Opened>
}

function setup(): Rig {
  const directory = mkdtempSync(join(tmpdir(), 'kiq-sqlite-transport-'))
  const path = join(directory, 'kiq.db')
  const opened: SqliteTransport[] = []
  onTestFinished(async () => {
    for (const transport of opened) await transport.stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const open: Rig['open'] = async (options = {}, role = 'worker') => {
    const transport = new SqliteTransport({ path, lease: 500, ...options }, { connection: 'own' })
    opened.push(transport)
    const workerId = randomUUID()
    const cancelled: string[] = []
    const lost: Delivery[] = []
    await transport.start({
      role,
      workerId,
      logger: silentLogger,
      defaultQueue: 'q',
      onCancel: (taskId) => cancelled.push(taskId),
      onLeaseLost: (deliveries) => lost.push(...deliveries),
    })
    const take: Opened['take'] = (max, queues = ['q']) =>
      transport.receive({ queues, max, signal: AbortSignal.timeout(5_000) })
    return { transport, workerId, cancelled, lost, take }
  }
  return { path, open }
}

const message = (taskId: string, change: Partial<WireMessage> = {}): WireMessage => ({
  taskId,
  taskName: 't',
  queue: 'q',
  body: taskId,
  labels: {},
  ...change,
})

const idsOf = (deliveries: readonly Delivery[]): unknown[] => deliveries.map((delivery) => delivery.taskId)

describe('SqliteTransport', () => {
  it.each([
    ['lease', { lease: 50 }],
    ['lease', { lease: 'soon' }],
    ['deadLetterTtl', { deadLetterTtl: -1 }],
    ['busyTimeout', { busyTimeout: NaN }],
    ['path', { path: '' }],
  ])('refuses a bad option and names it: %s', (name, options) => {
    expect(() => new SqliteTransport({ path: 'unused.db', ...options })).toThrow(
      expect.objectContaining({ code: 'KIQ_CONFIG_INVALID', message: expect.stringContaining(`\`${name}\``) }),
    )
  })

  it('says so when it is used before its start, and when a client receives', async () => {
    const { path, open } = setup()
    const unstarted = new SqliteTransport({ path })
    const client = await open({}, 'client')

    await expect(unstarted.send([message('a')])).rejects.toMatchObject({ code: 'KIQ_BROKER_NOT_STARTED' })
    await expect(client.take(1)).rejects.toMatchObject({ code: 'KIQ_BROKER_NOT_STARTED' })
  })

  it('keeps the order of a large batch', async () => {
    const { transport, take } = await setup().open()
    const ids = Array.from({ length: 5_000 }, (_, i) => `${i}`)
    await transport.send(ids.map((id) => message(id)))

    expect(idsOf(await take(5_000))).toEqual(ids)
  })

  it('stores all of a batch or nothing', async () => {
    const { transport } = await setup().open()
    const bad = { ...message('bad'), body: Symbol('no body') as unknown as string }

    await expect(transport.send([message('good'), bad])).rejects.toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
    expect(await transport.inspect()).toEqual([])
  })

  it('starves no queue of several', async () => {
    const { transport, take } = await setup().open()
    const queues = ['a', 'b', 'c']
    await transport.send(queues.flatMap((queue) => Array.from({ length: 10 }, (_, i) => message(`${i}`, { queue }))))

    const first = [await take(2, queues), await take(2, queues), await take(2, queues)].flat()

    expect(first.map((delivery) => delivery.queue).sort()).toEqual(['a', 'a', 'b', 'b', 'c', 'c'])
  })

  it('fills the free slots from several queues', async () => {
    const { transport, take } = await setup().open()
    await transport.send([message('1', { queue: 'a' }), message('2', { queue: 'b' }), message('3', { queue: 'b' })])

    expect(idsOf(await take(10, ['a', 'b'])).sort()).toEqual(['1', '2', '3'])
  })

  it('delivers messages that became due while nobody looked, more than fit in one transaction', async () => {
    const { transport, take } = await setup().open()
    const deliverAt = Date.now() - 1
    await transport.send(Array.from({ length: 1_200 }, (_, i) => message(`${i}`, { deliverAt })))

    const taken: Delivery[] = []
    while (taken.length < 1_200) taken.push(...(await take(1_200)))
    expect(new Set(idsOf(taken)).size).toBe(1_200)
  })

  it('puts a dead letter back with its priority', async () => {
    const { transport, take } = await setup().open()
    await transport.send([message('urgent', { priority: 5 })])
    const [delivery] = await take(1)
    if (delivery) await transport.settle([{ kind: 'dead', delivery, reason: 'test' }])
    await transport.send([message('plain')])

    expect(await transport.deadLetters.retry()).toBe(1)
    expect(idsOf(await take(2))).toEqual(['urgent', 'plain'])
  })

  it('retries and drops many dead letters in steps, and no more than asked for', async () => {
    const { transport, take } = await setup().open()
    await transport.send(Array.from({ length: 1_300 }, (_, i) => message(`${i}`)))
    const deliveries = await take(1_300)
    await transport.settle(deliveries.map((delivery) => ({ kind: 'dead', delivery, reason: 'test' })))

    expect(await transport.deadLetters.retry({ limit: 700 })).toBe(700)
    expect(await transport.deadLetters.drop({ queue: 'elsewhere' })).toBe(0)
    expect(await transport.deadLetters.drop()).toBe(600)
    expect(await transport.inspect()).toMatchObject([{ ready: 700, dead: 0 }])
  })

  it('keeps the process of a dead worker from holding its messages: it notices that the process is gone', async () => {
    const { path, open } = setup()
    const { transport, workerId } = await open({ lease: '60s' })
    const { database, release } = await acquireDatabase({
      ...{ path: transport.path, synchronous: 'normal', busyTimeoutMs: 1_000 },
      ...{ logger: silentLogger, connection: 'own' },
    })
    await transport.send([message('a')])
    await database.write(() => {
      // As a process of this machine left it that was killed a moment ago.
      database
        .prepare('INSERT INTO sessions SELECT 1000, ?, 4194304, host, expires_at FROM sessions WHERE worker_id = ?')
        .run('dead', workerId)
      database.prepare('UPDATE messages SET state = 1, owner = 1000, attempt = 1').run()
    })
    await release()

    const other = new SqliteTransport({ path, lease: '60s' })
    await other.start({
      ...{ role: 'worker', workerId: 'other', logger: silentLogger, defaultQueue: 'q' },
      ...{ onCancel: () => undefined, onLeaseLost: () => undefined },
    })
    const [delivery] = await other.receive({ queues: ['q'], max: 1, signal: AbortSignal.timeout(5_000) })
    await other.stop()

    expect([delivery?.taskId, delivery?.attempt]).toEqual(['a', 2])
  })

  it('begins a new lease when its own was taken, and receives again', async () => {
    const { open } = setup()
    const one = await open({ lease: '60s' })
    const two = await open({}, 'client')
    await one.transport.send([message('a')])
    const [delivery] = await one.take(1)
    if (delivery === undefined) return expect.fail('nothing came')

    // Before the heartbeat could notice: what it claims must not belong to a session that is gone.
    expect(await two.transport.reclaim(one.workerId)).toBe(1)
    const [again] = await one.take(1)

    expect(one.lost).toEqual([delivery])
    expect(again?.attempt).toBe(2)
    expect(await one.transport.settle([{ kind: 'ack', delivery }])).toEqual(['stale'])
    expect(await two.transport.reclaim(one.workerId)).toBe(1)
  })

  it('refuses to settle what it did not hand out', async () => {
    const { transport } = await setup().open()
    const delivery = { body: '', queue: 'q', attempt: 1 }

    await expect(transport.settle([{ kind: 'ack', delivery }])).rejects.toThrow('Settle the very objects')
  })
})

describe('SqliteTransport.cancel', () => {
  it('finds a task among many, and a batch of them in one pass', async () => {
    const { transport } = await setup().open()
    const ids = Array.from({ length: 12_000 }, (_, i) => `task ${i}`)
    for (let from = 0; from < ids.length; from += 2_000) {
      await transport.send(ids.slice(from, from + 2_000).map((id) => message(id)))
    }

    const wanted = [0, 4_999, 5_000, 5_001, 10_000, 11_999].map((i) => `task ${i}`)
    expect(await Promise.all([...wanted, 'nobody'].map((id) => transport.cancel(id)))).toEqual([
      ...wanted.map(() => 'removed'),
      'unknown',
    ])
    expect(await transport.inspect()).toMatchObject([{ ready: 12_000 - wanted.length }])
  })

  it('reaches the worker that runs the task after the one that was asked has died', async () => {
    const { open } = setup()
    const [first, second] = [await open(), await open()]
    await first.transport.send([message('a')])
    await first.take(1)
    expect(await second.transport.cancel('a')).toBe('requested')
    await first.transport.abandon()

    const [delivery] = await second.take(1)

    expect(delivery?.attempt).toBe(2)
    await until(() => second.cancelled.includes('a'), { timeoutMs: 5_000 })
  })

  it('asks again and again until the delivery is settled, since its holder may not have begun', async () => {
    const { transport, take, cancelled } = await setup().open()
    await transport.send([message('a')])
    const [delivery] = await take(1)
    await transport.cancel('a')
    await until(() => cancelled.length >= 3, { timeoutMs: 5_000 })

    if (delivery) await transport.settle([{ kind: 'ack', delivery }])
    const { length } = cancelled
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(cancelled).toHaveLength(length)
  })

  it('reaches the retry of a task that ignored the request', async () => {
    const { transport, take, cancelled } = await setup().open()
    await transport.send([message('a')])
    const [delivery] = await take(1)
    await transport.cancel('a')
    await until(() => cancelled.length > 0, { timeoutMs: 5_000 })
    if (delivery) await transport.settle([{ kind: 'replace', delivery, message: message('a') }])
    cancelled.length = 0

    await take(1)

    await until(() => cancelled.includes('a'), { timeoutMs: 5_000 })
  })

  it('does not reach a later task of the same id', async () => {
    const { transport, take, cancelled } = await setup().open()
    await transport.send([message('a')])
    const [delivery] = await take(1)
    await transport.cancel('a')
    if (delivery) await transport.settle([{ kind: 'ack', delivery }])
    cancelled.length = 0

    await transport.send([message('a')])
    await take(1)
    await new Promise((resolve) => setTimeout(resolve, 100))

    expect(cancelled).toEqual([])
  })
})
