import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { inspect } from 'node:util'

import { describe, expect, it } from 'vitest'

import type { RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import { context, SimpleRetryMiddleware, SmartRetryMiddleware } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import type { BrokerSettings, Kit } from './kit.ts'
import { failureOf, interop, SOON, WAIT } from './kit.ts'

const LABELS = {
  labels: { int: '5', float: '2.5', yes: 'True', text: 'é', raw: 1.5 },
  labels_types: { int: 2, float: 4, yes: 5, text: 3, queue_name: 3 },
}

interop('requeues', (kit) => {
  /** Puts a message on a queue that belongs on another one. */
  const misplace = async (queue: string, belongsOn: string, change: object): Promise<string> => {
    const labels = { ...LABELS.labels, queue_name: belongsOn }
    const message = { ...LABELS, task_id: randomUUID(), labels, args: [], kwargs: {}, ...change }
    await kit.command('XADD', queue, '*', 'data', JSON.stringify(message))
    return message.task_id
  }

  it('of Python go to Kiq as they are', async () => {
    const [python, queue] = [kit.queue(), kit.queue()]
    const broker = await kit.broker({ queue })
    broker.task('both:requeue', () => inspect({ attempt: context().attempt, ...context().labels }))
    await kit.work(broker)
    await kit.python({ queue: python })

    const id = await misplace(python, queue, { task_name: 'both:requeue' })

    const seen = { attempt: 2, int: 5, float: 2.5, yes: true, text: 'é', raw: 1.5, queue_name: queue }
    expect(await broker.sentTask(id).result(WAIT)).toBe(inspect({ ...seen, 'X-Taskiq-requeue': '1' }))
    expect(await kit.runs(id)).toEqual(['python'])
  })

  // It writes bytes as text, and leaves them the type of Base64. Its own workers read that no better.
  it('of Python with bytes in labels are dead letters', async () => {
    const [python, queue] = [kit.queue(), kit.queue()]
    const broker = await kit.broker({ queue })
    broker.task('both:requeue', () => 'ok')
    await kit.work(broker)
    await kit.python({ queue: python })

    const labels = { bytes: Buffer.from('hello').toString('base64'), queue_name: queue }
    await misplace(python, queue, { task_name: 'both:requeue', labels, labels_types: { bytes: 6 } })

    const letter = await until(async () => (await broker.transport.deadLetters?.list({ queue }))?.[0], SOON)
    expect(letter.reason).toContain('Label "bytes"')
  })

  it('of Kiq go to Python as they are', async () => {
    const [queue, python] = [kit.queue(), kit.queue()]
    const broker = await kit.broker({ queue })
    broker.task('py:labels', () => context().requeue())
    await kit.work(broker)
    await kit.python({ queue: python })

    const id = await misplace(queue, python, { task_name: 'py:labels' })

    const seen = `'int': 5, 'float': 2.5, 'yes': True, 'text': 'é', 'raw': 1.5, 'queue_name': '${python}'`
    expect(await broker.sentTask(id).result(WAIT)).toBe(`{${seen}, 'X-Taskiq-requeue': '1'}`)
  })
})

interop('retries', (kit) => {
  describe('by Python', () => {
    it('run a task that Kiq sent as often as its labels say', async () => {
      const queue = kit.queue()
      await kit.python({ queue, retries: true })
      const broker = await kit.broker({ queue })
      const fail = broker.externalTask('both:fail')
      const retried = { retry_on_error: true }

      const [none, few, many] = await Promise.all([
        fail.kiq(),
        fail.kicker().withLabels(retried).kiq(),
        fail
          .kicker()
          .withLabels({ ...retried, max_retries: 5 })
          .kiq(),
      ])

      const results = await Promise.all([none, few, many].map((sent) => sent.waitResult(WAIT)))
      expect(results.map((result) => failureOf(result).args)).toEqual([
        ['python', null],
        ['python', 2],
        ['python', 4],
      ])
      expect(results[2]?.labels).toEqual({ ...retried, max_retries: 5, _retries: 4 })
      const runs = await Promise.all([none, few, many].map(({ taskId }) => kit.runs(taskId)))
      expect(runs.map(({ length }) => length)).toEqual([1, 3, 5])
    })

    it('are not seen by those who wait for a task that succeeds in the end', async () => {
      const queue = kit.queue()
      await kit.python({ queue, retries: true })
      const broker = await kit.broker({ queue })
      const twice = broker.externalTask('both:twice', { labels: { retry_on_error: true } })

      const sent = await twice.kiq()

      expect(await sent.result(WAIT)).toBe('python')
      expect(await kit.runs(sent.taskId)).toEqual(['python', 'python'])
    })
  })

  describe('by Kiq', () => {
    it.each([
      ["{'retry_on_error': True, 'max_retries': 4}", 4],
      ["{'retry_on_error': 'true', 'max_retries': '2'}", 2],
      ["{'retry_on_error': True}", 3],
      ["{'retry_on_error': False, 'max_retries': 4}", 1],
      ['{}', 1],
    ])('run a task that Python sent with %s %i times', async (labels, count) => {
      const queue = kit.queue()
      const broker = await serve(kit, { queue })
      broker.withMiddlewares(new SimpleRetryMiddleware())
      await kit.work(broker)

      const [outcome] = await kit.call({ queue }, [{ task: 'both:fail', call: '()', labels }])

      expect(outcome).toMatchObject({ isErr: true, error: { type: 'taskiq.exceptions.RangeError', args: "('kiq',)" } })
      expect(await kit.runs(outcome?.taskId ?? '')).toHaveLength(count)
      if (count > 1) expect(outcome?.labels).toContain(`'_retries': ${count - 1}`)
      expect(await kit.depth(queue)).toEqual({ length: 0, pending: 0 })
    })

    it.each([
      { task: 'both:fail', isErr: true, runs: 3 },
      { task: 'both:twice', isErr: false, runs: 2 },
      { task: 'ts:requeue', isErr: false, runs: 2 },
    ])('leave the result of $task as Python reads it by default', async ({ task, isErr, runs }) => {
      const queue = kit.queue()
      const broker = await serve(kit, { queue, results: 'auto' })
      broker.withMiddlewares(new SimpleRetryMiddleware())
      await kit.work(broker)

      const [outcome] = await kit.call({ queue, results: 'default' }, [
        { task, call: '()', labels: "{'retry_on_error': True}" },
      ])

      expect(await kit.runs(outcome?.taskId ?? '')).toHaveLength(runs)
      expect(outcome?.failed).toBeUndefined()
      expect(outcome?.isErr).toBe(isErr)
    })

    it.each([
      ["{'retry_on_error': True}", 300],
      ["{'retry_on_error': True, 'retry_delay': 0.5}", 500],
    ])('wait before the next run of a task that Python sent with %s', async (labels, delayMs) => {
      const queue = kit.queue()
      const broker = await serve(kit, { queue })
      broker.withMiddlewares(new SmartRetryMiddleware({ defaultDelay: 300 }))
      const startedAt: number[] = []
      broker.task('ts:times', () => {
        startedAt.push(Date.now())
        if (startedAt.length < 3) throw new Error('not yet')
        return startedAt.length
      })
      await kit.work(broker)

      const [outcome] = await kit.call({ queue }, [{ task: 'ts:times', call: '()', labels }])

      expect(outcome?.value).toBe('3')
      const waits = startedAt.slice(1).map((at, i) => at - (startedAt[i] ?? 0))
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(delayMs - 1)
      expect(await kit.depth(queue)).toEqual({ length: 0, pending: 0 })
    })
  })

  describe('in both languages', () => {
    it('go on in Python where a worker of Kiq has ended', async () => {
      const queue = kit.queue()
      const broker = await serve(kit, { queue })
      broker.withMiddlewares(new SimpleRetryMiddleware())
      const [id = ''] = await kit.send({ queue }, [
        { task: 'both:fail', call: '()', labels: "{'retry_on_error': True, 'max_retries': 4}" },
      ])
      const worker = await kit.work(broker, { maxTasks: 2 })
      await until(() => worker.processed === 2, SOON)
      await worker.stop()

      await kit.python({ queue, retries: true })

      const result = await broker.sentTask(id).waitResult(WAIT)
      expect(failureOf(result).args).toEqual(['python', 3])
      expect(await kit.runs(id)).toEqual(['kiq', 'kiq', 'python', 'python'])
    })

    it('go on in Kiq where a worker of Python has ended', async () => {
      const queue = kit.queue()
      const broker = await serve(kit, { queue })
      broker.withMiddlewares(new SimpleRetryMiddleware())
      // As its worker sends it the second time.
      const labels = "{'retry_on_error': True, 'max_retries': 4, '_retries': 1}"
      const [id = ''] = await kit.send({ queue }, [{ task: 'both:fail', call: '()', labels }])

      await kit.work(broker)

      const result = await broker.sentTask(id).waitResult(WAIT)
      expect(result.labels).toMatchObject({ _retries: 3 })
      expect(await kit.runs(id)).toEqual(['kiq', 'kiq', 'kiq'])
    })

    it('run no task more often than its labels say', async () => {
      const queue = kit.queue()
      const broker = await serve(kit, { queue })
      broker.withMiddlewares(new SimpleRetryMiddleware())
      await kit.python({ queue, retries: true }, ['--max-async-tasks', '4'])
      // Slow enough that Python has its part, also when its process waits for the processor.
      await kit.work(broker, { concurrency: 2 })
      const labels = { retry_on_error: true, max_retries: 4 }
      const fail = broker.externalTask('both:fail', { labels })
      const calls = Array.from({ length: 20 }, () => {
        return { task: 'both:fail', call: '()', labels: "{'retry_on_error': True, 'max_retries': 4}" }
      })

      const [ours, theirs] = await Promise.all([
        fail.kiqMany(Array.from({ length: 20 }, () => [])),
        kit.send({ queue }, calls),
      ])

      const ids = [...ours.map(({ taskId }) => taskId), ...theirs]
      const results = await Promise.all(ids.map((id) => broker.sentTask(id).waitResult(WAIT)))
      expect(results.filter(({ isErr, labels: { _retries } }) => !isErr || _retries !== 3)).toEqual([])
      const runs = await Promise.all(ids.map((id) => kit.runs(id)))
      expect(runs.filter(({ length }) => length !== 4)).toEqual([])
      expect(runs.some((languages) => new Set(languages).size === 2)).toBe(true)
    })
  })
})

async function serve(kit: Kit, settings: BrokerSettings): Promise<RedisStreamBroker> {
  const broker = await kit.broker(settings)
  const note = (): Promise<number> => kit.note(context().taskId)
  broker.task('both:fail', async () => {
    await note()
    await delay(20)
    throw new RangeError('kiq')
  })
  broker.task('both:twice', async () => {
    if ((await note()) < 2) throw new Error('not yet')
    return 'kiq'
  })
  broker.task('ts:requeue', async () => {
    if ((await note()) < 2) context().requeue()
    return 'kiq'
  })
  return broker
}
