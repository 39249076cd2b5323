import { describe, expect, it } from 'vitest'

import { context, noResult, rejectTask, requeueTask, retryTask, SimpleRetryMiddleware } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { errorOf, fake, inMemory, wire } from '../support/brokers.ts'
import { settled } from '../support/deferred.ts'
import { recordingLogger } from '../support/recording-logger.ts'

/** How a task can say the same: by a function that makes what is thrown, or by its context. */
const ways = {
  retry: { thrown: () => { throw retryTask({ labels: { why: 'again' } }) }, context: () => context().retry({ labels: { why: 'again' } }) },
  requeue: { thrown: () => { throw requeueTask() }, context: () => context().requeue() },
  reject: { thrown: () => { throw rejectTask('not for us') }, context: () => context().reject('not for us') },
  noResult: { thrown: () => { throw noResult() }, context: () => context().noResult() },
} // prettier-ignore

describe.each(['thrown', 'context'] as const)('a signal of a task, %s', (way) => {
  it('retry runs it again as a retry, with labels', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => {
      const { attempt } = context()
      return attempt < 3 ? ways.retry[way]() : attempt
    })
    await broker.startup()

    const result = await (await task.kiq()).waitResult()

    expect(result).toMatchObject({ returnValue: 3, labels: { _retries: 2, why: 'again' } })
  })

  it('requeue runs it again, counted in the label of Taskiq', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => {
      const { attempt } = context()
      return attempt < 3 ? ways.requeue[way]() : attempt
    })
    await broker.startup()

    const result = await (await task.kiq()).waitResult()

    expect(result).toMatchObject({ returnValue: 3, labels: { 'X-Taskiq-requeue': '2' } })
  })

  it('reject stores a failure and leaves a dead letter', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => ways.reject[way]())
    await broker.startup()

    const sent = await task.kicker().withTaskId('mine').kiq()

    await expect(sent.result()).rejects.toMatchObject({
      code: 'KIQ_TASK_REJECTED',
      failure: { name: 'TaskRejectedError', message: 'not for us' },
    })
    expect(await broker.transport.deadLetters?.list()).toMatchObject([
      { taskId: 'mine', taskName: 'task', reason: 'not for us', queue: 'taskiq', attempt: 1 },
    ])
  })

  it('noResult stores nothing, and the message is gone', async () => {
    const { broker, transport, results, work } = fake()
    const saved: string[] = []
    broker.withMiddlewares({ postSave: () => void saved.push('saved') })
    broker.task('task', () => ways.noResult[way]())
    const worker = await work()

    transport.deliver(wire('task'))
    await until(() => worker.processed === 1, { timeoutMs: 2_000 })

    expect(transport.settled).toEqual(['ack id'])
    expect(results.saved).toEqual([])
    expect(saved).toEqual([])
  })
})

describe('a signal of a task', () => {
  it.each(Object.keys(ways) as (keyof typeof ways)[])(
    '%s is no failure: onError does not see it, nothing is logged',
    async (kind) => {
      const logger = recordingLogger()
      const seen: string[] = []
      const broker = inMemory({ logger }).withMiddlewares(new SimpleRetryMiddleware({ defaultRetryLabel: true }), {
        onError: () => void seen.push('onError'),
        postExecute: (_message, result) =>
          void seen.push(`postExecute ${result.isErr ? result.error.name : 'success'}`),
      })
      let executions = 0
      const task = broker.task('task', () => {
        executions += 1
        return executions === 1 ? ways[kind].thrown() : executions
      })
      await broker.startup()

      await task.kiq()
      await broker.waitAll({ timeout: '2s' })

      expect(seen).not.toContain('onError')
      expect(seen[0]).toMatch(/^postExecute (NoResultError|TaskRejectedError)$/)
      expect(logger.lines).toEqual([])
    },
  )

  it('works after an await', async () => {
    const broker = inMemory()
    const task = broker.task('task', async () => {
      await new Promise(setImmediate)
      if (context().attempt === 1) context().retry()
      return context().attempt
    })
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(2)
  })

  it('waits as long as it says', async () => {
    const { broker, transport, work } = fake()
    broker.task('retry', () => context().retry({ delay: '1m' }))
    broker.task('requeue', () => context().requeue({ delay: 90_000 }))
    const worker = await work()
    const before = Date.now()

    transport.deliver(wire('retry', { task_id: 'a' }))
    transport.deliver(wire('requeue', { task_id: 'b' }))
    await until(() => worker.processed === 2, { timeoutMs: 2_000 })

    const due = transport.settlements.map((one) => (one.kind === 'replace' ? (one.message.deliverAt ?? 0) - before : 0))
    expect(Math.round((due[0] ?? 0) / 1_000)).toBe(60)
    expect(Math.round((due[1] ?? 0) / 1_000)).toBe(90)
  })

  it('does not wait again as long as the first send did', async () => {
    const { broker, transport, work } = fake()
    broker.task('task', () => context().requeue())
    await work()

    transport.deliver(wire('task', { labels: { delay: '60' }, labels_types: { delay: 2 } }))
    await until(() => transport.settled.length === 1, { timeoutMs: 2_000 })

    const [settlement] = transport.settlements
    expect(settlement).toMatchObject({ kind: 'replace' })
    expect(settlement?.kind === 'replace' && settlement.message.deliverAt).toBeUndefined()
    expect(settlement?.kind === 'replace' && settlement.message.labels).toEqual({ 'X-Taskiq-requeue': '1' })
  })

  it('requeue runs the hooks of a send, and keeps labels of bytes readable', async () => {
    const seen: unknown[] = []
    const broker = inMemory().withMiddlewares({
      preSend: (message) => {
        seen.push(message.labels['X-Taskiq-requeue'])
        return message
      },
    })
    const task = broker.task('task', () => {
      const { attempt, labels } = context()
      return attempt === 1 ? context().requeue() : Array.from(labels['bytes'] as Uint8Array)
    })
    await broker.startup()

    const sent = await task
      .kicker()
      .withLabels({ bytes: new Uint8Array([0, 255, 1]) })
      .kiq()

    expect(await sent.result()).toEqual([0, 255, 1])
    expect(seen).toEqual([undefined, '1'])
  })

  it('retry is not limited by itself; the task bounds it by its attempt', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => {
      const { attempt } = context()
      return attempt < 50 ? context().retry() : attempt
    })
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(50)
  })

  it.each([-1, 'later'])('refuses a delay of %j as a failure of the task', async (delay) => {
    const broker = inMemory()
    const task = broker.task('task', () => context().retry({ delay }))
    await broker.startup()

    expect(errorOf(await (await task.kiq()).waitResult()).code).toBe('KIQ_CONFIG_INVALID')
  })

  it('with a label that cannot travel is a stored failure', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => context().retry({ labels: { bad: () => {} } }))
    await broker.startup()

    expect(errorOf(await (await task.kiq()).waitResult()).code).toBe('KIQ_LABEL_INVALID')
  })

  it('after the message was acknowledged still has its effect', async () => {
    const { broker, transport, results, work } = fake({ loop: true })
    broker.task('task', () => (context().attempt === 1 ? context().retry() : 'second'))
    await work({ ackType: 'when_received' })

    transport.deliver(wire('task'))
    await until(() => results.stored('id'), { timeoutMs: 2_000 })

    expect(results.stored('id')).toMatchObject({ return_value: 'second' })
    expect(transport.sent.length).toBe(1)
  })

  it('noResult lets whoever waits keep waiting', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => context().noResult())
    await broker.startup()
    const sent = await task.kiq()
    await broker.waitAll()
    await settled()

    expect(await sent.isReady()).toBe(false)
    await expect(sent.result({ timeout: 10 })).rejects.toMatchObject({ code: 'KIQ_RESULT_TIMED_OUT' })
  })
})
