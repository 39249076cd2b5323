import { describe, expect, it } from 'vitest'

import { context, InMemoryBroker, SimpleRetryMiddleware } from '../../src/index.ts'
import { inMemory } from '../support/brokers.ts'
import { deferred, settled } from '../support/deferred.ts'

/** Rejects when the promise has not ended in time: a hang is a failure, not the end of the whole file. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`It still hangs after ${ms} ms.`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

describe('InMemoryBroker with awaitInplace', () => {
  it('returns from kiq() when the task has its outcome', async () => {
    const broker = inMemory({ awaitInplace: true })
    const done: number[] = []
    const task = broker.task('task', async (n: number) => {
      await new Promise(setImmediate)
      done.push(n)
    })
    await broker.startup()

    const sent = await task.kiq(1)

    expect(done).toEqual([1])
    expect(await sent.isReady()).toBe(true)
  })

  it('returns from kiqMany() when all have theirs', async () => {
    const broker = inMemory({ awaitInplace: true })
    const done: number[] = []
    const task = broker.task('task', async (n: number) => {
      await new Promise(setImmediate)
      done.push(n)
    })
    await broker.startup()

    const sent = await task.kiqMany([[1], [2], [3]])

    expect(done).toEqual([1, 2, 3])
    expect(await Promise.all(sent.map((one) => one.isReady()))).toEqual([true, true, true])
  })

  it('returns from the kiq() of a task within a task', async () => {
    const broker = inMemory({ awaitInplace: true })
    const seen: string[] = []
    const inner = broker.task('inner', async () => {
      await new Promise(setImmediate)
      seen.push('inner')
      return 1
    })
    const outer = broker.task('outer', async () => {
      const sent = await inner.kiq()
      seen.push('outer')
      return (await sent.result()) + 1
    })
    await broker.startup()

    expect(await (await within(2_000, outer.kiq())).result()).toBe(2)
    expect(seen).toEqual(['inner', 'outer'])
  })

  it('returns from the kiq() of a task within a task also when there is one slot', async () => {
    const broker = inMemory({ awaitInplace: true, maxAsyncTasks: 1 })
    const inner = broker.task('inner', () => 1)
    const outer = broker.task('outer', async () => (await (await inner.kiq()).result()) + 1)
    await broker.startup()

    expect(await (await within(1_000, outer.kiq())).result()).toBe(2)
  })

  it.each([
    ['fails', () => { throw new Error('x') }], // prettier-ignore
    ['is rejected', () => context().reject('no')],
    ['ends without a result', () => context().noResult()],
    ['returns what cannot be stored', () => () => {}],
    ['asks for two retries', () => (context().attempt < 3 ? context().retry() : 1)],
    ['asks for two requeues', () => (context().attempt < 3 ? context().requeue() : 1)],
  ])('returns for a task that %s', async (_what, run) => {
    const broker = inMemory({ awaitInplace: true })
    const task = broker.task('task', run as () => unknown)
    await broker.startup()

    await within(2_000, task.kiq())
  })

  it('returns for a task that is retried, after its last attempt', async () => {
    const broker = inMemory({ awaitInplace: true }).withMiddlewares(
      new SimpleRetryMiddleware({ defaultRetryLabel: true }),
    )
    let executions = 0
    const task = broker.task('task', () => {
      executions += 1
      throw new Error('x')
    })
    await broker.startup()

    await within(2_000, task.kiq())

    expect(executions).toBe(3)
  })

  it('returns for a task that is not known', async () => {
    const broker = inMemory({ awaitInplace: true })
    await broker.startup()

    await within(2_000, broker.externalTask('nobody.knows').kiq())
  })

  it('returns for a delayed task that is cancelled', async () => {
    const broker = inMemory({ awaitInplace: true })
    const task = broker.task('task', () => 1)
    await broker.startup()
    const sending = task.kicker().withTaskId('mine').withDelay('1h').kiq()
    await settled()

    expect(await broker.sentTask('mine').cancel()).toBe(true)

    await within(1_000, sending)
  })

  it('returns for each of two tasks under one id', async () => {
    const broker = inMemory({ awaitInplace: true })
    const task = broker.task('task', () => 1)
    await broker.startup()
    const kicker = task.kicker().withTaskId('same')

    await within(1_000, Promise.all([kicker.kiq(), kicker.kiq()]))
  })

  it('returns when the broker is shut down meanwhile', async () => {
    const broker = inMemory({ awaitInplace: true, waitTasksTimeout: 10 })
    const task = broker.task('task', () => 1)
    await broker.startup()
    const sending = task.kicker().withDelay('1h').kiq()
    await settled()

    await broker.shutdown()

    await within(2_000, sending)
  })

  it('rejects for bad arguments, and the next one is sent', async () => {
    const broker = inMemory({ awaitInplace: true })
    const task = broker.task('task', (value: unknown) => value)
    await broker.startup()

    await expect(task.kiq(() => {})).rejects.toMatchObject({ code: 'KIQ_ARGUMENTS_UNSERIALIZABLE' })
    expect(await (await within(2_000, task.kiq(1))).result()).toBe(1)
  })
})

describe('InMemoryBroker.waitAll', () => {
  it('waits for what is queued and running', async () => {
    const broker = inMemory({ maxAsyncTasks: 1 })
    const done: number[] = []
    const task = broker.task('task', async (n: number) => {
      await new Promise(setImmediate)
      done.push(n)
    })
    await broker.startup()
    await task.kiqMany([[1], [2], [3]])

    expect(await broker.waitAll()).toBe(true)
    expect(done).toEqual([1, 2, 3])
  })

  it('waits for what running tasks send meanwhile', async () => {
    const broker = inMemory()
    const done: number[] = []
    const task = broker.task('task', async (n: number): Promise<void> => {
      await new Promise(setImmediate)
      if (n > 0) await task.kiqMany([[n - 1], [n - 1]])
      done.push(n)
    })
    await broker.startup()
    await task.kiq(5)

    expect(await broker.waitAll()).toBe(true)
    expect(done.length).toBe(63)
  })

  it('waits for retries without delay', async () => {
    const broker = inMemory()
    let executions = 0
    const task = broker.task('task', () => {
      executions += 1
      if (executions < 10) context().retry()
    })
    await broker.startup()
    await task.kiq()

    expect(await broker.waitAll()).toBe(true)
    expect(executions).toBe(10)
  })

  it('does not wait for what is delayed', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => 1)
    await broker.startup()
    const sent = await task.kicker().withDelay('1h').kiq()

    expect(await broker.waitAll({ timeout: '1s' })).toBe(true)
    expect(await sent.cancel()).toBe(true)
  })

  it('is false when something still runs after the timeout', async () => {
    const broker = inMemory()
    const gate = deferred()
    const task = broker.task('task', () => gate.promise)
    await broker.startup()
    await task.kiq()

    expect(await broker.waitAll({ timeout: 20 })).toBe(false)
    gate.resolve()
    expect(await broker.waitAll()).toBe(true)
  })

  it('is true at once when nothing was sent', async () => {
    const broker = inMemory()
    await broker.startup()

    expect(await broker.waitAll({ timeout: 0 })).toBe(true)
  })
})

describe('InMemoryBroker', () => {
  it('runs at most maxAsyncTasks at once', async () => {
    const broker = inMemory({ maxAsyncTasks: 3 })
    let running = 0
    let most = 0
    const task = broker.task('task', async () => {
      running += 1
      most = Math.max(most, running)
      await settled(3)
      running -= 1
    })
    await broker.startup()
    await task.kiqMany(Array.from({ length: 20 }, () => []))
    await broker.waitAll()

    expect(most).toBe(3)
  })

  it.each([0, -1, 1.5, NaN])('refuses maxAsyncTasks %d', async (maxAsyncTasks) => {
    await expect(async () => {
      await new InMemoryBroker({ maxAsyncTasks }).startup()
    }).rejects.toMatchObject({ code: 'KIQ_CONFIG_INVALID' })
  })

  it('runs higher priorities first', async () => {
    const broker = inMemory({ maxAsyncTasks: 1 })
    const gate = deferred()
    const order: number[] = []
    const blocker = broker.task('blocker', () => gate.promise)
    const task = broker.task('task', (n: number) => void order.push(n))
    await broker.startup()
    await blocker.kiq()
    await settled()
    for (const n of [0, 5, -1, 5, 9]) await task.kicker().withPriority(n).kiq(n)

    gate.resolve()
    await broker.waitAll()

    expect(order).toEqual([9, 5, 5, 0, -1])
  })

  it('delivers no earlier than a delay says', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => performance.now())
    await broker.startup()
    const startedAt = performance.now()

    const ranAt = await (await task.kicker().withDelay(50).kiq()).result({ timeout: '5s' })

    expect(ranAt - startedAt).toBeGreaterThanOrEqual(48)
  })

  it('keeps brokers apart', async () => {
    const first = inMemory()
    const second = inMemory()
    const task = first.task('task', () => 'first')
    await first.startup()
    await second.startup()
    const sent = await task.kiq()
    await sent.result()

    expect(await second.sentTask(sent.taskId).isReady()).toBe(false)
  })

  it('runs ten thousand tasks', async () => {
    const broker = inMemory({ maxStoredResults: -1 })
    const task = broker.task('task', (n: number) => n)
    await broker.startup()

    const sent = await task.kiqMany(Array.from({ length: 10_000 }, (_, i): [number] => [i]))
    const results = await Promise.all(sent.map((one) => one.result()))

    expect(results).toEqual(Array.from({ length: 10_000 }, (_, i) => i))
  })
})
