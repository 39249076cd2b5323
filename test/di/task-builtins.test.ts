import { describe, expect, it } from 'vitest'

import type { Dependency, Value } from '../../src/di/index.ts'
import {
  bind,
  CurrentScope,
  Enqueuer,
  inject,
  setupInjection,
  TaskInfo,
  TaskLog,
  TaskProgress,
  TaskSignal,
  TaskState,
  token,
} from '../../src/di/index.ts'
import type { Labels, Middleware } from '../../src/index.ts'
import { context, sharedBroker } from '../../src/index.ts'
import { fake, inMemory } from '../support/brokers.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { onMemory, quiet } from './task-kit.ts'

describe('what every task can ask for', () => {
  it('is what context() has: info, signal, log, progress, state', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet())
    broker.on('workerStartup', (state) => {
      state['model'] = 'loaded'
    })
    const task = broker.task({
      name: 'task',
      labels: { size: 1 },
      deps: { info: TaskInfo, signal: TaskSignal, progress: TaskProgress, state: TaskState },
      run: async ({ n }: { n: number }, { info, signal, progress, state }) => {
        await progress.set('HALF', { n })
        const current = context()
        return {
          info: { ...info, enqueuedAt: info.enqueuedAt?.getTime() },
          same: [signal === current.signal, state === current.state, signal.aborted],
          model: state['model'],
        }
      },
    })
    await broker.startup()
    const before = Date.now()
    const sent = await task.kiq({ n: 7 })

    const { info, same, model } = await sent.result()

    expect(info).toEqual({
      taskId: sent.taskId,
      taskName: 'task',
      attempt: 1,
      labels: { size: 1 },
      args: [],
      kwargs: { n: 7 },
      enqueuedAt: expect.any(Number) as number,
    })
    expect(info.enqueuedAt).toBeGreaterThanOrEqual(before)
    expect(info.enqueuedAt).toBeLessThanOrEqual(Date.now())
    expect(same).toEqual([true, true, false])
    expect(model).toBe('loaded')
    expect(await sent.getProgress()).toEqual({ state: 'HALF', meta: { n: 7 } })
  })

  it('says nothing of when a task was sent whose id does not', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet())
    const task = broker.task({ name: 'task', deps: { info: TaskInfo }, run: (_: unknown, { info }) => info.enqueuedAt })
    const taskId = '0b2f6d0e-5f0c-4f5e-9d0a-0d6c1c9a7e11'

    expect(await broker.execute(task, undefined, { taskId })).toBeUndefined()
  })

  it('reaches services as it reaches the task', async () => {
    const Audit = token<{ note(text: string): void }>('Audit')
    const logger = recordingLogger()
    const broker = inMemory({ logger })
    setupInjection(
      broker,
      quiet(
        bind(Audit, {
          scope: 'scoped',
          deps: { log: TaskLog, info: TaskInfo },
          create: ({ log, info }) => ({ note: (text) => log.warn({ by: info.taskName }, text) }),
        }),
      ),
    )
    const task = broker.task({
      name: 'task',
      deps: { audit: Audit },
      run: (_: unknown, { audit }) => audit.note('done'),
    })
    await broker.startup()
    const sent = await task.kiq()
    await sent.result()

    expect(logger.lines).toEqual([
      {
        level: 'warn',
        message: 'done',
        fields: { taskId: sent.taskId, taskName: 'task', attempt: 1, by: 'task' },
      },
    ])
  })

  it('is refused to singletons, which outlive every task', async () => {
    const Single = token<unknown>('Single')
    const { broker, work } = onMemory()
    const wanted: readonly Dependency[] = [
      TaskInfo,
      TaskSignal,
      TaskLog,
      TaskProgress,
      TaskState,
      Enqueuer,
      CurrentScope,
    ]
    setupInjection(
      broker,
      quiet(
        bind(Single, {
          deps: Object.fromEntries(wanted.map((key, n) => [`${n}`, key])),
          create: () => 1,
        }),
      ),
    )
    broker.task({ name: 'task', deps: { single: Single }, run: () => 1 })

    await expect(work()).rejects.toMatchObject({ problems: wanted.map(() => ({ code: 'KIQ_DI_CAPTIVE' })) })
  })

  it('includes the scope, for keys that are known late', async () => {
    const first = token<string>('first')
    const second = token<string>('second')
    const broker = inMemory()
    setupInjection(
      broker,
      quiet(bind(first, { scope: 'scoped', create: () => 'one' }), bind(second, { create: async () => 'two' })),
    )
    const keys = { first, second }
    const task = broker.task({
      name: 'task',
      deps: { scope: CurrentScope },
      run: async ({ name }: { name: keyof typeof keys }, { scope }) => {
        const value = await scope.get(keys[name])
        return [value, scope.getSync(keys[name]), inject(keys[name]), scope.isClosed]
      },
    })

    expect(await broker.execute(task, { name: 'first' })).toEqual(['one', 'one', 'one', false])
    expect(await broker.execute(task, { name: 'second' })).toEqual(['two', 'two', 'two', false])
  })
})

describe('Enqueuer', () => {
  it('hands ids and trace down the chain', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet())
    const received: Record<string, Labels> = {}
    const note = (info: TaskInfo): void => {
      received[info.taskName] = info.labels
    }
    const grandchild = broker.task({
      name: 'grandchild',
      deps: { info: TaskInfo },
      run: (_: unknown, { info }) => note(info),
    })
    const child = broker.task({
      name: 'child',
      labels: { own: 'label' },
      deps: { info: TaskInfo, enqueuer: Enqueuer },
      run: async (_: unknown, { info, enqueuer }) => {
        note(info)
        return (await enqueuer.kiq(grandchild)).taskId
      },
    })
    const parent = broker.task({
      name: 'parent',
      deps: { info: TaskInfo, enqueuer: Enqueuer },
      run: async (_: unknown, { info, enqueuer }) => {
        note(info)
        return (await enqueuer.kiq(child)).taskId
      },
    })
    await broker.startup()
    const trace = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'vendor=1' }
    const sent = await parent
      .kicker()
      .withLabels({ ...trace, secret: 'not for others' })
      .kiq()
    const childId = await sent.result()
    await broker.waitAll()

    expect(received['parent']).toEqual({ ...trace, secret: 'not for others' })
    expect(received['child']).toEqual({ own: 'label', parent_id: sent.taskId, root_id: sent.taskId, ...trace })
    expect(received['grandchild']).toEqual({ parent_id: childId, root_id: sent.taskId, ...trace })
  })

  it('sends many, and with a builder', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet())
    const child = broker.task('child', (n: number) => [n, context().labels])
    const ids: string[] = []
    const parent = broker.task({
      name: 'parent',
      deps: { enqueuer: Enqueuer },
      run: async (_: unknown, { enqueuer }) => {
        const many = await enqueuer.kiqMany(child, [[1], [2]])
        const one = await enqueuer.kicker(child).withLabels({ extra: true, parent_id: 'chosen' }).kiq(3)
        ids.push(...many.map(({ taskId }) => taskId), one.taskId)
      },
    })
    await broker.startup()
    const { taskId } = await parent.kiq()
    await broker.waitResult(taskId)
    const results = await Promise.all(ids.map((id) => broker.sentTask(id).result()))

    const from = { parent_id: taskId, root_id: taskId }
    expect(results).toEqual([
      [1, from],
      [2, from],
      [3, { ...from, extra: true, parent_id: 'chosen' }],
    ])
  })

  it('goes through the hooks of sending', async () => {
    const sentBy: unknown[] = []
    const broker = inMemory().withMiddlewares({
      preSend: (message) => {
        sentBy.push([message.taskName, message.labels['parent_id'] !== undefined])
        return message
      },
    } satisfies Middleware)
    setupInjection(broker, quiet())
    const child = broker.task('child', () => 1)
    const parent = broker.task({
      name: 'parent',
      deps: { enqueuer: Enqueuer },
      run: async (_: unknown, { enqueuer }) => {
        await enqueuer.kiq(child)
      },
    })
    await broker.startup()
    await (await parent.kiq()).result()

    expect(sentBy).toEqual([
      ['parent', false],
      ['child', true],
    ])
  })

  it('sends through the broker that runs the task, if that knows the other one, else through its own', async () => {
    const first = inMemory()
    const second = inMemory()
    const other = fake()
    const shared = sharedBroker.task('di.enqueuer.shared', () => context().state['name'])
    sharedBroker.defaultBroker(other.broker)
    const foreign = other.broker.task('foreign', () => 1)
    const run = async (_: unknown, { enqueuer }: { enqueuer: Value<typeof Enqueuer> }): Promise<string> => {
      await enqueuer.kiq(foreign)
      return (await enqueuer.kiq(shared)).taskId
    }
    for (const [name, broker] of Object.entries({ first, second })) {
      broker.state['name'] = name
      setupInjection(broker, quiet())
    }
    const ofFirst = first.task({ name: 'parent', deps: { enqueuer: Enqueuer }, run })
    const ofSecond = second.task({ name: 'parent', deps: { enqueuer: Enqueuer }, run })
    await Promise.all([first.startup(), second.startup(), other.broker.startup()])

    const firstId = await (await ofFirst.kiq()).result()
    const secondId = await (await ofSecond.kiq()).result()

    expect(await first.sentTask(firstId).result()).toBe('first')
    expect(await second.sentTask(secondId).result()).toBe('second')
    expect(other.transport.sent.map(({ taskName }) => taskName)).toEqual(['foreign', 'foreign'])
  })
})
