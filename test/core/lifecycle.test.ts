import { describe, expect, it } from 'vitest'

import type { BrokerEvent } from '../../src/index.ts'
import { context, InMemoryBroker, silentLogger, Worker } from '../../src/index.ts'
import { fake, inMemory } from '../support/brokers.ts'
import { deferred } from '../support/deferred.ts'

const EVENTS: readonly BrokerEvent[] = ['workerStartup', 'workerShutdown', 'clientStartup', 'clientShutdown']

/** Notes every event, middleware hook and engine call of a broker. */
function traced() {
  const made = fake()
  const seen: string[] = []
  for (const event of EVENTS) made.broker.on(event, () => void seen.push(event))
  for (const name of ['a', 'b']) {
    made.broker.withMiddlewares({
      startup: () => void seen.push(`startup ${name}`),
      shutdown: () => void seen.push(`shutdown ${name}`),
    })
  }
  const note = (text: string): void => void seen.push(text)
  const { transport, results } = made
  const original = { start: transport.start.bind(transport), stop: transport.stop.bind(transport) }
  transport.start = async (options) => {
    note(`transport ${options.role}`)
    await original.start(options)
  }
  transport.stop = async () => {
    note('transport stops')
    await original.stop()
  }
  results.start = async () => note('results start')
  results.stop = async () => note('results stop')
  return { ...made, seen }
}

describe('broker.startup', () => {
  it('runs handlers, middlewares, result backend and transport, in that order', async () => {
    const { broker, seen } = traced()

    await broker.startup()

    expect(seen).toEqual(['clientStartup', 'startup a', 'startup b', 'results start', 'transport client'])
    expect(broker.isStarted).toBe(true)
  })

  it('is harmless when the broker is started already', async () => {
    const { broker, seen } = traced()

    await broker.startup()
    await broker.startup()

    expect(seen.length).toBe(5)
  })

  it('starts once when it is called twice at the same time, and each call waits for the start', async () => {
    const { broker, seen, transport } = traced()
    const task = broker.task('task', () => 1)

    await Promise.all([broker.startup().then(() => task.kiq()), broker.startup().then(() => task.kiq())])

    expect(seen.filter((line) => line === 'clientStartup').length).toBe(1)
    expect(transport.sent.length).toBe(2)
  })

  it('starts an in-memory broker once when it is called twice at the same time', async () => {
    const broker = inMemory()
    let startups = 0
    broker.on('workerStartup', async () => {
      await Promise.resolve()
      startups += 1
    })
    const task = broker.task('task', () => startups)

    const sent = await Promise.all([broker.startup().then(() => task.kiq()), broker.startup().then(() => task.kiq())])

    expect(await Promise.all(sent.map((one) => one.result()))).toEqual([1, 1])
  })

  it('tells the transport who it is, and the queue to declare', async () => {
    const { broker, transport } = fake({}, { queueName: 'mine' })

    await broker.startup()

    expect(transport.starts).toMatchObject([{ role: 'client', defaultQueue: 'mine', workerId: broker.workerId }])
  })

  it('fires client and worker events of an in-memory broker', async () => {
    const broker = inMemory()
    const seen: string[] = []
    for (const event of EVENTS) broker.on(event, () => void seen.push(event))

    await broker.startup()
    await broker.shutdown()

    expect(seen).toEqual(['clientStartup', 'workerStartup', 'clientShutdown', 'workerShutdown'])
  })

  it('awaits each handler before the next', async () => {
    const broker = inMemory()
    const seen: string[] = []
    broker.on('clientStartup', async () => {
      await new Promise(setImmediate)
      seen.push('first')
    })
    broker.on('clientStartup', () => void seen.push('second'))

    await broker.startup()

    expect(seen).toEqual(['first', 'second'])
  })

  it.each([
    ['a handler', 'handler', []],
    ['the second middleware', 'middleware', ['shutdown a', 'clientShutdown']],
    ['the result backend', 'results', ['shutdown a', 'shutdown b', 'clientShutdown']],
    ['the transport', 'transport', ['shutdown a', 'shutdown b', 'clientShutdown', 'transport stops', 'results stop']],
  ])('undoes what had started when %s fails, and can be called again', async (_what, failing, undone) => {
    const { broker, seen, transport, results } = traced()
    const error = new Error('not now')
    let fails = true
    const fail = (which: string): void => {
      if (which === failing && fails) throw error
    }
    if (failing === 'handler') broker.on('clientStartup', () => fail('handler'))
    const start = results.start.bind(results)
    results.start = async () => {
      fail('results')
      await start()
    }
    if (failing === 'transport') transport.fail('start', error)
    broker.withMiddlewares({ startup: () => fail('middleware') })

    await expect(broker.startup()).rejects.toBe(error)

    const after = seen.filter((line) => /shutdown|stop/i.test(line))
    expect(new Set(after)).toEqual(new Set(failing === 'middleware' ? [...undone, 'shutdown b'] : undone))
    expect(broker.isStarted).toBe(false)

    fails = false
    await broker.startup()
    expect(broker.isStarted).toBe(true)
  })
})

describe('broker.shutdown', () => {
  it('runs handlers, middlewares, transport and result backend', async () => {
    const { broker, seen } = traced()
    await broker.startup()
    seen.length = 0

    await broker.shutdown()

    expect(new Set(seen)).toEqual(
      new Set(['clientShutdown', 'shutdown a', 'shutdown b', 'transport stops', 'results stop']),
    )
    expect(seen[0]).toBe('clientShutdown')
    expect(seen.slice(-2)).toEqual(['transport stops', 'results stop'])
    expect(broker.isStarted).toBe(false)
  })

  it('is harmless before startup, twice, and twice at the same time', async () => {
    const { broker, seen } = traced()

    await broker.shutdown()
    await broker.startup()
    await broker.shutdown()
    await broker.shutdown()
    await broker.startup()
    await Promise.all([broker.shutdown(), broker.shutdown()])

    expect(seen.filter((line) => line === 'clientShutdown').length).toBe(2)
    expect(seen.filter((line) => line === 'transport stops').length).toBe(2)
  })

  it('runs every step also when some fail, and throws the first error', async () => {
    const { broker, seen, transport } = traced()
    const error = new Error('first')
    broker.on('clientShutdown', () => {
      throw error
    })
    broker.withMiddlewares({
      shutdown: () => {
        throw new Error('second')
      },
    })
    await broker.startup()
    seen.length = 0

    await expect(broker.shutdown()).rejects.toBe(error)

    expect(new Set(seen)).toEqual(
      new Set(['clientShutdown', 'shutdown a', 'shutdown b', 'transport stops', 'results stop']),
    )
    expect(broker.isStarted).toBe(false)
    expect(transport.stops).toBe(1)
  })

  it('lets handlers and middlewares still send', async () => {
    const { broker, transport } = fake()
    const task = broker.task('task', (from: string) => from)
    broker.on('clientShutdown', async () => void (await task.kiq('handler')))
    broker.withMiddlewares({ shutdown: async () => void (await task.kiq('middleware')) })
    await broker.startup()

    await broker.shutdown()

    expect(transport.sent.length).toBe(2)
  })

  it('is what `await using` does', async () => {
    const broker = inMemory()
    await broker.startup()

    await broker[Symbol.asyncDispose]()

    expect(broker.isStarted).toBe(false)
  })

  it('waits for what was sent to an in-memory broker', async () => {
    const broker = inMemory({ waitTasksTimeout: '5s' })
    const done: number[] = []
    const task = broker.task('task', async (n: number) => {
      await new Promise(setImmediate)
      done.push(n)
    })
    await broker.startup()
    await task.kiqMany([[1], [2], [3]])

    await broker.shutdown()

    expect(done).toEqual([1, 2, 3])
  })

  it('aborts what does not end in time', async () => {
    const broker = inMemory({ waitTasksTimeout: 20 })
    let reason: unknown
    const started = deferred()
    const task = broker.task('task', async () => {
      const { signal } = context()
      started.resolve()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      reason = signal.reason
    })
    await broker.startup()
    await task.kiq()
    await started.promise

    await broker.shutdown()

    expect(reason).toMatchObject({ code: 'KIQ_WORKER_STOPPED' })
  })
})

describe('startup and shutdown at the same time', () => {
  it.each([
    ['on a transport', () => fake().broker],
    ['in memory', () => inMemory()],
  ])('follow each other in the order of the calls: %s', async (_what, make) => {
    const broker = make()
    const seen: string[] = []
    broker.on('clientStartup', () => void seen.push('startup')).on('clientShutdown', () => void seen.push('shutdown'))
    await broker.startup()

    await Promise.all([broker.shutdown(), broker.startup()])

    expect(seen).toEqual(['startup', 'shutdown', 'startup'])
    expect(broker.isStarted).toBe(true)
  })

  it('in memory leave a broker that works', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => 1)
    await broker.startup()

    await Promise.all([broker.shutdown(), broker.startup()])

    expect(await (await task.kiq()).result({ timeout: '1s' })).toBe(1)
  })

  it('do not wait for each other for ever when a handler shuts down what it is starting', async () => {
    const { broker } = fake()
    broker.on('clientStartup', async () => {
      await Promise.race([broker.shutdown(), new Promise((resolve) => setTimeout(resolve, 100))])
      throw new Error('the settings are wrong')
    })

    await expect(broker.startup()).rejects.toThrow('the settings are wrong')
    await broker.shutdown()
  })
})

describe('broker.shutdown while a worker runs', () => {
  it('lets the worker be stopped afterwards', async () => {
    const { broker, work } = fake()
    const worker = await work()

    await broker.shutdown()
    await worker.stop()

    expect(broker.isStarted).toBe(false)
  })
})

describe('a broker after shutdown', () => {
  it('can be started again', async () => {
    const broker = inMemory()
    let startups = 0
    broker.on('workerStartup', () => void (startups += 1))
    const task = broker.task('task', (n: number) => n)

    for (const n of [1, 2, 3]) {
      await broker.startup()
      expect(await (await task.kiq(n)).result()).toBe(n)
      await broker.shutdown()
    }

    expect(startups).toBe(3)
  })

  it('keeps its state and its results', async () => {
    const broker = inMemory()
    broker.on('workerStartup', (state) => {
      state['starts'] = Number(state['starts'] ?? 0) + 1
    })
    const task = broker.task('task', () => context().state['starts'])
    await broker.startup()
    const sent = await task.kiq()
    await sent.result()

    await broker.shutdown()
    await broker.startup()

    expect(await sent.result({ timeout: 0 })).toBe(1)
    expect(await (await task.kiq()).result()).toBe(2)
  })
})

describe('broker.state', () => {
  it('is one per broker', async () => {
    const first = inMemory()
    const second = inMemory()
    first.state['name'] = 'first'

    expect(second.state).toEqual({})
  })

  it('is what handlers of every event get', async () => {
    const broker = inMemory()
    const states: unknown[] = []
    for (const event of EVENTS) broker.on(event, (state) => void states.push(state))

    await broker.startup()
    await broker.shutdown()

    expect(states.length).toBe(4)
    expect(states.every((state) => state === broker.state)).toBe(true)
  })
})

describe('a configuration', () => {
  it.each([
    ['withResultBackend', (broker: InMemoryBroker) => broker.withResultBackend({} as never)],
    ['withSerializer', (broker: InMemoryBroker) => broker.withSerializer({} as never)],
    ['withFormatter', (broker: InMemoryBroker) => broker.withFormatter({} as never)],
  ])('by %s is refused on a started broker', async (method, change) => {
    const broker = inMemory()
    await broker.startup()

    expect(() => change(broker)).toThrow(
      expect.objectContaining({
        code: 'KIQ_CONFIG_INVALID',
        message: expect.stringContaining(`${method}() was called on a started broker`) as string,
      }),
    )
  })

  it('returns the broker', () => {
    const broker = new InMemoryBroker()

    expect(
      broker
        .withLogger(silentLogger)
        .withIdGenerator(() => 'x')
        .withMiddlewares(),
    ).toBe(broker)
  })
})

describe('a worker on a broker that was started as client', () => {
  it('makes it a worker, with the handlers of both', async () => {
    const { broker, seen, work } = traced()
    await broker.startup()
    seen.length = 0

    const worker = await work()
    await worker.stop()
    await broker.shutdown()

    expect(seen.slice(0, 2)).toEqual(['workerStartup', 'transport worker'])
    expect(seen).toEqual(expect.arrayContaining(['workerShutdown', 'clientShutdown']))
  })

  it('can be started again after a handler failed', async () => {
    const { broker, transport } = fake()
    let attempts = 0
    broker.on('workerStartup', () => {
      attempts += 1
      if (attempts === 1) throw new Error('the model is not there yet')
    })
    await broker.startup()
    const worker = new Worker(broker)

    await expect(worker.start()).rejects.toThrow('the model is not there yet')
    await worker.start()
    await worker.stop()

    expect(attempts).toBe(2)
    expect(transport.starts.map(({ role }) => role)).toEqual(['client', 'worker'])
  })
})

describe('a worker on a broker that was not started', () => {
  it('starts it as worker, with the handlers of workers only', async () => {
    const { broker, seen, work } = traced()

    const worker = await work()
    await worker.stop()
    await broker.shutdown()

    expect(seen[0]).toBe('workerStartup')
    expect(seen).toContain('transport worker')
    expect(seen).not.toContain('clientStartup')
    expect(seen).not.toContain('transport client')
  })

  it('undoes what started when the transport fails', async () => {
    const { broker, seen, transport } = traced()
    transport.fail('start', new Error('refused'))

    await expect(new Worker(broker).start()).rejects.toThrow('refused')

    expect(seen).toEqual(expect.arrayContaining(['workerShutdown', 'shutdown a', 'shutdown b', 'results stop']))
    expect(broker.isStarted).toBe(false)
  })

  it('leaves the broker started when it stops', async () => {
    const { broker, transport, work } = fake()
    const task = broker.task('task', () => 1)
    const worker = await work()

    await worker.stop()
    await task.kiq()

    expect(broker.isStarted).toBe(true)
    expect(transport.sent.length).toBe(1)
  })
})
