import type { WorkerOptions } from 'kiq'
import { Broker, silentLogger, Worker } from 'kiq'
import { createContainer, setupInjection, token } from 'kiq/di'
import { MemoryTransport } from 'kiq/memory'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { broker, container, here, tasks } from './isolated-tasks.ts'

// Against the built package: threads and processes load `dist`.
const PATIENT = { timeout: '20s' }
const soon = { timeoutMs: 20_000 }

async function work(options: WorkerOptions = {}): Promise<void> {
  const worker = new Worker(broker, { concurrency: 1, abortGrace: '10s', ...options })
  onTestFinished(() => worker.stop({ running: 'abort' }))
  await worker.start()
}

beforeAll(() => broker.startup())
afterAll(async () => {
  await broker.shutdown()
  await container.close()
})

describe.each(['thread', 'process'] as const)('a task with isolate: %s and dependencies', (kind) => {
  const task = tasks[kind]

  it('gets them from a container of its own: singletons once, scoped values for each execution', async () => {
    await work()

    const first = await (await task.session.kiq({ n: 1 })).result(PATIENT)
    const second = await (await task.session.kiq({ n: 2 })).result(PATIENT)

    expect(first.session.connection).toEqual({ place: expect.any(String) as string, count: 1 })
    expect(first.session.connection.place).not.toBe(here)
    expect(second.session.connection).toEqual(first.session.connection)
    expect([first, second]).toMatchObject([
      { n: 1, attempt: 1, isSame: true, session: { n: 1 } },
      { n: 2, attempt: 1, isSame: true, session: { n: 2 } },
    ])
  })

  it('knows what it was sent with', async () => {
    await work()
    const sent = await task.facts.kicker().withLabels({ size: 1 }).kiq({ n: 5 })

    expect(await sent.result(PATIENT)).toEqual({
      n: 5,
      taskId: sent.taskId,
      taskName: `${kind}.facts`,
      kwargs: { n: 5 },
      labels: { size: 1 },
    })
  })

  it('commits, or rolls back with its own error, which is the outcome', async () => {
    await work()
    const well = await task.end.kiq({ how: 'well' })
    const badly = await task.end.kiq({ how: 'badly' })

    expect(await well.result(PATIENT)).toEqual([expect.any(String), 1])
    expect(await badly.waitResult(PATIENT)).toMatchObject({
      isErr: true,
      error: { name: 'RangeError', message: 'own', code: 'E_OWN' },
    })
    expect(await well.getProgress()).toMatchObject({ state: 'COMMITTED' })
    expect(await badly.getProgress()).toEqual({
      state: 'ROLLED BACK',
      meta: { name: 'RangeError', message: 'own', code: 'E_OWN' },
    })
  })

  it('fails when its commit does', async () => {
    await work()
    const sent = await task.end.kicker().withLabels({ commit: 'refused' }).kiq({ how: 'well' })

    expect(await sent.waitResult(PATIENT)).toMatchObject({
      isErr: true,
      error: { name: 'RangeError', message: 'commit refused' },
    })
  })

  it('steers: a retry rolls back, and is the next attempt', async () => {
    await work()
    const sent = await task.end.kiq({ how: 'again' })

    expect(await sent.result(PATIENT)).toEqual([expect.any(String), 2])
    expect(await sent.getProgress()).toMatchObject({ state: 'COMMITTED', meta: { name: 'TaskSignal' } })
  })

  it('rolls back on a timeout', async () => {
    await work()
    await (await task.facts.kiq({ n: 0 })).result(PATIENT)
    const sent = await task.wait.kicker().withTimeout('1s').kiq()

    expect(await sent.waitResult(PATIENT)).toMatchObject({ isErr: true, error: { code: 'KIQ_TASK_TIMED_OUT' } })
    expect(await sent.getProgress()).toMatchObject({ state: 'ROLLED BACK', meta: { code: 'KIQ_TASK_TIMED_OUT' } })
  })

  it('rolls back on a cancel', async () => {
    await work()
    const sent = await task.wait.kiq()
    await until(async () => (await sent.getProgress())?.state === 'WAITING', soon)

    await sent.cancel()

    expect(await sent.waitResult(PATIENT)).toMatchObject({ isErr: true, error: { code: 'KIQ_TASK_CANCELLED' } })
    expect(await sent.getProgress()).toMatchObject({ state: 'ROLLED BACK', meta: { code: 'KIQ_TASK_CANCELLED' } })
  })

  it('fails with the path to a provider that fails there, and its cause', async () => {
    await work()

    expect(await (await task.broken.kiq()).waitResult(PATIENT)).toMatchObject({
      isErr: true,
      error: {
        name: 'ProviderError',
        code: 'KIQ_DI_PROVIDER_FAILED',
        message: `task:${kind}.broken > Outer > Broken: it could not be made: no connection`,
        cause: { name: 'TypeError', message: 'no connection' },
      },
    })
  })

  it('has the hooks of task middlewares around it, there', async () => {
    await work()
    await (await task.end.kiq({ how: 'well' })).result(PATIENT)
    await (await task.end.kiq({ how: 'badly' })).waitResult(PATIENT)

    expect(await (await task.hooked.kiq()).result(PATIENT)).toEqual([
      `before ${kind}.end`,
      `after ${kind}.end true`,
      `before ${kind}.end`,
      `error ${kind}.end own`,
      `before ${kind}.hooked`,
    ])
  })

  it('is refused an argument with the name of an injected value', async () => {
    await work()

    await expect(task.session.kicker().withKwargs({ session: 1 }).kiq({ n: 1 })).rejects.toMatchObject({
      code: 'KIQ_ARGUMENT_INJECTED',
    })
  })

  it('is looked at when its worker starts, though its values are made elsewhere', async () => {
    const other = new Broker(new MemoryTransport(), { logger: silentLogger })
    setupInjection(other, createContainer({ logger: silentLogger }))
    other.task({ name: 'task', isolate: kind, deps: { missing: token<string>('Missing') }, run: () => 1 })

    await expect(new Worker(other).start()).rejects.toMatchObject({
      code: 'KIQ_DI_MISSING',
      problems: [{ path: ['task:task', 'Missing'] }],
    })
  })
})
