import { describe, expect, it } from 'vitest'

import { MemoryResultBackend, MemoryTransport } from '../../src/adapters/memory/index.ts'
import { Broker, gather, InMemoryBroker, JsonSerializer, ResultError, silentLogger, Worker } from '../../src/index.ts'
import type { TaskFailure } from '../../src/index.ts'
import { ResultError as ContractResultError } from '../../src/contract/index.ts'
import { MsgPackSerializer } from '../../src/serializers/index.ts'
import { until } from '../../src/testing/until.ts'
import { errorOf, fake, inMemory, wire } from '../support/brokers.ts'
import { deferred, settled } from '../support/deferred.ts'

const timedOut = { name: 'ResultError', code: 'KIQ_RESULT_TIMED_OUT' }

/** Keeps the event loop from turning. */
function block(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

async function gated() {
  const broker = inMemory()
  const gate = deferred()
  const task = broker.task('task', async (n: number) => {
    await gate.promise
    return n
  })
  await broker.startup()
  return { broker, task, gate }
}

describe('sent.waitResult', () => {
  it('gives the envelope of a success', async () => {
    const broker = inMemory()
    const task = broker.task('task', (n: number) => n * 2, { labels: { a: 1 } })
    await broker.startup()

    expect(await (await task.kiq(21)).waitResult()).toEqual({
      isErr: false,
      returnValue: 42,
      executionTime: expect.any(Number) as number,
      labels: { a: 1 },
    })
  })

  it('gives the envelope of a failure, with cause, code and stack', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => {
      throw Object.assign(new RangeError('outer', { cause: new TypeError('inner') }), { code: 'EX' })
    })
    await broker.startup()

    const result = await (await task.kiq()).waitResult()

    expect(result).toMatchObject({
      isErr: true,
      error: {
        name: 'RangeError',
        message: 'outer',
        args: ['outer'],
        code: 'EX',
        cause: { name: 'TypeError', message: 'inner' },
      },
    })
    expect((result as TaskFailure).error.stack).toContain('results.test.ts')
  })

  it.each([['text'], [undefined], [null], [{ reason: 'object' }]])('gives a failure for thrown %j', async (thrown) => {
    const broker = inMemory()
    const task = broker.task('task', () => {
      throw thrown
    })
    await broker.startup()

    expect(await (await task.kiq()).waitResult()).toMatchObject({ isErr: true, error: { args: [thrown ?? null] } })
  })

  it('counts the time in seconds', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => block(30))
    await broker.startup()

    const { executionTime } = await (await task.kiq()).waitResult()

    expect(executionTime).toBeGreaterThanOrEqual(0.03)
    expect(executionTime).toBeLessThan(1)
  })

  it('may be called several times, before and after the end', async () => {
    const { task, gate } = await gated()
    const sent = await task.kiq(5)
    const early = [sent.result(), sent.waitResult(), sent.result({ timeout: '5s' })]

    gate.resolve()

    expect(await Promise.all(early)).toMatchObject([5, { returnValue: 5 }, 5])
    expect(await sent.result()).toBe(5)
    expect(await sent.isReady()).toBe(true)
  })

  it('times out', async () => {
    const { task, gate } = await gated()
    const sent = await task.kiq(5)

    await expect(sent.waitResult({ timeout: 20 })).rejects.toMatchObject({
      ...timedOut,
      message: expect.stringContaining(`Task ${sent.taskId} has no result after 20 ms`) as string,
    })
    await expect(sent.result({ timeout: '20ms' })).rejects.toMatchObject(timedOut)

    gate.resolve()
    expect(await sent.result()).toBe(5)
  })

  it('looks once when the timeout is 0', async () => {
    const { task, gate } = await gated()
    const sent = await task.kiq(5)

    await expect(sent.waitResult({ timeout: 0 })).rejects.toMatchObject(timedOut)
    gate.resolve()
    await sent.result()
    expect(await sent.result({ timeout: 0 })).toBe(5)
    expect(await sent.result({ timeout: '0s' })).toBe(5)
  })

  it.each([0.001, 1, '1ms'])('times out after %j also', async (timeout) => {
    const { task, gate } = await gated()

    await expect((await task.kiq(5)).result({ timeout })).rejects.toMatchObject(timedOut)
    gate.resolve()
  })

  it('gives a result that is there, however short the timeout and busy the process', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => 5)
    await broker.startup()
    const sent = await task.kiq()
    await sent.result()

    const waiting = sent.result({ timeout: 1 })
    block(20)

    expect(await waiting).toBe(5)
  })

  it('waits longer than a timer can', async () => {
    const { task, gate } = await gated()
    const waiting = (await task.kiq(5)).result({ timeout: '60d' })
    setTimeout(gate.resolve, 50)

    expect(await waiting).toBe(5)
  })

  it.each([-1, '5', 'soon', NaN])('refuses the timeout %j', async (timeout) => {
    const { task, gate } = await gated()
    gate.resolve()

    await expect((await task.kiq(5)).result({ timeout })).rejects.toMatchObject({ code: 'KIQ_CONFIG_INVALID' })
  })

  it('ends with the reason of the signal', async () => {
    const { task, gate } = await gated()
    const stop = new AbortController()
    const waiting = (await task.kiq(5)).result({ signal: stop.signal })
    const reason = new Error('the user left')

    stop.abort(reason)

    await expect(waiting).rejects.toBe(reason)
    gate.resolve()
  })

  it('ends at once when the signal aborted before', async () => {
    const { task, gate } = await gated()
    const sent = await task.kiq(5)

    await expect(sent.result({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
    gate.resolve()
  })

  it('takes timeout and signal together', async () => {
    const { task, gate } = await gated()
    const sent = await task.kiq(5)
    const { signal } = new AbortController()

    await expect(sent.result({ timeout: 10, signal })).rejects.toMatchObject(timedOut)
    gate.resolve()
    expect(await sent.result({ timeout: '5s', signal })).toBe(5)
  })

  it('is refused when the broker is not started', async () => {
    const broker = inMemory()
    const sent = broker.sentTask('id')

    await expect(sent.result()).rejects.toMatchObject({ code: 'KIQ_BROKER_NOT_STARTED' })
    await expect(sent.isReady()).rejects.toMatchObject({ code: 'KIQ_BROKER_NOT_STARTED' })
  })

  it('is refused by a broker without a result backend', async () => {
    const broker = new Broker(new MemoryTransport())
    const task = broker.task('task', () => 1)
    await broker.startup()
    const sent = await task.kiq()

    await expect(sent.result()).rejects.toMatchObject({ code: 'KIQ_NO_RESULT_BACKEND' })
    await broker.shutdown()
  })

  it('does not keep waiters apart from the same id', async () => {
    const { broker, gate } = await gated()
    gate.resolve()
    const sent = await broker.externalTask<[number], number>('task').kicker().withTaskId('mine').kiq(7)

    expect(await broker.sentTask<number>('mine').result()).toBe(7)
    expect(sent.taskId).toBe('mine')
  })
})

describe('sent.waitResult with a backend that cannot notify', () => {
  it('asks again until the result is there', async () => {
    const { broker, results, transport, work } = fake({ loop: true })
    const gate = deferred()
    const task = broker.task('task', async () => {
      await gate.promise
      return 5
    })
    await work()
    const waiting = (await task.kiq()).result()

    await until(() => results.gets > 2, { timeoutMs: 2_000 })
    gate.resolve()

    expect(await waiting).toBe(5)
    expect(transport.settled.length).toBe(1)
  })

  it('survives failures of the backend, and times out without one', async () => {
    const { broker, results } = fake()
    await broker.startup()
    results.fail('get', new ContractResultError('KIQ_RESULT_BACKEND_FAILED', 'down'), 2)

    await expect(broker.sentTask('id').result({ timeout: 80 })).rejects.toMatchObject(timedOut)
    expect(results.gets).toBeGreaterThan(2)
  })

  it('says that the backend fails when it still does at the end', async () => {
    const { broker, results } = fake()
    await broker.startup()
    results.fail('get', new ContractResultError('KIQ_RESULT_BACKEND_FAILED', 'down'), 1_000)

    await expect(broker.sentTask('id').result({ timeout: 50 })).rejects.toMatchObject({
      code: 'KIQ_RESULT_BACKEND_FAILED',
    })
  })

  it('ends at once for an error that no second look mends', async () => {
    const { broker, results } = fake()
    await broker.startup()
    results.fail('get', new TypeError('a bug of the backend'))

    await expect(broker.sentTask('id').result()).rejects.toThrow('a bug of the backend')
  })

  it('ends with the reason of the signal', async () => {
    const { broker, results } = fake()
    await broker.startup()
    const stop = new AbortController()
    const waiting = broker.sentTask('id').result({ signal: stop.signal })
    const reason = new Error('enough')
    await until(() => results.gets > 0, { timeoutMs: 1_000 })

    stop.abort(reason)

    await expect(waiting).rejects.toBe(reason)
  })

  it('refuses a record of another format', async () => {
    const { broker, results } = fake()
    await broker.startup()
    await results.save([{ taskId: 'id', body: 'not json' }])

    await expect(broker.sentTask('id').result()).rejects.toBeInstanceOf(ResultError)
    await expect(broker.sentTask('id').isReady()).rejects.toMatchObject({ code: 'KIQ_RESULT_UNREADABLE' })
  })
})

describe('gather', () => {
  it('gives the outcomes in the order of the arguments, failed ones included', async () => {
    const broker = inMemory()
    const gate = deferred()
    const slow = broker.task('slow', async () => {
      await gate.promise
      return 'slow'
    })
    const fails = broker.task('fails', (): number => {
      throw new RangeError('x')
    })
    const fast = broker.task('fast', () => {
      gate.resolve()
      return 1
    })
    await broker.startup()

    const [first, second, third] = await gather([await slow.kiq(), await fails.kiq(), await fast.kiq()])

    expect(first).toMatchObject({ isErr: false, returnValue: 'slow' })
    expect(second).toMatchObject({ isErr: true, error: { name: 'RangeError' } })
    expect(third).toMatchObject({ isErr: false, returnValue: 1 })
  })

  it('gives nothing for nothing', async () => {
    expect(await gather([])).toEqual([])
  })

  it('times out as a whole', async () => {
    const { task, gate } = await gated()
    const sent = await task.kiqMany([[1], [2]])

    await expect(gather(sent, { timeout: 20 })).rejects.toMatchObject(timedOut)
    gate.resolve()
  })
})

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
