import { setTimeout as delay } from 'node:timers/promises'

import { describe, expect, it, onTestFinished } from 'vitest'

import { MemoryResultBackend, MemoryTransport } from '../../src/adapters/memory/index.ts'
import { Broker, context, silentLogger, Worker } from '../../src/index.ts'
import type { WorkerOptions } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { fake, wire } from '../support/brokers.ts'
import { deferred, settled } from '../support/deferred.ts'
import { recordingLogger } from '../support/recording-logger.ts'

const soon = { timeoutMs: 2_000 }

/** A worker on a transport in memory, whose depths can be read. */
function inMemoryWorker(options: WorkerOptions = {}) {
  const results = new MemoryResultBackend()
  const transport = new MemoryTransport({ results })
  const broker = new Broker(transport, { resultBackend: results, logger: silentLogger })
  const worker = new Worker(broker, { abortGrace: 20, ...options })
  onTestFinished(async () => {
    await worker.stop({ running: 'abort' })
    await broker.shutdown()
  })
  const depth = async () => (await transport.inspect()).find(({ queue }) => queue === 'taskiq')
  return { broker, transport, worker, depth }
}

describe('new Worker', () => {
  it.each([
    ['concurrency', { concurrency: 0 }],
    ['concurrency', { concurrency: 1.5 }],
    ['prefetch', { prefetch: -1 }],
    ['maxTasks', { maxTasks: 0 }],
    ['maxDeliveries', { maxDeliveries: 0 }],
    ['waitTasksTimeout', { waitTasksTimeout: 'soon' }],
    ['shutdownTimeout', { shutdownTimeout: -1 }],
    ['abortGrace', { abortGrace: '5' }],
    ['queues', { queues: [] }],
    ['ack type', { ackType: 'later' as never }],
  ])('refuses a bad %s', (named, options) => {
    expect(() => new Worker(fake().broker, options)).toThrow(
      expect.objectContaining({ code: 'KIQ_CONFIG_INVALID', message: expect.stringContaining(named) as string }),
    )
  })

  it('takes from the queue of the broker and those its tasks name', () => {
    const { broker } = fake({}, { queueName: 'main' })
    broker.task('a', () => 1, { queue: 'low' })
    broker.task('b', () => 1, { queue: 'low' })
    broker.task('c', () => 1, { labels: { queue_name: 'high' } })

    expect(new Worker(broker).queues).toEqual(expect.arrayContaining(['main', 'low', 'high']))
    expect(new Worker(broker, { queues: ['only'] }).queues).toEqual(['only'])
  })
})

describe('worker.start', () => {
  it('asks the transport for as many deliveries as there are free slots', async () => {
    const { broker, transport, work } = fake()
    const gate = deferred()
    broker.task('task', () => gate.promise)
    await work({ concurrency: 3, prefetch: 2 })
    await until(() => transport.receives.length === 1, soon)

    transport.deliver(wire('task'))
    await until(() => transport.receives.length === 2, soon)
    for (let i = 0; i < 3; i += 1) transport.deliver(wire('task'))
    await until(() => transport.receives.length >= 3, soon)

    expect(transport.receives.map(({ max }) => max).slice(0, 2)).toEqual([5, 4])
    gate.resolve()
  })

  it('takes no more than its slots', async () => {
    const { broker, transport, work } = fake()
    const gate = deferred()
    broker.task('task', () => gate.promise)
    const worker = await work({ concurrency: 2 })
    for (let i = 0; i < 5; i += 1) transport.deliver(wire('task'))
    await until(() => worker.running === 2, soon)
    await settled()

    expect(transport.waiting.length).toBe(3)
    gate.resolve()
    await until(() => worker.processed === 5, soon)
  })

  it('runs what is prefetched as soon as a slot is free, in order', async () => {
    const { broker, transport, work } = fake()
    const gates = [deferred(), deferred(), deferred()]
    const started: number[] = []
    broker.task('task', async (n: number) => {
      started.push(n)
      await gates[n]?.promise
    })
    await work({ concurrency: 1, prefetch: 5 })
    for (const n of [0, 1, 2]) transport.deliver(wire('task', { args: [n] }))
    await until(() => transport.waiting.length === 0 && started.length === 1, soon)

    for (const [n, gate] of gates.entries()) {
      expect(started.length).toBe(n + 1)
      gate.resolve()
      if (n < 2) await until(() => started.length === n + 2, soon)
    }

    expect(started).toEqual([0, 1, 2])
  })

  it('knows how much runs, how much ended and when the transport last answered', async () => {
    const { broker, transport, work } = fake()
    const gate = deferred()
    broker.task('task', () => gate.promise)
    const worker = await work()

    expect([worker.running, worker.processed, worker.lastFetchAt]).toEqual([0, 0, undefined])
    transport.deliver(wire('task'))
    await until(() => worker.running === 1, soon)
    gate.resolve()
    await until(() => worker.processed === 1, soon)

    expect(worker.running).toBe(0)
    expect(worker.lastFetchAt).toBeGreaterThan(Date.now() - 60_000)
  })

  it('is harmless when it runs already', async () => {
    const { transport, work } = fake()
    const worker = await work()

    await worker.start()

    expect(transport.starts.length).toBe(1)
  })
})

describe('a transport that cannot receive', () => {
  it('is asked again with growing intervals; the worker goes on', async () => {
    const logger = recordingLogger()
    const { broker, transport, work } = fake({}, { logger })
    const times: number[] = []
    const receive = transport.receive.bind(transport)
    transport.receive = async (options) => {
      times.push(performance.now())
      return await receive(options)
    }
    transport.fail('receive', new Error('connection lost'), 3)
    broker.task('task', () => 1)
    const worker = await work()

    transport.deliver(wire('task'))
    await until(() => worker.processed === 1, { timeoutMs: 5_000 })

    const waits = times.slice(1, 4).map((time, i) => time - (times[i] ?? 0))
    // Half of 100, 200 and 400 ms at least; the other half is random.
    expect(waits.map((wait, i) => wait >= 48 * 2 ** i)).toEqual([true, true, true])
    expect(logger.lines.map(({ level, message }) => `${level}: ${message}`)).toEqual([
      'error: Cannot receive; trying again.',
      'info: The transport answers again.',
    ])
  })

  it('does not keep the worker from stopping at once', async () => {
    const { transport, work } = fake()
    transport.fail('receive', new Error('connection lost'), 1_000)
    const worker = await work()
    await until(() => transport.receives.length >= 3, soon)
    const startedAt = performance.now()

    await worker.stop()

    expect(performance.now() - startedAt).toBeLessThan(200)
  })

  it('does not touch the tasks that run', async () => {
    const { broker, transport, results, work } = fake()
    const gate = deferred()
    broker.task('task', () => gate.promise)
    const worker = await work()
    transport.deliver(wire('task'))
    await until(() => worker.running === 1, soon)

    transport.fail('receive', new Error('connection lost'), 3)
    await settled()
    gate.resolve()
    await until(() => worker.processed === 1, soon)

    expect(results.stored('id')).toMatchObject({ is_err: false })
  })
})

describe('worker.stop', () => {
  it('lets running tasks finish, and stores what they return', async () => {
    const { broker, transport, results, work } = fake()
    const gate = deferred<string>()
    broker.task('task', () => gate.promise)
    const worker = await work()
    transport.deliver(wire('task'))
    await until(() => worker.running === 1, soon)
    let stopped = false
    const stopping = worker.stop().then(() => (stopped = true))

    await settled()
    expect(stopped).toBe(false)
    gate.resolve('finished')
    await stopping

    expect(results.stored('id')).toMatchObject({ return_value: 'finished' })
    expect(transport.settled).toEqual(['ack id'])
  })

  it('takes nothing more', async () => {
    const { broker, transport, work } = fake()
    const ran: string[] = []
    broker.task('task', () => void ran.push('ran'))
    const worker = await work()

    await worker.stop()
    transport.deliver(wire('task'))
    await settled()

    expect(ran).toEqual([])
    expect(transport.waiting.length).toBe(1)
  })

  it('hands back what was prefetched at once, while others still run', async () => {
    const { broker, worker, depth } = inMemoryWorker({ concurrency: 1, prefetch: 5 })
    const gate = deferred()
    const started: number[] = []
    const task = broker.task('task', async (n: number) => {
      started.push(n)
      await gate.promise
    })
    await worker.start()
    await task.kiqMany([[1], [2], [3], [4]])
    await until(async () => (await depth())?.running === 4, soon)

    const stopping = worker.stop()
    await until(async () => (await depth())?.ready === 3, soon)
    gate.resolve()
    await stopping

    expect(started).toEqual([1])
    expect(await depth()).toMatchObject({ ready: 3, running: 0 })
  })

  it('hands back in the order in which they came, without counting an attempt', async () => {
    const { broker, transport, work } = fake()
    const gate = deferred()
    broker.task('task', () => gate.promise)
    const worker = await work({ concurrency: 1, prefetch: 5 })
    for (const id of ['a', 'b', 'c']) transport.deliver(wire('task', { task_id: id }))
    await until(() => transport.waiting.length === 0 && worker.running === 1, soon)

    const stopping = worker.stop()
    await until(() => transport.settled.length === 2, soon)
    gate.resolve()
    await stopping

    expect(transport.settled).toEqual(['release b', 'release c', 'ack a'])
  })

  it('hands back what arrives with the stop', async () => {
    const { broker, transport, work } = fake()
    const ran: string[] = []
    broker.task('task', () => void ran.push('ran'))
    const worker = await work()
    await until(() => transport.receives.length === 1, soon)
    const late = { body: wire('task'), queue: 'taskiq', attempt: 1 }
    const { signal } = transport.receives[0] ?? {}
    // As a transport that had an answer under way.
    signal?.addEventListener('abort', () => transport.waiting.push(late))

    await worker.stop()

    expect(ran).toEqual([])
    expect(transport.settled).toEqual(['release id'])
  })

  it('aborts at the deadline; a task that ends by it is handed back, not failed', async () => {
    const { broker, transport, results, work } = fake()
    let reason: unknown
    const hooks: string[] = []
    broker.withMiddlewares({ onError: () => void hooks.push('onError'), postSave: () => void hooks.push('postSave') })
    broker.task('task', async () => {
      const { signal } = context()
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason
          reject(new Error('stopped in the middle'))
        })
      })
    })
    const worker = await work({ waitTasksTimeout: 30 })
    transport.deliver(wire('task'))
    await until(() => worker.running === 1, soon)

    await worker.stop()

    expect(reason).toMatchObject({ code: 'KIQ_WORKER_STOPPED' })
    expect(transport.settled).toEqual(['release id'])
    expect(results.saved).toEqual([])
    expect(hooks).toEqual([])
  })

  it('hands back a task that ignores the signal, after the grace period', async () => {
    const { broker, transport, results, work } = fake()
    const gate = deferred()
    broker.task('deaf', () => gate.promise)
    const worker = await work({ waitTasksTimeout: 20, abortGrace: 20 })
    transport.deliver(wire('deaf'))
    await until(() => worker.running === 1, soon)

    await worker.stop()

    expect(transport.settled).toEqual(['release id'])
    expect(results.saved).toEqual([])
    gate.resolve()
  })

  it('takes a task that succeeds in spite of the signal for a success', async () => {
    const { broker, transport, results, work } = fake()
    broker.task('task', async () => {
      const { signal } = context()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      return 'saved my work'
    })
    const worker = await work({ waitTasksTimeout: 20 })
    transport.deliver(wire('task'))
    await until(() => worker.running === 1, soon)

    await worker.stop()

    expect(transport.settled).toEqual(['ack id'])
    expect(results.stored('id')).toMatchObject({ return_value: 'saved my work' })
  })

  it('stores a failure for a task that was acknowledged and cannot be handed back', async () => {
    const { broker, transport, results, work } = fake()
    const gate = deferred()
    broker.task('deaf', () => gate.promise)
    const worker = await work({ ackType: 'when_received', waitTasksTimeout: 20, abortGrace: 20 })
    transport.deliver(wire('deaf'))
    await until(() => worker.running === 1, soon)

    await worker.stop()

    expect(transport.settled).toEqual(['ack id'])
    expect(results.stored('id')).toMatchObject({ is_err: true, error: { code: 'KIQ_WORKER_STOPPED' } })
    gate.resolve()
  })

  it('aborts at once when it is told to, also while an earlier stop waits', async () => {
    const { broker, transport, work } = fake()
    broker.task('task', async () => {
      const { signal } = context()
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    })
    const worker = await work({ waitTasksTimeout: '1h' })
    transport.deliver(wire('task'))
    await until(() => worker.running === 1, soon)
    const first = worker.stop()
    await settled()

    await worker.stop({ running: 'abort' })
    await first

    expect(transport.settled).toEqual(['release id'])
  })

  it('is harmless twice, twice at the same time, and before the start', async () => {
    const { broker, work } = fake()
    await new Worker(broker).stop()
    const worker = await work()

    await Promise.all([worker.stop(), worker.stop()])
    await worker.stop()
  })

  it('gives up handing back when the transport does not answer in time', async () => {
    const { broker, transport, work } = fake()
    const gate = deferred()
    broker.task('task', () => gate.promise)
    const worker = await work({ concurrency: 1, prefetch: 5, shutdownTimeout: 30, waitTasksTimeout: 10 })
    for (const id of ['a', 'b']) transport.deliver(wire('task', { task_id: id }))
    await until(() => worker.running === 1 && transport.waiting.length === 0, soon)
    transport.fail('settle', new Error('down'), 1_000)
    const startedAt = performance.now()

    await worker.stop()

    expect(performance.now() - startedAt).toBeLessThan(2_000)
    gate.resolve()
  })

  it('ends also when the transport hangs', async () => {
    const { broker, transport, work } = fake()
    broker.task('task', () => 1)
    const worker = await work({ shutdownTimeout: 30, waitTasksTimeout: 10 })
    transport.next.settle.push({ instead: () => new Promise(() => {}) })
    transport.deliver(wire('task'))
    await until(() => worker.running === 1, soon)
    await settled()

    await Promise.race([
      worker.stop(),
      delay(4_000).then(() => {
        throw new Error('stop() hangs')
      }),
    ])
  })
})

describe('a worker with maxTasks', () => {
  it('ends by itself after so many, and leaves the others on the queue', async () => {
    const { broker, transport, worker, depth } = inMemoryWorker({ maxTasks: 3, concurrency: 2, prefetch: 10 })
    const ran: number[] = []
    const task = broker.task('task', (n: number) => void ran.push(n))
    await broker.startup()
    await task.kiqMany([[1], [2], [3], [4], [5]])

    expect(await worker.run()).toBe('max-tasks')

    expect(ran).toEqual([1, 2, 3])
    expect(worker.processed).toBe(3)
    expect(await depth()).toMatchObject({ ready: 2, running: 0 })
    expect(transport.name).toBe('memory')
  })

  it('runs what it took before it ends', async () => {
    const { broker, worker } = inMemoryWorker({ maxTasks: 4, concurrency: 1, prefetch: 10 })
    const ran: number[] = []
    const task = broker.task('task', async (n: number) => {
      await settled(2)
      ran.push(n)
    })
    await broker.startup()
    await task.kiqMany([[1], [2], [3], [4], [5]])

    await worker.run()

    expect(ran).toEqual([1, 2, 3, 4])
  })

  it('hands back what it has not begun when it is stopped meanwhile', async () => {
    const { broker, worker, depth } = inMemoryWorker({ maxTasks: 3, concurrency: 1, prefetch: 10 })
    const gate = deferred()
    const ran: number[] = []
    const task = broker.task('task', async (n: number) => {
      ran.push(n)
      await gate.promise
    })
    await worker.start()
    await task.kiqMany([[1], [2], [3]])
    await until(async () => (await depth())?.running === 3, soon)

    const stopping = worker.stop()
    gate.resolve()
    await stopping

    expect(ran).toEqual([1])
    expect(await depth()).toMatchObject({ ready: 2, running: 0 })
  })

  it('begins none of those it took after it aborted the ones that run', async () => {
    const { broker, transport, work } = fake()
    const ran: string[] = []
    broker.task('task', async () => {
      ran.push(context().taskId)
      const { signal } = context()
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    })
    const worker = await work({ maxTasks: 3, concurrency: 1, prefetch: 10, waitTasksTimeout: 20 })
    for (const id of ['a', 'b', 'c']) transport.deliver(wire('task', { task_id: id }))
    await until(() => worker.running === 1, soon)

    await worker.stop({ running: 'abort' })

    expect(ran).toEqual(['a'])
    expect([...transport.settled].sort()).toEqual(['release a', 'release b', 'release c'])
  })
})

describe('worker.run', () => {
  it('ends with the signal', async () => {
    const { broker, worker } = inMemoryWorker()
    const stop = new AbortController()
    const task = broker.task('task', () => 1)
    const running = worker.run({ signal: stop.signal })
    await until(() => broker.isStarted, soon)
    await (await task.kiq()).result()

    stop.abort()

    expect(await running).toBe('stopped')
  })

  it('does not start when the signal aborted before', async () => {
    const { worker, broker } = inMemoryWorker()

    expect(await worker.run({ signal: AbortSignal.abort() })).toBe('stopped')
    expect(broker.isStarted).toBe(false)
  })

  it('ends with stop()', async () => {
    const { worker, broker } = inMemoryWorker()
    const running = worker.run()
    await until(() => broker.isStarted, soon)

    await worker.stop()

    expect(await running).toBe('stopped')
  })
})

describe('two workers on one broker', () => {
  it('share the work', async () => {
    const { broker, worker } = inMemoryWorker({ concurrency: 1 })
    const second = new Worker(broker, { concurrency: 1 })
    const gate = deferred()
    let running = 0
    const task = broker.task('task', async () => {
      running += 1
      await gate.promise
    })
    await worker.start()
    await second.start()
    await task.kiqMany([[], []])

    await until(() => running === 2, soon)
    gate.resolve()
    await second.stop()
  })

  it('are both reached by a cancel', async () => {
    const { broker, worker } = inMemoryWorker({ concurrency: 1 })
    const second = new Worker(broker, { concurrency: 1, abortGrace: 20 })
    onTestFinished(() => second.stop({ running: 'abort' }))
    const task = broker.task('task', async () => {
      const { signal } = context()
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    })
    await worker.start()
    await second.start()
    const sent = await task.kiqMany([[], []])
    await until(() => worker.running + second.running === 2, soon)

    await Promise.all(sent.map((one) => one.cancel()))

    for (const one of sent) {
      await expect(one.result({ timeout: '1s' })).rejects.toMatchObject({ code: 'KIQ_TASK_CANCELLED' })
    }
  })
})
