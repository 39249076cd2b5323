import { describe, expect, it } from 'vitest'

import { MemoryTransport } from '../../src/adapters/memory/index.ts'
import { Broker, gather, ResultError } from '../../src/index.ts'
import type { TaskFailure } from '../../src/index.ts'
import { ResultError as ContractResultError } from '../../src/contract/index.ts'
import { until } from '../../src/testing/until.ts'
import { fake, inMemory } from '../support/brokers.ts'
import { deferred } from '../support/deferred.ts'

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
    await until(() => transport.settled.length === 1, { timeoutMs: 2_000 })
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

describe('sent.waitResult with a backend that does not answer', () => {
  const hang = (): Promise<never> => new Promise(() => {})

  it('times out all the same', async () => {
    const { broker, results } = fake()
    await broker.startup()
    results.next.get.push(hang)

    await expect(broker.sentTask('id').result({ timeout: 30 })).rejects.toMatchObject(timedOut)
  }, 5_000)

  it('times out all the same when it can notify', async () => {
    const { broker, results } = fake()
    const notifying = Object.assign(results, { subscribe: () => () => {} })
    broker.withResultBackend(notifying)
    await broker.startup()
    results.next.get.push(hang)

    await expect(broker.sentTask('id').result({ timeout: 30 })).rejects.toMatchObject(timedOut)
  }, 5_000)

  it('ends with the signal all the same', async () => {
    const { broker, results } = fake()
    await broker.startup()
    results.next.get.push(hang)
    const stop = new AbortController()
    const reason = new Error('enough')
    const waiting = broker.sentTask('id').result({ signal: stop.signal })
    await until(() => results.gets === 1, { timeoutMs: 1_000 })

    stop.abort(reason)

    await expect(waiting).rejects.toBe(reason)
  }, 5_000)
})

describe('a wait when the broker is shut down', () => {
  const ended = { name: 'ConfigError', code: 'KIQ_BROKER_NOT_STARTED' }

  it.each([
    ['without a timeout', {}],
    ['with a timeout', { timeout: '1h' }],
    ['with a signal', { signal: new AbortController().signal }],
  ])('ends, %s', async (_what, options) => {
    const broker = inMemory()
    const task = broker.task('task', () => 1)
    await broker.startup()
    const waiting = (await task.kicker().withDelay('1h').kiq()).result(options)
    const outcome = expect(waiting).rejects.toMatchObject(ended)

    await broker.shutdown()

    await outcome
  })

  it.each([
    ['without a timeout', {}],
    ['with a signal', { signal: new AbortController().signal }],
  ])('ends also with a backend that cannot notify, %s', async (_what, options) => {
    const { broker } = fake()
    await broker.startup()
    const outcome = expect(broker.sentTask('id').result(options)).rejects.toMatchObject(ended)

    await broker.shutdown()

    await outcome
  })

  it('can be begun again after the next start', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => 1)
    await broker.startup()
    await expect(Promise.all([broker.sentTask('mine').result(), broker.shutdown()])).rejects.toMatchObject(ended)

    await broker.startup()
    await task.kicker().withTaskId('mine').kiq()

    expect(await broker.sentTask('mine').result()).toBe(1)
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
