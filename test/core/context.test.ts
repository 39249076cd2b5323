import { setTimeout as delay } from 'node:timers/promises'

import { describe, expect, it } from 'vitest'

import { context, tryContext } from '../../src/index.ts'
import { inMemory } from '../support/brokers.ts'
import { deferred } from '../support/deferred.ts'
import { recordingLogger } from '../support/recording-logger.ts'

describe('context', () => {
  it('is refused outside a task', () => {
    expect(() => context()).toThrow(
      expect.objectContaining({
        name: 'ConfigError',
        code: 'KIQ_NO_CONTEXT',
        message: expect.stringContaining('tryContext()') as string,
      }),
    )
    expect(tryContext()).toBeUndefined()
  })

  it('is refused in a task that is called as a function', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => tryContext()?.taskId)
    await broker.startup()

    expect(task()).toBeUndefined()
    expect(await (await task.kiq()).result()).toEqual(expect.any(String))
  })

  it('knows the message, its labels, the state and the attempt', async () => {
    const broker = inMemory()
    broker.on('workerStartup', (state) => {
      state['greeting'] = 'hi'
    })
    const task = broker.task(
      'task',
      (_n: number) => {
        const { message, taskId, taskName, labels, attempt, state, isAcked } = context()
        return { message, taskId, taskName, labels, attempt, state, isAcked }
      },
      { labels: { a: 1 } },
    )
    await broker.startup()

    const sent = await task.kicker().withTaskId('mine').kiq(5)

    expect(await sent.result()).toEqual({
      message: { taskId: 'mine', taskName: 'task', labels: { a: 1 }, args: [5], kwargs: {} },
      taskId: 'mine',
      taskName: 'task',
      labels: { a: 1 },
      attempt: 1,
      state: { greeting: 'hi' },
      isAcked: false,
    })
  })

  it('is each task’s own while many run at once, also after awaits', async () => {
    const broker = inMemory()
    const gates = Array.from({ length: 20 }, () => deferred())
    const task = broker.task('task', async (n: number) => {
      const before = context().taskId
      await gates[n]?.promise
      await delay(1)
      const inside = await Promise.all([
        Promise.resolve().then(() => context().taskId),
        delay(1).then(() => context().taskId),
      ])
      return [before, context().taskId, ...inside, context().message.args[0]]
    })
    await broker.startup()
    const sent = await Promise.all(gates.map((_gate, n) => task.kicker().withTaskId(`t${n}`).kiq(n)))

    for (const gate of gates.toReversed()) gate.resolve()

    const seen = await Promise.all(sent.map((one) => one.result()))
    expect(seen).toEqual(gates.map((_gate, n) => [`t${n}`, `t${n}`, `t${n}`, `t${n}`, n]))
  })

  it('does not leak from one task into the one it sends', async () => {
    const broker = inMemory()
    const inner = broker.task('inner', () => context().taskName)
    const outer = broker.task('outer', async () => {
      const sent = await inner.kiq()
      return [context().taskName, await sent.result(), context().taskName]
    })
    await broker.startup()

    expect(await (await outer.kiq()).result()).toEqual(['outer', 'inner', 'outer'])
  })

  it('is reached in what a task calls, and gone in what the broker calls', async () => {
    const broker = inMemory()
    const seen: unknown[] = []
    broker.withMiddlewares({
      preExecute: (message) => {
        seen.push(tryContext()?.taskName)
        return message
      },
      postExecute: () => void seen.push(tryContext()?.taskName),
    })
    const helper = async (): Promise<string> => {
      await delay(1)
      return context().taskName
    }
    const task = broker.task('task', helper)
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe('task')
    expect(seen).toEqual([undefined, undefined])
  })

  it('logs with the fields of the task', async () => {
    const logger = recordingLogger()
    const broker = inMemory({ logger })
    const task = broker.task('task', () => context().log.info({ more: 1 }, 'said'))
    await broker.startup()

    await (await task.kicker().withTaskId('mine').kiq()).result()

    expect(logger.lines).toContainEqual({
      level: 'info',
      fields: { taskId: 'mine', taskName: 'task', attempt: 1, more: 1 },
      message: 'said',
    })
  })

  it('gives one signal, which is not aborted', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => [context().signal === context().signal, context().signal.aborted])
    await broker.startup()

    expect(await (await task.kiq()).result()).toEqual([true, false])
  })
})

describe('context().progress', () => {
  it('is read by the sender, while the task runs and afterwards', async () => {
    const broker = inMemory()
    const gate = deferred()
    const reported = deferred()
    const task = broker.task('task', async () => {
      await context().progress.set('STARTED', { pct: 50 })
      reported.resolve()
      await gate.promise
      await context().progress.set('SUCCESS', { pct: 100 })
    })
    await broker.startup()
    const sent = await task.kiq()

    expect(await sent.getProgress()).toBeUndefined()
    await reported.promise
    expect(await sent.getProgress()).toEqual({ state: 'STARTED', meta: { pct: 50 } })
    gate.resolve()
    await sent.result()
    expect(await sent.getProgress()).toEqual({ state: 'SUCCESS', meta: { pct: 100 } })
  })

  it('keeps the last meta when none is given', async () => {
    const broker = inMemory()
    const task = broker.task('task', async () => {
      const { progress } = context()
      const seen = [await progress.get()]
      for (const [state, meta] of [['a'], ['b', { n: 1 }], ['c'], ['d', { n: 2 }], ['e', null], ['f']] as const) {
        await progress.set(state, meta)
        seen.push(await progress.get())
      }
      return seen
    })
    await broker.startup()

    expect(await (await task.kiq()).result()).toEqual([
      null,
      { state: 'a' },
      { state: 'b', meta: { n: 1 } },
      { state: 'c', meta: { n: 1 } },
      { state: 'd', meta: { n: 2 } },
      { state: 'e' },
      { state: 'f' },
    ])
  })

  it('keeps the last meta of the attempt before', async () => {
    const broker = inMemory()
    const task = broker.task('task', async () => {
      const { attempt, progress, retry } = context()
      if (attempt === 1) {
        await progress.set('STARTED', { pct: 30 })
        retry()
      }
      await progress.set('RETRY')
    })
    await broker.startup()
    const sent = await task.kiq()
    await sent.result()

    expect(await sent.getProgress()).toEqual({ state: 'RETRY', meta: { pct: 30 } })
  })

  it('refuses meta that cannot be stored', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => context().progress.set('x', { cb: () => {} }))
    await broker.startup()

    await expect((await task.kiq()).result()).rejects.toMatchObject({
      failure: { code: 'KIQ_RESULT_UNSERIALIZABLE', message: expect.stringContaining('`progress meta.cb`') as string },
    })
  })

  it('is each task’s own', async () => {
    const broker = inMemory()
    const task = broker.task('task', async (n: number) => {
      await delay(5 - n)
      await context().progress.set('at', n)
    })
    await broker.startup()
    const sent = await task.kiqMany([[1], [2], [3]])
    await Promise.all(sent.map((one) => one.result()))

    expect(await Promise.all(sent.map((one) => one.getProgress()))).toEqual([
      { state: 'at', meta: 1 },
      { state: 'at', meta: 2 },
      { state: 'at', meta: 3 },
    ])
  })
})
