import { describe, expect, it } from 'vitest'

import { bind, setupInjection, TaskInfo, taskMiddleware, token } from '../../src/di/index.ts'
import { retryTask, SimpleRetryMiddleware, Worker } from '../../src/index.ts'
import { errorOf, inMemory } from '../support/brokers.ts'
import { onMemory, quiet } from './task-kit.ts'

describe('a task', () => {
  it('fails with KIQ_DI_NOT_SET_UP when it was declared after the start, and there is no container', async () => {
    const broker = inMemory()
    await broker.startup()
    const task = broker.task({ name: 'task', deps: { info: TaskInfo }, run: (_: unknown, { info }) => info.taskId })
    expect(errorOf(await (await task.kiq()).waitResult()).code).toBe('KIQ_DI_NOT_SET_UP')
  })

  it('is not retried when what it needs cannot be injected', async () => {
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware({ defaultRetryLabel: true }))
    setupInjection(broker, quiet())
    await broker.startup()
    const task = broker.task({ name: 'task', deps: { x: token<string>('X') }, run: () => 1 })
    expect((await (await task.kiq()).waitResult()).labels).toEqual({})
  })

  it('is not retried when its message has an argument for an injected value', async () => {
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware({ defaultRetryLabel: true }))
    setupInjection(broker, quiet())
    broker.task({ name: 'task', deps: { info: TaskInfo }, run: (_: object) => 1 })
    await broker.startup()
    await broker.send([{ taskId: 'forged', taskName: 'task', labels: {}, args: [{ info: 1 }], kwargs: {} }])
    expect((await broker.waitResult('forged')).labels).toEqual({})
  })

  it('is looked at once, however often it is executed', async () => {
    const broker = inMemory()
    let looked = 0
    setupInjection(broker, quiet())
    const task = broker.task({
      name: 'task',
      deps: () => {
        looked += 1
        return { info: TaskInfo }
      },
      run: (_: unknown) => 1,
    })
    for (let i = 0; i < 100; i += 1) await broker.execute(task)

    expect(looked).toBe(1)
  })

  it('keeps its outcome when what overrides made cannot be closed', async () => {
    const K = token<string>('K')
    const L = token<{ readonly v: string }>('L')
    const broker = inMemory()
    setupInjection(
      broker,
      quiet(
        bind(K, { value: 'a' }),
        bind(L, {
          deps: { k: K },
          create: ({ k }) => ({ v: k }),
          dispose: () => {
            throw new Error('dispose')
          },
        }),
      ),
    )
    const own = new RangeError('own')
    const task = broker.task({
      name: 'task',
      deps: { l: L },
      run: (_: unknown, { l }) => {
        if (l.v === 'bad') throw own
        return l.v
      },
    })
    expect.soft(await broker.execute(task, undefined, { overrides: [bind(K, { value: 'b' })] }).catch(String)).toBe('b')
    await expect.soft(broker.execute(task, undefined, { overrides: [bind(K, { value: 'bad' })] })).rejects.toBe(own)
  })

  it('has failed, for task middlewares, when it asks for another attempt', async () => {
    const seen: unknown[] = []
    const broker = inMemory()
    setupInjection(broker, quiet(), { middlewares: [taskMiddleware({ onError: (_i, e) => void seen.push(e) })] })
    const task = broker.task({
      name: 'task',
      deps: { info: TaskInfo },
      run: (_: unknown, { info }) => {
        if (info.attempt === 1) throw retryTask()
        return 1
      },
    })
    await broker.startup()
    await (await task.kiq()).result()
    expect(seen).toEqual([expect.objectContaining({ name: 'TaskSignal' })])
  })

  it('fails on a closed container, also when it needs nothing that was closed', async () => {
    const broker = inMemory()
    const container = quiet()
    setupInjection(broker, container)
    const task = broker.task({ name: 'task', deps: { info: TaskInfo }, run: () => 1 })
    await container.close()
    await expect(broker.execute(task)).rejects.toMatchObject({ code: 'KIQ_DI_SCOPE_CLOSED' })
  })

  it('has its handlers undone when a client cannot become a worker', async () => {
    const log: string[] = []
    const K = token<number>('K')
    const { broker, work } = onMemory()
    let n = 0
    setupInjection(
      broker,
      quiet(
        bind(K, {
          create: () => {
            n += 1
            if (n === 1) throw new Error('x')
            return n
          },
        }),
      ),
    )
    broker.on('workerStartup', () => void log.push('up')).on('workerShutdown', () => void log.push('down'))
    broker.task({ name: 'task', deps: { k: K }, run: () => 1 })
    await broker.startup()
    await expect(new Worker(broker).start()).rejects.toThrow()
    const worker = await work()
    await worker.stop()
    await broker.shutdown()
    expect(log).toEqual(['up', 'down', 'up', 'down'])
  })
})
