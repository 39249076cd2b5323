import { describe, expect, it, onTestFinished } from 'vitest'

import { MemoryResultBackend, MemoryTransport } from '../../src/adapters/memory/index.ts'
import { Broker, context, silentLogger, SimpleRetryMiddleware, Worker } from '../../src/index.ts'
import type { WorkerOptions } from '../../src/index.ts'
import { ResultError } from '../../src/contract/index.ts'
import { until } from '../../src/testing/until.ts'
import { errorOf, fake, inMemory } from '../support/brokers.ts'
import { deferred, settled } from '../support/deferred.ts'
import { recordingLogger } from '../support/recording-logger.ts'

/** A worker with a short grace period on a transport in memory. */
function setup(options: WorkerOptions = {}) {
  const results = new MemoryResultBackend()
  const logger = recordingLogger()
  const broker = new Broker(new MemoryTransport({ results }), { resultBackend: results, logger })
  const worker = new Worker(broker, { abortGrace: 30, ...options })
  onTestFinished(async () => {
    await worker.stop({ running: 'abort' })
    await broker.shutdown()
  })
  return { broker, worker, logger }
}

/** Ends when the signal of the task aborts, with its reason. */
const untilAborted = async (): Promise<never> => {
  const { signal } = context()
  return await new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })
}

const timedOut = { code: 'KIQ_TASK_TIMED_OUT', name: 'TimeoutError' }

describe('a timeout', () => {
  it('aborts the signal of the task; the outcome is KIQ_TASK_TIMED_OUT', async () => {
    const broker = inMemory()
    const task = broker.task('slow', untilAborted, { timeout: 30 })
    await broker.startup()

    const sent = await task.kiq()

    await expect(sent.result()).rejects.toMatchObject({
      code: 'KIQ_TASK_TIMED_OUT',
      failure: { ...timedOut, message: 'Task "slow" ran longer than its timeout of 0.03 s and was stopped.' },
    })
  })

  it('is the outcome also when the task throws something else, or returns, on the signal', async () => {
    const broker = inMemory()
    const throwing = broker.task('throwing', () => untilAborted().catch(() => { throw new RangeError('mine') }), { timeout: 20 }) // prettier-ignore
    const returning = broker.task('returning', () => untilAborted().catch(() => 'fine'), { timeout: 20 })
    await broker.startup()

    expect(errorOf(await (await throwing.kiq()).waitResult())).toMatchObject(timedOut)
    expect(errorOf(await (await returning.kiq()).waitResult())).toMatchObject(timedOut)
  })

  it('frees the slot of a task that ignores its signal, after the grace period', async () => {
    const { broker, worker, logger } = setup({ concurrency: 1 })
    const gate = deferred()
    const deaf = broker.task('deaf', () => gate.promise, { timeout: 20 })
    const next = broker.task('next', () => 'ran')
    await worker.start()
    const startedAt = performance.now()

    const sent = await deaf.kiq()
    const other = await next.kiq()

    expect(errorOf(await sent.waitResult({ timeout: '5s' }))).toMatchObject(timedOut)
    expect(await other.result({ timeout: '5s' })).toBe('ran')
    expect(performance.now() - startedAt).toBeGreaterThan(45)
    expect(logger.lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        fields: expect.objectContaining({ taskName: 'deaf', reason: 'KIQ_TASK_TIMED_OUT' }) as object,
      }),
    )
    gate.resolve()
  })

  it('is not changed by what a task does after its slot was given away', async () => {
    const { broker, worker } = setup()
    const gate = deferred<string>()
    const deaf = broker.task('deaf', () => gate.promise, { timeout: 10 })
    await worker.start()
    const sent = await deaf.kiq()
    await sent.waitResult()

    gate.resolve('too late')
    await settled()

    expect(errorOf(await sent.waitResult({ timeout: 0 }))).toMatchObject(timedOut)
  })

  it.each([
    ['a number of seconds', 0.03],
    ['text, as schedules of Python have it', '0.03'],
  ])('is also said by the label of a call: %s', async (_what, timeout) => {
    const broker = inMemory()
    const task = broker.task('slow', untilAborted)
    await broker.startup()

    const sent = await task.kicker().withLabels({ timeout }).kiq()

    expect(errorOf(await sent.waitResult({ timeout: '5s' })).message).toContain('its timeout of 0.03 s')
  })

  it('of a call wins over that of the task', async () => {
    const broker = inMemory()
    const task = broker.task('slow', untilAborted, { timeout: '1h' })
    await broker.startup()

    expect(errorOf(await (await task.kicker().withTimeout(20).kiq()).waitResult({ timeout: '5s' }))).toMatchObject(
      timedOut,
    )
  })

  it('of the task holds also when another producer does not send it', async () => {
    const broker = inMemory()
    broker.task('slow', untilAborted, { timeout: 20 })
    await broker.startup()

    expect(errorOf(await (await broker.externalTask('slow').kiq()).waitResult({ timeout: '5s' }))).toMatchObject(
      timedOut,
    )
  })

  it.each([
    ['is no number', 'soon'],
    ['is negative', -1],
    ['is nothing', 0],
    ['is the text None', 'None'],
  ])('by a label that %s is a failure that names the label', async (_what, timeout) => {
    const broker = inMemory()
    const task = broker.task('task', () => 1)
    await broker.startup()

    const result = await (await task.kicker().withLabels({ timeout }).kiq()).waitResult({ timeout: '5s' })

    expect(errorOf(result)).toMatchObject({ code: 'KIQ_LABEL_INVALID' })
    expect(errorOf(result).message).toContain('Label "timeout"')
  })

  it('does not touch a task that ends in time', async () => {
    const broker = inMemory()
    const signals: AbortSignal[] = []
    const task = broker.task(
      'quick',
      async () => {
        signals.push(context().signal)
        return 1
      },
      { timeout: 20 },
    )
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 40))
    expect(signals[0]?.aborted).toBe(false)
  })

  it('may be longer than a timer can be', async () => {
    const broker = inMemory()
    const task = broker.task(
      'task',
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        return context().signal.aborted
      },
      { timeout: '60d' },
    )
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(false)
  })

  it('covers the check of the arguments', async () => {
    const { broker, worker } = setup()
    const input = {
      '~standard': { version: 1 as const, vendor: 'test', validate: () => new Promise<never>(() => {}) },
    }
    broker.task('task', () => 1, { timeout: 20, input })
    await worker.start()

    const sent = await broker.externalTask('task').kiq()

    expect(errorOf(await sent.waitResult({ timeout: '1s' }))).toMatchObject(timedOut)
  })
})

const cancelled = { code: 'KIQ_TASK_CANCELLED' }

describe('sent.cancel', () => {
  it('takes a queued task from its queue; its result says so', async () => {
    const broker = inMemory({ maxAsyncTasks: 1 })
    const ran: string[] = []
    const gate = deferred()
    const blocker = broker.task('blocker', () => gate.promise)
    const task = broker.task('task', () => void ran.push('ran'))
    await broker.startup()
    await blocker.kiq()
    await settled()
    const sent = await task.kiq()

    expect(await sent.cancel()).toBe(true)

    await expect(sent.result({ timeout: '2s' })).rejects.toMatchObject(cancelled)
    gate.resolve()
    await broker.waitAll()
    expect(ran).toEqual([])
  })

  it('takes a delayed task from its queue', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => 1)
    await broker.startup()
    const sent = await task.kicker().withDelay('1h').kiq()

    expect(await sent.cancel()).toBe(true)
    await expect(sent.result({ timeout: '2s' })).rejects.toMatchObject(cancelled)
  })

  it('aborts the signal of a running task', async () => {
    const broker = inMemory()
    const started = deferred()
    let reason: unknown
    const task = broker.task('task', async () => {
      started.resolve()
      await untilAborted().catch((error: unknown) => (reason = error))
    })
    await broker.startup()
    const sent = await task.kiq()
    await started.promise

    expect(await sent.cancel()).toBe(true)

    await expect(sent.result({ timeout: '2s' })).rejects.toMatchObject(cancelled)
    expect(reason).toMatchObject(cancelled)
  })

  it('frees the slot of a running task that ignores its signal', async () => {
    const { broker, worker } = setup({ concurrency: 1 })
    const gate = deferred()
    const started = deferred()
    const deaf = broker.task('deaf', () => {
      started.resolve()
      return gate.promise
    })
    const next = broker.task('next', () => 'ran')
    await worker.start()
    const sent = await deaf.kiq()
    await started.promise

    expect(await sent.cancel()).toBe(true)

    await expect(sent.result({ timeout: '2s' })).rejects.toMatchObject(cancelled)
    expect(await (await next.kiq()).result({ timeout: '2s' })).toBe('ran')
    gate.resolve()
  })

  it('reaches a task whose preExecute hooks still run', async () => {
    const { broker, worker } = setup()
    const gate = deferred()
    const entered = deferred()
    broker.withMiddlewares({
      preExecute: async (message) => {
        entered.resolve()
        await gate.promise
        return message
      },
    })
    const task = broker.task('task', untilAborted)
    await worker.start()
    const sent = await task.kiq()
    await entered.promise

    expect(await sent.cancel()).toBe(true)
    gate.resolve()

    await expect(sent.result({ timeout: '1s' })).rejects.toMatchObject(cancelled)
  })

  it('reaches a task that was prefetched and waits for a slot', async () => {
    const { broker, worker } = setup({ concurrency: 1, prefetch: 5 })
    const gate = deferred()
    const ran: string[] = []
    const blocker = broker.task('blocker', () => gate.promise)
    const task = broker.task('task', () => void ran.push('ran'))
    await worker.start()
    await blocker.kiq()
    const sent = await task.kiq()
    await until(async () => (await broker.transport.inspect?.())?.[0]?.running === 2, { timeoutMs: 2_000 })

    expect(await sent.cancel()).toBe(true)
    gate.resolve()

    await expect(sent.result({ timeout: '1s' })).rejects.toMatchObject(cancelled)
    expect(ran).toEqual([])
  })

  it('touches only that task', async () => {
    const broker = inMemory()
    const gate = deferred()
    const task = broker.task('task', async (n: number) => {
      await Promise.race([gate.promise, untilAborted()])
      return n
    })
    await broker.startup()
    const [first, second] = await task.kiqMany([[1], [2]])
    await settled()

    await first?.cancel()
    gate.resolve()

    await expect(first?.result()).rejects.toMatchObject(cancelled)
    expect(await second?.result()).toBe(2)
  })

  it('is not followed by a retry', async () => {
    const broker = inMemory()
    broker.withMiddlewares(new SimpleRetryMiddleware({ defaultRetryLabel: true }))
    let executions = 0
    const started = deferred()
    const task = broker.task('task', async () => {
      executions += 1
      started.resolve()
      await untilAborted()
    })
    await broker.startup()
    const sent = await task.kiq()
    await started.promise

    await sent.cancel()

    await expect(sent.result({ timeout: '2s' })).rejects.toMatchObject(cancelled)
    expect(executions).toBe(1)
  })

  it('stores the outcome of a task it took from its queue also when the first save fails', async () => {
    const { broker, transport, results } = fake({ capabilities: { cancels: true } })
    Object.assign(transport, { cancel: async () => 'removed' })
    await broker.startup()
    results.fail('save', new ResultError('KIQ_RESULT_BACKEND_FAILED', 'down for a moment'))

    await broker.sentTask('mine').cancel()

    expect(results.stored('mine')).toMatchObject({ is_err: true, error: { code: 'KIQ_TASK_CANCELLED' } })
  })

  it('is false for a task that has ended, or never was', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => 1)
    await broker.startup()
    const sent = await task.kiq()
    await sent.result()

    expect(await sent.cancel()).toBe(false)
    expect(await broker.sentTask('never').cancel()).toBe(false)
    expect(await sent.result()).toBe(1)
  })

  it('is refused with KIQ_UNSUPPORTED by a transport that cannot', async () => {
    const { broker } = fake()
    const task = broker.task('task', () => 1)
    await broker.startup()

    await expect((await task.kiq()).cancel()).rejects.toMatchObject({
      code: 'KIQ_UNSUPPORTED',
      message: expect.stringContaining('"fake" cannot cancel') as string,
    })
  })

  it('is refused before startup', async () => {
    const broker = new Broker(new MemoryTransport(), { logger: silentLogger })

    await expect(broker.cancel('id')).rejects.toMatchObject({ code: 'KIQ_BROKER_NOT_STARTED' })
  })
})
