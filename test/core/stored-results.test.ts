import { describe, expect, it } from 'vitest'

import { MemoryResultBackend, MemoryTransport } from '../../src/adapters/memory/index.ts'
import { Broker, InMemoryBroker, JsonSerializer, silentLogger, Worker } from '../../src/index.ts'
import { MsgPackSerializer } from '../../src/serializers/index.ts'
import { until } from '../../src/testing/until.ts'
import { errorOf, fake, inMemory, wire } from '../support/brokers.ts'
import { settled } from '../support/deferred.ts'

describe('a result that cannot be stored', () => {
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  const values: [string, unknown, string][] = [
    ['a cycle', circular, '`return value.self` refers to itself'],
    ['a function', () => {}, '`return value` is a function'],
    ['a symbol inside', [{ s: Symbol('x') }], '`return value[0].s` is a symbol'],
    ['an invalid date', new Date(NaN), '`return value` is an invalid Date'],
  ]

  it.each(values)('because it is %s is a failure that says so', async (_what, value, message) => {
    const broker = inMemory()
    const task = broker.task('task', () => value)
    await broker.startup()

    await expect((await task.kiq()).result({ timeout: '5s' })).rejects.toMatchObject({
      name: 'TaskError',
      code: 'KIQ_RESULT_UNSERIALIZABLE',
      failure: { message: expect.stringContaining(message) as string },
    })
  })

  it.each(values)('because it is %s is one also through JSON', async (_what, value, message) => {
    const broker = inMemory({ serializer: new JsonSerializer() })
    const task = broker.task('task', () => value)
    await broker.startup()

    await expect((await task.kiq()).result({ timeout: '5s' })).rejects.toMatchObject({
      code: 'KIQ_RESULT_UNSERIALIZABLE',
      failure: { message: expect.stringContaining(message) as string },
    })
  })

  it('because a bigint has more than 64 bits under MsgPack is a failure that says so', async () => {
    const broker = inMemory({ serializer: new MsgPackSerializer() })
    const task = broker.task('task', () => 2n ** 70n)
    await broker.startup()

    await expect((await task.kiq()).result({ timeout: '5s' })).rejects.toMatchObject({
      code: 'KIQ_RESULT_UNSERIALIZABLE',
      failure: { message: expect.stringContaining('does not fit the serializer "msgpack"') as string },
    })
  })

  it('is told to postSave as the failure that was stored, and is acknowledged', async () => {
    const { broker, results, transport, work } = fake()
    const saved: unknown[] = []
    broker.withMiddlewares({ postSave: (_message, result) => void saved.push(errorOf(result).code) })
    broker.task('task', () => () => {})
    await work()

    transport.deliver(wire('task'))
    await until(() => transport.settled.length > 0, { timeoutMs: 2_000 })
    await settled()

    expect(saved).toEqual(['KIQ_RESULT_UNSERIALIZABLE'])
    expect(results.stored('id')).toMatchObject({ is_err: true, error: { code: 'KIQ_RESULT_UNSERIALIZABLE' } })
    expect(transport.settled).toEqual(['ack id'])
  })

  it('because of a thrown bigint under MsgPack is a failure too', async () => {
    const broker = inMemory({ serializer: new MsgPackSerializer() })
    const task = broker.task('task', () => {
      throw 2n ** 70n
    })
    await broker.startup()

    expect(await (await task.kiq()).waitResult({ timeout: '5s' })).toMatchObject({ isErr: true })
  })

  it('because of a label of more than 64 bits under MsgPack is a failure too', async () => {
    const broker = inMemory({ serializer: new MsgPackSerializer() })
    const task = broker.task('task', () => 1)
    await broker.startup()

    const sent = await task
      .kicker()
      .withLabels({ big: 2n ** 70n })
      .kiq()

    expect(await sent.waitResult({ timeout: '5s' })).toMatchObject({ isErr: true })
  })

  it('whatever is thrown: the slot is free afterwards and a failure is stored', async () => {
    const broker = inMemory({ maxAsyncTasks: 1 })
    const task = broker.task('task', (): string => {
      throw Object.defineProperty(new Error('x'), 'message', {
        get: () => {
          throw new Error('no message for you')
        },
      })
    })
    const next = broker.task('next', () => 'alive')
    await broker.startup()

    const hostile = await task.kiq()

    expect(await (await next.kiq()).result({ timeout: '1s' })).toBe('alive')
    expect(await hostile.waitResult({ timeout: '1s' })).toMatchObject({ isErr: true })
  })

  it('by a serializer that never works does not end the worker nor block a slot', async () => {
    const { broker, transport, work } = fake(
      {},
      {
        serializer: {
          name: 'broken',
          dumpb: () => {
            throw new Error('never works')
          },
          loadb: (body) => JSON.parse(String(body)),
        },
      },
    )
    broker.task('sync', () => 1)
    broker.task('async', async () => 1)
    const worker = await work({ concurrency: 1 })

    transport.deliver(wire('sync'))
    transport.deliver(wire('async'))
    transport.deliver(wire('unknown'))

    await until(() => worker.processed === 3, { timeoutMs: 1_000 })
    expect(worker.running).toBe(0)
  })

  it('by a serializer that never works does not block a slot either where results travel with the settlement', async () => {
    const json = new JsonSerializer()
    const broker = inMemory({
      maxAsyncTasks: 1,
      serializer: {
        name: 'broken',
        dumpb: (value) => {
          if (typeof value === 'object' && value !== null && 'is_err' in value) throw new Error('never works')
          return json.dumpb(value)
        },
        loadb: (body) => json.loadb(body),
      },
    })
    const ran: string[] = []
    const sync = broker.task('sync', () => void ran.push('sync'))
    const asynchronous = broker.task('async', async () => void ran.push('async'))
    const last = broker.task('last', () => void ran.push('last'))
    await broker.startup()

    await sync.kiq()
    await asynchronous.kiq()
    await last.kiq()

    await until(() => ran.length === 3, { timeoutMs: 1_000 })
  })
})

describe('results that are kept', () => {
  it('are bounded: the oldest go first', async () => {
    const broker = inMemory({ maxStoredResults: 2 })
    const task = broker.task('task', (n: number) => n)
    await broker.startup()
    const sent = []
    for (const n of [1, 2, 3]) {
      const one = await task.kiq(n)
      await one.result()
      sent.push(one)
    }

    expect(await Promise.all(sent.map((one) => one.isReady()))).toEqual([false, true, true])
  })

  it.each([0, -2, 1.5])('refuse a bound of %j', (maxStoredResults) => {
    expect(() => new InMemoryBroker({ maxStoredResults })).toThrow(
      expect.objectContaining({ code: 'KIQ_CONFIG_INVALID' }),
    )
  })

  it('expire', async () => {
    const broker = inMemory({ resultTtl: 30 })
    const task = broker.task('task', () => 1)
    await broker.startup()
    const sent = await task.kiq()
    await sent.result()

    await until(async () => !(await sent.isReady()), { timeoutMs: 2_000 })
  })

  it('live as long as their task says', async () => {
    const { broker, results, transport, work } = fake({}, { resultTtl: '2h' })
    broker.task('short', () => 1, { resultTtl: '1s' })
    broker.task('usual', () => 1)
    await work()

    transport.deliver(wire('short', { task_id: 'a' }))
    transport.deliver(wire('usual', { task_id: 'b' }))
    await until(() => results.saved.length === 2, { timeoutMs: 2_000 })

    expect(results.saved.map(({ taskId, ttlMs }) => [taskId, ttlMs])).toEqual([
      ['a', 1_000],
      ['b', 7_200_000],
    ])
  })

  it('live 24 hours by default', async () => {
    const { broker, results, transport, work } = fake()
    broker.task('task', () => 1)
    await work()

    transport.deliver(wire('task'))
    await until(() => results.saved.length === 1, { timeoutMs: 2_000 })

    expect(results.saved[0]?.ttlMs).toBe(86_400_000)
  })
})

describe('the serializer of the result backend', () => {
  it('is used for results, the broker’s for messages', async () => {
    const results = new MemoryResultBackend()
    const asMsgPack = Object.assign(results, { serializer: new MsgPackSerializer() })
    const broker = new Broker(new MemoryTransport({ results }), { resultBackend: asMsgPack, logger: silentLogger })
    const task = broker.task('task', (n: number) => ({ n }))
    const worker = new Worker(broker)
    await worker.start()

    const sent = await task.kiq(5)

    expect(await sent.result()).toEqual({ n: 5 })
    const [body] = await results.get([sent.taskId])
    expect(body).toBeInstanceOf(Uint8Array)
    await worker.stop()
    await broker.shutdown()
  })
})
