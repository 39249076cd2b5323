import { describe, expect, expectTypeOf, it } from 'vitest'

import type { TaskMiddlewareSpec } from '../../src/di/index.ts'
import { bind, createContainer, inject, setupInjection, TaskInfo, taskMiddleware, token } from '../../src/di/index.ts'
import type { Provider, TaskMiddleware } from '../../src/di/index.ts'
import type { Broker, KiqError, Middleware, TaskResult } from '../../src/index.ts'
import { silentLogger, Worker } from '../../src/index.ts'
import { errorOf, inMemory } from '../support/brokers.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { onMemory, quiet, transactions } from './task-kit.ts'

/** A middleware that notes its hooks. */
function noting(log: string[], name: string, spec: Partial<TaskMiddlewareSpec<string, Record<string, never>>> = {}) {
  return taskMiddleware({
    before: (info) => {
      log.push(`before ${name} ${info.taskName}`)
      return `state of ${name}`
    },
    after: (_info, result, state) => void log.push(`after ${name} ${JSON.stringify(valueOf(result))} ${state}`),
    onError: (_info, error, state) => void log.push(`error ${name} ${(error as Error).message} ${state}`),
    ...spec,
  })
}

function valueOf(result: TaskResult): unknown {
  return result.isErr ? 'failed' : result.returnValue
}

interface Setting {
  readonly providers?: readonly Provider[]
  readonly middlewares: readonly TaskMiddleware[]
}

function setup({ providers = [], middlewares }: Setting) {
  const logger = recordingLogger()
  const broker = inMemory({ logger })
  setupInjection(broker, quiet(...providers), { middlewares })
  return { broker, logger }
}

/** Runs a task without dependencies. */
async function execute(broker: Broker, run: () => unknown): Promise<unknown> {
  const task = broker.task({ name: 'task', run })
  return await broker.execute(task)
}

describe('task middlewares', () => {
  it('run before in order and after in reverse, with the value, each with its own state', async () => {
    const log: string[] = []
    const { broker } = setup({ middlewares: [noting(log, 'a'), noting(log, 'b'), noting(log, 'c')] })

    await execute(broker, () => {
      log.push('run')
      return 7
    })

    expect(log).toEqual([
      'before a task',
      'before b task',
      'before c task',
      'run',
      'after c 7 state of c',
      'after b 7 state of b',
      'after a 7 state of a',
    ])
  })

  it('are told of a failure in reverse, with the very error', async () => {
    const log: string[] = []
    const seen: unknown[] = []
    const own = new Error('own')
    const { broker } = setup({
      middlewares: [
        taskMiddleware({ onError: (_info, error) => void seen.push(error) }),
        noting(log, 'a'),
        noting(log, 'b'),
      ],
    })

    await expect(
      execute(broker, () => {
        throw own
      }),
    ).rejects.toBe(own)
    expect(log).toEqual(['before a task', 'before b task', 'error b own state of b', 'error a own state of a'])
    expect(seen).toEqual([own])
  })

  it('run around tasks with and without dependencies, in every attempt, with what TaskInfo says', async () => {
    const infos: TaskInfo[] = []
    const { broker, work } = onMemory()
    setupInjection(broker, quiet(), {
      middlewares: [taskMiddleware({ before: async (info) => void infos.push(info) })],
    })
    const plain = broker.task('plain', (a: number, b: number) => a + b, { labels: { size: 1 } })
    const injected = broker.task({
      name: 'injected',
      deps: { info: TaskInfo },
      run: ({ n }: { n: number }, { info }) => [n, info.attempt],
    })
    await work()
    const sent = await plain.kiq(1, 2)

    expect(await sent.result()).toBe(3)
    expect(await (await injected.kiq({ n: 5 })).result()).toEqual([5, 1])
    expect(infos).toMatchObject([
      { taskId: sent.taskId, taskName: 'plain', attempt: 1, args: [1, 2], kwargs: {}, labels: { size: 1 } },
      { taskName: 'injected', args: [], kwargs: { n: 5 } },
    ])
  })

  it('have a state with the type of what before returns', async () => {
    const Metrics = token<{ observe(name: string, ms: number): void }>('Metrics')
    const observed: [string, boolean][] = []
    const { broker } = setup({
      providers: [bind(Metrics, { value: { observe: (name, ms) => void observed.push([name, ms >= 0]) } })],
      middlewares: [
        taskMiddleware({
          deps: { metrics: Metrics },
          before: async () => performance.now(),
          after: ({ taskName }, _result, startedAt, { metrics }) => {
            expectTypeOf(startedAt).toEqualTypeOf<number>()
            metrics.observe(taskName, performance.now() - startedAt)
          },
        }),
      ],
    })

    await execute(broker, () => 1)

    expect(observed).toEqual([['task', true]])
  })

  it('see what the function returned as a result with its labels', async () => {
    const results: TaskResult[] = []
    const { broker } = setup({ middlewares: [taskMiddleware({ after: (_info, result) => void results.push(result) })] })
    const task = broker.task('labelled', async () => ({ n: 1 }), { labels: { size: 1 } })

    await broker.execute(task, [])

    expect(results).toEqual([
      { isErr: false, returnValue: { n: 1 }, executionTime: expect.any(Number) as number, labels: { size: 1 } },
    ])
  })
})

describe('a hook that throws', () => {
  it('in before fails the attempt: the function is not called, and only those before it are told', async () => {
    const log: string[] = []
    const refused = new Error('refused')
    const { broker, logger } = setup({
      middlewares: [noting(log, 'a'), noting(log, 'b', { before: () => Promise.reject(refused) }), noting(log, 'c')],
    })
    let calls = 0
    const task = broker.task({ name: 'task', run: () => (calls += 1) })
    await broker.startup()

    await expect(broker.execute(task)).rejects.toBe(refused)
    expect(log).toEqual(['before a task', 'error a refused state of a'])
    expect(errorOf(await (await task.kiq()).waitResult()).message).toBe('refused')
    expect(calls).toBe(0)
    expect(logger.lines.filter(({ fields }) => 'hook' in fields)).toEqual([])
  })

  it('in after or onError is logged, and changes nothing', async () => {
    const log: string[] = []
    const broken = new Error('broken hook')
    const throwing = (): never => {
      throw broken
    }
    const { broker, logger } = setup({
      middlewares: [
        noting(log, 'a'),
        noting(log, 'b', { after: throwing, onError: () => Promise.reject(broken) }),
        noting(log, 'c'),
      ],
    })
    const task = broker.task('task', (ok: boolean) => {
      if (!ok) throw new Error('own')
      return 1
    })

    expect(await broker.execute(task, [true])).toBe(1)
    await expect(broker.execute(task, [false])).rejects.toThrow('own')
    expect(log).toEqual([
      ...['before a task', 'before b task', 'before c task', 'after c 1 state of c', 'after a 1 state of a'],
      ...['before a task', 'before b task', 'before c task', 'error c own state of c', 'error a own state of a'],
    ])
    expect(logger.lines).toMatchObject([
      { level: 'error', fields: { err: broken, hook: 'after', taskName: 'task' } },
      { level: 'error', fields: { err: broken, hook: 'onError', taskName: 'task' } },
    ])
  })
})

describe('a hook that hangs', () => {
  it.each(['inside', 'outside'] as const)('after the task does not hold it for ever: phase %s', async (phase) => {
    const log: string[] = []
    const logger = recordingLogger()
    const { broker, work } = onMemory({ logger })
    const hangs = (): Promise<void> => new Promise(() => {})
    setupInjection(broker, createContainer({ disposeTimeout: 30, logger: silentLogger }), {
      middlewares: [noting(log, 'a'), noting(log, 'b', { phase, after: hangs, onError: hangs })],
    })
    const task = broker.task('task', (ok: boolean) => {
      if (!ok) throw new Error('own')
      return 1
    })
    await work()

    expect(await (await task.kiq(true)).result()).toBe(1)
    expect(errorOf(await (await task.kiq(false)).waitResult()).message).toBe('own')
    expect(log.filter((line) => !line.startsWith('before'))).toEqual(['after a 1 state of a', 'error a own state of a'])
    expect(logger.lines.filter(({ fields }) => 'hook' in fields)).toMatchObject([
      { level: 'error', fields: { hook: 'after' } },
      { level: 'error', fields: { hook: 'onError' } },
    ])
  })
})

describe('the phase of a task middleware', () => {
  const inside = (log: string[]): TaskMiddleware => noting(log, 'inside', { phase: 'inside' })
  const outside = (log: string[]): TaskMiddleware => noting(log, 'outside')
  const order = (log: string[], tx: { readonly log: readonly string[] }): string[] =>
    [...log, ...tx.log].filter((line) => !line.startsWith('begin') && !line.startsWith('before'))

  it('says whether hooks run before or after the end of the scope', async () => {
    const log: string[] = []
    const tx = transactions((n) => void log.push(`committing ${n}`))
    const { broker } = setup({ providers: [tx.provider], middlewares: [inside(log), outside(log)] })
    const task = broker.task({ name: 'task', deps: { tx: tx.key }, run: () => 1 })

    await broker.execute(task)

    expect(log).toEqual([
      'before inside task',
      'before outside task',
      'after inside 1 state of inside',
      'committing 1',
      'after outside 1 state of outside',
    ])
  })

  it('outside sees a commit that failed as a failure; inside had seen success', async () => {
    const log: string[] = []
    const tx = transactions(() => {
      throw new Error('commit refused')
    })
    const { broker } = setup({ providers: [tx.provider], middlewares: [inside(log), outside(log)] })
    const task = broker.task({ name: 'task', deps: { tx: tx.key }, run: () => 1 })

    await expect(broker.execute(task)).rejects.toThrow('commit refused')
    expect(order(log, tx)).toEqual(['after inside 1 state of inside', 'error outside commit refused state of outside'])
  })

  it('inside may use what is scoped, the same the task uses', async () => {
    const tx = transactions()
    const seen: unknown[] = []
    const { broker } = setup({
      providers: [tx.provider],
      middlewares: [
        taskMiddleware({
          phase: 'inside',
          deps: { tx: tx.key },
          after: (_info, _result, _state, deps) => void seen.push(deps.tx, inject(tx.key), [...tx.log]),
        }),
      ],
    })
    const task = broker.task({ name: 'task', deps: { tx: tx.key }, run: (_: unknown, deps) => void seen.push(deps.tx) })

    await broker.execute(task)

    expect(seen).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }, ['begin 1']])
    expect(new Set(seen.slice(0, 3)).size).toBe(1)
    expect(tx.log).toEqual(['begin 1', 'commit 1'])
  })

  it('outside is refused at startup for hooks that would use what is scoped', async () => {
    const tx = transactions()
    const Service = token<object>('Service')
    const service = bind(Service, { scope: 'transient', deps: { tx: tx.key }, create: (deps) => deps })
    const { broker } = onMemory()
    setupInjection(broker, quiet(tx.provider, service), {
      middlewares: [
        taskMiddleware({ deps: { tx: tx.key }, before: () => 1 }),
        taskMiddleware({ deps: { service: Service }, after: () => undefined }),
        taskMiddleware({ deps: { tx: tx.key }, onError: () => undefined }),
        taskMiddleware({ deps: { tx: tx.key }, onError: () => undefined, phase: 'inside' }),
        taskMiddleware({ deps: { info: TaskInfo }, after: () => undefined }),
      ],
    })

    const error = await new Worker(broker).start().catch((reason: unknown) => reason as KiqError)

    expect(error).toMatchObject({
      code: 'KIQ_DI_INVALID',
      problems: [
        { code: 'KIQ_DI_HOOK_SCOPED', severity: 'error', path: ['middleware:2', 'Service', 'Tx'] },
        { code: 'KIQ_DI_HOOK_SCOPED', severity: 'error', path: ['middleware:3', 'Tx'] },
      ],
    })
    expect(broker.isStarted).toBe(false)
  })
})

describe('task middlewares beside middlewares of the broker', () => {
  it('run within them: those see the outcome after the scope, and what they put in the message is seen here', async () => {
    const log: string[] = []
    const tx = transactions((n) => void log.push(`commit ${n}`))
    const broker = inMemory().withMiddlewares({
      preExecute: (message) => {
        log.push('preExecute')
        return { ...message, labels: { ...message.labels, added: 'here' } }
      },
      postExecute: () => void log.push('postExecute'),
    } satisfies Middleware)
    setupInjection(broker, quiet(tx.provider), {
      middlewares: [
        taskMiddleware({
          before: ({ labels }) => void log.push(`before ${String(labels['added'])}`),
          after: () => void log.push('after'),
        }),
      ],
    })
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key, info: TaskInfo },
      run: (_: unknown, { info }) => info.labels['added'],
    })
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe('here')
    expect(log).toEqual(['preExecute', 'before here', 'commit 1', 'after', 'postExecute'])
  })
})
