import { describe, expect, it } from 'vitest'

import { setupInjection, TaskInfo } from '../../src/di/index.ts'
import type { Broker } from '../../src/index.ts'
import { SimpleRetryMiddleware } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { errorOf, fake, inMemory } from '../support/brokers.ts'
import type { Work } from './task-kit.ts'
import { onFile, onMemory, quiet, temporaryFile, transactions, workers } from './task-kit.ts'

const soon = { timeoutMs: 10_000 }

const engines: readonly (readonly [string, () => { readonly broker: Broker; readonly work: Work }])[] = [
  ['memory', onMemory],
  [
    'SQLite',
    () => {
      const broker = onFile(temporaryFile())
      return { broker, work: workers(broker) }
    },
  ],
]

/** A task that fails as long as it is told to, and notes its attempts. */
function setup(start: () => { readonly broker: Broker; readonly work: Work }, labels = {}) {
  const { broker, work } = start()
  const tx = transactions()
  const attempts: TaskInfo[] = []
  const state = { fails: true }
  setupInjection(broker, quiet(tx.provider))
  const task = broker.task({
    name: 'task',
    labels,
    keepFailed: true,
    deps: { tx: tx.key, info: TaskInfo },
    run: ({ n }: { n: number }, deps) => {
      attempts.push(deps.info)
      if (state.fails) throw new Error(`attempt ${deps.info.attempt}`)
      return [n, deps.info.attempt, deps.tx.n]
    },
  })
  const kept = async () => (await broker.transport.deadLetters?.list()) ?? []
  return { broker, work, task, tx, attempts, state, kept }
}

describe.each(engines)('broker.retry() on %s', (_engine, start) => {
  it('sends a task again that has failed: same id and arguments, next attempt, new scope', async () => {
    const { broker, work, task, tx, attempts, state, kept } = setup(start)
    await work()
    const sent = await task.kicker().withLabels({ trace: 'abc' }).kiq({ n: 5 })
    expect(errorOf(await sent.waitResult()).message).toBe('attempt 1')
    expect(await kept()).toMatchObject([{ taskId: sent.taskId, taskName: 'task', reason: 'Error: attempt 1' }])
    state.fails = false

    const again = await broker.retry<readonly number[]>(sent.taskId)

    expect(again.taskId).toBe(sent.taskId)
    await until(async () => !(await sent.waitResult()).isErr, soon)
    expect(await again.result()).toEqual([5, 2, 2])
    expect(attempts).toMatchObject([
      { taskId: sent.taskId, attempt: 1, kwargs: { n: 5 }, labels: { trace: 'abc' } },
      { taskId: sent.taskId, attempt: 2, kwargs: { n: 5 }, labels: { trace: 'abc' } },
    ])
    expect(tx.log).toEqual(['begin 1', 'rollback 1', 'begin 2', 'commit 2'])
    expect(await kept()).toEqual([])
  })

  it('refuses a second time as long as it has not failed again', async () => {
    const { broker, work, task, attempts, state } = setup(start)
    await work()
    const sent = await task.kiq({ n: 1 })
    await sent.waitResult()
    state.fails = false
    await broker.retry(sent.taskId)

    await expect(broker.retry(sent.taskId)).rejects.toMatchObject({ code: 'KIQ_MESSAGE_NOT_KEPT' })

    await until(async () => !(await sent.waitResult()).isErr, soon)
    await expect(broker.retry(sent.taskId)).rejects.toMatchObject({ code: 'KIQ_MESSAGE_NOT_KEPT' })
    expect(attempts).toHaveLength(2)
  })

  it('sends it again after each failure, and the attempts go on', async () => {
    const { broker, work, task, attempts, kept } = setup(start)
    await work()
    const sent = await task.kiq({ n: 1 })

    for (let round = 1; round <= 3; round += 1) {
      await until(async () => attempts.length === round && (await kept()).length === 1, soon)
      await broker.retry(sent.taskId)
    }
    await until(async () => (await kept()).length === 1, soon)

    expect(attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4])
    expect(await kept()).toMatchObject([{ reason: 'Error: attempt 4' }])
  })

  it('counts on from the retries of a middleware', async () => {
    const { broker, work, task, attempts, state, kept } = setup(start, { retry_on_error: true, max_retries: 2 })
    broker.withMiddlewares(new SimpleRetryMiddleware())
    await work()
    const sent = await task.kiq({ n: 1 })
    await sent.waitResult()
    await until(async () => (await kept()).length === 1, soon)
    state.fails = false

    await broker.retry(sent.taskId)
    await until(async () => !(await sent.waitResult()).isErr, soon)

    expect(attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
  })

  it('keeps no message of a task that does not ask for it, or that succeeds', async () => {
    const { broker, work, task, state, kept } = setup(start)
    const forgotten = broker.task('forgotten', () => {
      throw new Error('own')
    })
    state.fails = false
    await work()
    const failed = await forgotten.kiq()
    const fine = await task.kiq({ n: 1 })
    await Promise.all([failed.waitResult(), fine.waitResult()])

    expect(await kept()).toEqual([])
    for (const { taskId } of [failed, fine, broker.sentTask('unknown')]) {
      const retried = broker.retry(taskId)
      await expect(retried).rejects.toMatchObject({ code: 'KIQ_MESSAGE_NOT_KEPT' })
      await expect(retried).rejects.toThrow(taskId)
    }
  })
})

describe('broker.retry()', () => {
  it('keeps the message of a commit that failed', async () => {
    const { broker, transport, work } = onMemory()
    const tx = transactions((n) => {
      if (n === 1) throw new Error('commit refused')
    })
    setupInjection(broker, quiet(tx.provider))
    const task = broker.task({
      name: 'task',
      keepFailed: true,
      deps: { tx: tx.key },
      run: (_: unknown, deps) => deps.tx.n,
    })
    await work()
    const sent = await task.kiq()
    await sent.waitResult()
    expect(await transport.deadLetters.list()).toMatchObject([{ reason: 'Error: commit refused' }])

    await broker.retry(sent.taskId)
    await until(async () => !(await sent.waitResult()).isErr, soon)

    expect(tx.log).toEqual(['begin 1', 'begin 2', 'commit 2'])
  })

  it('works with an in-memory broker that runs its own worker', async () => {
    const broker = inMemory({ awaitInplace: true })
    let calls = 0
    const task = broker.task(
      'task',
      () => {
        calls += 1
        if (calls === 1) throw new Error('own')
        return calls
      },
      { keepFailed: true },
    )
    await broker.startup()
    const sent = await task.kiq()
    expect((await sent.waitResult()).isErr).toBe(true)

    await broker.retry(sent.taskId)
    await broker.waitAll()

    expect(await sent.result()).toBe(2)
  })

  it('is refused by a transport that keeps no messages, and before the start', async () => {
    const { broker } = fake()

    await expect(broker.retry('id')).rejects.toMatchObject({ code: 'KIQ_BROKER_NOT_STARTED' })
    await broker.startup()
    const retried = broker.retry('id')
    await expect(retried).rejects.toMatchObject({ code: 'KIQ_UNSUPPORTED' })
    await expect(retried).rejects.toThrow('"fake"')
  })
})
