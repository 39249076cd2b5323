import { describe, expect, it, onTestFinished } from 'vitest'

import { MemoryResultBackend, MemoryTransport } from '../../src/adapters/memory/index.ts'
import { Broker, context, Worker } from '../../src/index.ts'
import type { WorkerOptions } from '../../src/index.ts'
import { MsgPackSerializer } from '../../src/serializers/index.ts'
import { until } from '../../src/testing/until.ts'
import { errorOf, fake, inMemory, wire } from '../support/brokers.ts'
import { recordingLogger } from '../support/recording-logger.ts'

/** A worker in memory, and a way to put anything on its queue. */
async function setup(options: WorkerOptions = {}) {
  const results = new MemoryResultBackend()
  const transport = new MemoryTransport({ results })
  const logger = recordingLogger()
  const broker = new Broker(transport, { resultBackend: results, logger })
  const ran: unknown[] = []
  const task = broker.task('task', (value: unknown) => void ran.push(value))
  const worker = new Worker(broker, options)
  await worker.start()
  onTestFinished(async () => {
    await worker.stop({ running: 'abort' })
    await broker.shutdown()
  })
  const put = async (body: string | Uint8Array, taskId = 'id'): Promise<void> => {
    await transport.send([{ taskId, taskName: 'task', queue: 'taskiq', body, labels: {} }])
  }
  const letters = async () => (await transport.deadLetters.list()).map(({ taskId, reason }) => ({ taskId, reason }))
  return { broker, transport, worker, task, ran, put, letters, logger }
}

describe('a message that cannot be read', () => {
  it.each([
    ['broken JSON', '{"task_id": "id", "task_na', 'it is not json'],
    ['no text', new Uint8Array([0xff, 0x00]), 'it is not json'],
    ['nothing', '', 'it is not json'],
    ['no object', '[1]', 'it is not an object'],
    ['no id', wire('task', { task_id: undefined }), '`task_id` is missing'],
    ['no name', wire('task', { task_name: undefined }), '`task_name` is missing'],
    ['no labels', wire('task', { labels: undefined }), '`labels` is missing'],
    ['no args', wire('task', { args: undefined }), '`args` is missing'],
    ['no kwargs', wire('task', { kwargs: undefined }), '`kwargs` is missing'],
    ['an id that is a number', wire('task', { task_id: 5 }), '`task_id` is a number'],
    ['an unknown label type', wire('task', { labels: { a: '1' }, labels_types: { a: 99 } }), 'the type number 99'],
    ['a label that does not fit its type', wire('task', { labels: { a: 'x' }, labels_types: { a: 2 } }), '"x"'],
    ['bytes that are no Base64', wire('task', { labels: { a: 'A' }, labels_types: { a: 6 } }), 'should be Base64'],
  ])('because of %s is a dead letter with the reason, and a failure for who waits', async (_what, body, why) => {
    const { broker, put, letters, ran, logger } = await setup()

    await put(body)
    const result = await broker.sentTask('id').waitResult({ timeout: '2s' })

    expect(errorOf(result)).toMatchObject({ code: 'KIQ_MESSAGE_UNDECODABLE' })
    expect(await letters()).toEqual([{ taskId: 'id', reason: expect.stringContaining(why) as string }])
    expect(ran).toEqual([])
    expect(logger.lines).toContainEqual(expect.objectContaining({ level: 'error' }))
  })

  it('does not stop the ones behind it', async () => {
    const { task, put, ran } = await setup({ concurrency: 1 })

    for (let i = 0; i < 20; i += 1) await put('broken')
    await (await task.kiq('behind')).result({ timeout: '2s' })

    expect(ran).toEqual(['behind'])
  })

  it('is settled as dead also where the transport does not know its id, and stores no result', async () => {
    const { transport, results, work } = fake()
    const worker = await work()

    transport.deliver('broken')
    await until(() => worker.processed === 1, { timeoutMs: 2_000 })

    expect(transport.settled).toEqual(['dead'])
    expect(results.saved).toEqual([])
  })
})

describe('a message with labels of another kind than ours', () => {
  it.each([
    ['numbers, lists and null', { labels: { t: 1.5, l: [1], n: null } }, { t: 1.5, l: [1], n: null }],
    ['no types', { labels: { n: '5' }, labels_types: undefined }, { n: '5' }],
    ['types that are null', { labels: { n: '5' }, labels_types: null }, { n: '5' }],
    ['types as text', { labels: { n: '5' }, labels_types: { n: '2' } }, { n: 5 }],
  ])('runs with %s', async (_what, change, labels) => {
    const { broker, put } = await setup()
    const seen: unknown[] = []
    broker.task('look', () => void seen.push(context().labels))

    await put(wire('look', change))
    await broker.sentTask('id').result({ timeout: '2s' })

    expect(seen).toEqual([labels])
  })

  it.each([
    ['retries', { labels: { _retries: 'x' } }],
    ['requeues', { labels: { 'X-Taskiq-requeue': [1] } }],
  ])('runs also when the count of %s is no number', async (_what, change) => {
    const { broker, put, ran } = await setup()

    await put(wire('task', { ...change, args: [1] }))
    await broker.sentTask('id').result({ timeout: '2s' })

    expect(ran).toEqual([1])
  })
})

describe('a message for a task that is not known', () => {
  it('is a dead letter, and a failure for who waits', async () => {
    const { broker, letters } = await setup()

    const sent = await broker.externalTask('nobody.knows').kiq()

    await expect(sent.result({ timeout: '2s' })).rejects.toMatchObject({
      code: 'KIQ_TASK_UNKNOWN',
      message: expect.stringContaining('No task named "nobody.knows"') as string,
    })
    expect(await letters()).toEqual([
      { taskId: sent.taskId, reason: expect.stringContaining('No task named "nobody.knows"') as string },
    ])
  })

  it('names the tasks that are known', async () => {
    const { broker } = await setup()

    const sent = await broker.externalTask('nobody.knows').kiq()

    expect(errorOf(await sent.waitResult()).message).toMatch(/it knows: .*task/)
  })

  it('can be put back when the task is known', async () => {
    const { broker, transport } = await setup()
    const sent = await broker.externalTask<[], string>('later').kiq()
    await sent.waitResult()
    broker.task('later', () => 'now')

    expect(await transport.deadLetters.retry()).toBe(1)

    await until(async () => !(await sent.waitResult()).isErr, { timeoutMs: 2_000 })
    expect(await sent.result()).toBe('now')
  })

  it('is settled also when its labels do not fit the serializer of results', async () => {
    const broker = inMemory({ serializer: new MsgPackSerializer() })
    await broker.startup()

    const sent = await broker
      .externalTask('nobody.knows')
      .kicker()
      .withLabels({ big: 2n ** 70n })
      .kiq()

    expect((await sent.waitResult({ timeout: '1s' })).isErr).toBe(true)
    expect((await broker.transport.deadLetters?.list())?.length).toBe(1)
  })

  it('is an external task only', async () => {
    const { broker } = await setup()

    const sent = await broker.externalTask('elsewhere').kiq()

    expect(errorOf(await sent.waitResult({ timeout: '2s' })).code).toBe('KIQ_TASK_UNKNOWN')
  })
})

describe('a message whose workers die', () => {
  it('is given up after maxDeliveries, with the reason', async () => {
    const { broker, transport, results, work } = fake()
    const ran: number[] = []
    broker.task('task', () => void ran.push(context().attempt))
    const worker = await work({ maxDeliveries: 3 })

    for (const attempt of [1, 2, 3, 4]) {
      transport.deliver(wire('task', { task_id: `d${attempt}` }), { attempt })
      await until(() => worker.processed === attempt, { timeoutMs: 2_000 })
    }

    expect(ran).toEqual([1, 2, 3])
    expect([...transport.settled].sort()).toEqual(['ack d1', 'ack d2', 'ack d3', 'dead d4'])
    expect(results.stored('d4')).toMatchObject({ is_err: true, error: { code: 'KIQ_MESSAGE_POISONED' } })
    const dead = transport.settlements.find(({ kind }) => kind === 'dead')
    expect(dead).toMatchObject({
      taskName: 'task',
      reason: expect.stringContaining('was delivered 3 times without an outcome') as string,
    })
  })

  it('is given up after 5 deliveries by default', async () => {
    const { broker, transport, work } = fake()
    broker.task('task', () => 1)
    const worker = await work()

    for (const attempt of [5, 6]) transport.deliver(wire('task', { task_id: `d${attempt}` }), { attempt })
    await until(() => worker.processed === 2, { timeoutMs: 2_000 })

    expect([...transport.settled].sort()).toEqual(['ack d5', 'dead d6'])
  })

  it('is not given up for its retries, which count anew', async () => {
    const { broker, transport, work } = fake({ loop: true })
    broker.task('task', () => {
      const { attempt, retry } = context()
      return attempt < 20 ? retry() : attempt
    })
    const task = broker.externalTask<[], number>('task')
    await work({ maxDeliveries: 2 })

    expect(await (await task.kiq()).result({ timeout: '5s' })).toBe(20)
    await until(() => transport.settled.at(-1)?.startsWith('ack'), { timeoutMs: 2_000 })
  })

  it('with ack type manual is given up when no delivery acknowledges it', async () => {
    const { broker, worker, letters } = await setup({ ackType: 'manual', maxDeliveries: 3 })
    let executions = 0
    const forgetful = broker.task('forgetful', () => void (executions += 1))

    await forgetful.kicker().withTaskId('mine').kiq()
    await until(async () => (await letters()).length === 1, { timeoutMs: 2_000 })

    expect(executions).toBe(3)
    expect(worker.processed).toBe(4)
  })

  it.each([0, -1, 1.5, NaN])('refuses maxDeliveries %d', (maxDeliveries) => {
    expect(() => new Worker(new Broker(new MemoryTransport()), { maxDeliveries })).toThrow(
      expect.objectContaining({ code: 'KIQ_CONFIG_INVALID' }),
    )
  })
})
