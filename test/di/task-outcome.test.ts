import { describe, expect, it } from 'vitest'

import type { DisposeError } from '../../src/di/index.ts'
import { bind, createContainer, lazy, ProviderError, setupInjection, TaskInfo, token } from '../../src/di/index.ts'
import type { TaskContext } from '../../src/index.ts'
import {
  KiqError,
  noResult,
  rejectTask,
  requeueTask,
  retryTask,
  silentLogger,
  SimpleRetryMiddleware,
} from '../../src/index.ts'
import { errorOf, inMemory } from '../support/brokers.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { onMemory, quiet, transactions } from './task-kit.ts'

const caught = async (work: Promise<unknown>): Promise<unknown> =>
  await work.then(
    () => expect.unreachable('It succeeded.'),
    (error: unknown) => error,
  )

describe('a commit that fails', () => {
  it('is the outcome of a task that returned, and what was made before it is rolled back with it', async () => {
    const Outer = token<string>('Outer')
    const outerSaw: unknown[] = []
    const refused = Object.assign(new RangeError('commit refused'), { code: 'E_REFUSED' })
    const tx = transactions(() => {
      throw refused
    })
    const broker = inMemory()
    setupInjection(
      broker,
      quiet(
        tx.provider,
        bind(Outer, {
          scope: 'scoped',
          use: function* () {
            try {
              yield 'outer'
            } catch (error) {
              outerSaw.push(error)
              throw error
            }
          },
        }),
      ),
    )
    const task = broker.task({
      name: 'task',
      deps: { outer: Outer, tx: tx.key },
      run: (_: unknown, deps) => `${deps.outer} ${deps.tx.n}`,
    })
    await broker.startup()

    expect(errorOf(await (await task.kiq()).waitResult())).toMatchObject({
      name: 'RangeError',
      message: 'commit refused',
      code: 'E_REFUSED',
    })
    expect(await caught(broker.execute(task))).toBe(refused)
    expect(outerSaw).toEqual([refused, refused])
  })

  it('is worth a retry as any failure', async () => {
    const tx = transactions((n) => {
      if (n === 1) throw new Error('deadlock')
    })
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware({ defaultRetryLabel: true }))
    setupInjection(broker, quiet(tx.provider))
    const task = broker.task({ name: 'task', deps: { tx: tx.key }, run: (_: unknown, deps) => deps.tx.n })
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(2)
    expect(tx.log).toEqual(['begin 1', 'begin 2', 'commit 2'])
  })
})

describe('a task that throws', () => {
  it('rolls back with its own error, and that is the outcome', async () => {
    const tx = transactions()
    const broker = inMemory()
    setupInjection(broker, quiet(tx.provider))
    const own = new RangeError('too far')
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key },
      run: async () => {
        await Promise.resolve()
        throw own
      },
    })
    await broker.startup()

    expect(errorOf(await (await task.kiq()).waitResult())).toMatchObject({ name: 'RangeError', message: 'too far' })
    expect(tx.errors).toHaveLength(1)
    expect(tx.errors[0]).toBe(own)
    expect(await caught(broker.execute(task))).toBe(own)
    expect(tx.log).toEqual(['begin 1', 'rollback 1', 'begin 2', 'rollback 2'])
  })

  it('has failed also when a generator holds the error back, or throws another', async () => {
    const Quiet = token<string>('Quiet')
    const Loud = token<string>('Loud')
    const logger = recordingLogger()
    const broker = inMemory({ logger })
    setupInjection(
      broker,
      quiet(
        bind(Quiet, {
          scope: 'scoped',
          use: function* () {
            try {
              yield 'quiet'
            } catch {
              // Held back.
            }
          },
        }),
        bind(Loud, {
          scope: 'scoped',
          use: function* () {
            try {
              yield 'loud'
            } finally {
              throw new Error('rollback failed')
            }
          },
        }),
      ),
    )
    const own = new Error('own')
    const task = broker.task({
      name: 'task',
      deps: { quiet: Quiet, loud: Loud },
      run: () => {
        throw own
      },
    })

    expect(await caught(broker.execute(task))).toBe(own)
    expect(logger.lines.filter(({ fields }) => 'key' in fields)).toMatchObject([
      {
        level: 'error',
        fields: { key: 'Loud', err: { code: 'KIQ_DI_DISPOSE_FAILED', cause: { message: 'rollback failed' } } },
      },
    ])
  })
})

describe('an error of dispose', () => {
  it('changes no outcome, and is told to onDisposeError and to the logger of the broker, with the task', async () => {
    const Good = token<string>('Good')
    const Bad = token<string>('Bad')
    const told: [DisposeError, TaskContext | undefined][] = []
    const closed: string[] = []
    const logger = recordingLogger()
    const broker = inMemory({ logger })
    const container = createContainer({
      logger: silentLogger,
      onDisposeError: (error, task) => void told.push([error, task]),
      providers: [
        bind(Good, { scope: 'scoped', create: () => 'good', dispose: (value) => void closed.push(value) }),
        bind(Bad, {
          scope: 'scoped',
          create: () => 'bad',
          dispose: () => {
            throw new Error('cannot close')
          },
        }),
      ],
    })
    setupInjection(broker, container)
    const task = broker.task({
      name: 'task',
      deps: { good: Good, bad: Bad },
      run: (_: unknown, deps) => [deps.good, deps.bad],
    })
    await broker.startup()
    const sent = await task.kiq()

    expect(await sent.result()).toEqual(['good', 'bad'])
    expect(closed).toEqual(['good'])
    expect(told).toHaveLength(1)
    expect(told[0]?.[0]).toMatchObject({
      code: 'KIQ_DI_DISPOSE_FAILED',
      keyName: 'Bad',
      cause: { message: 'cannot close' },
    })
    expect(told[0]?.[1]).toMatchObject({ taskId: sent.taskId, taskName: 'task' })
    expect(logger.lines).toMatchObject([
      { level: 'error', fields: { taskId: sent.taskId, taskName: 'task', key: 'Bad', err: told[0]?.[0] } },
    ])
  })

  it('is no outcome even when onDisposeError throws', async () => {
    const Bad = token<string>('Bad')
    const broker = inMemory()
    const container = createContainer({
      logger: silentLogger,
      onDisposeError: () => {
        throw new Error('in the hook')
      },
      providers: [
        bind(Bad, { scope: 'scoped', create: () => 'bad', dispose: () => Promise.reject(new Error('cannot close')) }),
      ],
    })
    setupInjection(broker, container)
    const task = broker.task({ name: 'task', deps: { bad: Bad }, run: (_: unknown, deps) => deps.bad })

    expect(await broker.execute(task)).toBe('bad')
  })
})

describe('what steers a task', () => {
  it.each([
    ['retryTask', retryTask],
    ['requeueTask', requeueTask],
  ] as const)('%s rolls back, and the next attempt has a scope of its own', async (_name, steer) => {
    const tx = transactions()
    const broker = inMemory()
    setupInjection(broker, quiet(tx.provider))
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key, info: TaskInfo },
      run: (_: unknown, deps) => {
        if (deps.info.attempt === 1) throw steer()
        return deps.tx.n
      },
    })
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(2)
    expect(tx.log).toEqual(['begin 1', 'rollback 1', 'begin 2', 'commit 2'])
  })

  it('rejectTask rolls back', async () => {
    const tx = transactions()
    const { broker, transport, work } = onMemory()
    setupInjection(broker, quiet(tx.provider))
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key },
      run: () => {
        throw rejectTask('not for us')
      },
    })
    await work()
    const sent = await task.kiq()

    expect(errorOf(await sent.waitResult()).code).toBe('KIQ_TASK_REJECTED')
    expect(tx.log).toEqual(['begin 1', 'rollback 1'])
    expect(await transport.deadLetters.list({ taskId: sent.taskId })).toMatchObject([{ reason: 'not for us' }])
  })

  it('noResult commits', async () => {
    const tx = transactions()
    const broker = inMemory()
    setupInjection(broker, quiet(tx.provider))
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key },
      run: () => {
        throw noResult()
      },
    })
    await broker.startup()
    const sent = await task.kiq()
    await broker.waitAll()

    expect(tx.log).toEqual(['begin 1', 'commit 1'])
    expect(await sent.isReady()).toBe(false)
  })

  it('is passed on when a provider throws it', async () => {
    const Quota = token<number>('Quota')
    let asked = 0
    const broker = inMemory()
    setupInjection(
      broker,
      quiet(
        bind(Quota, {
          scope: 'scoped',
          create: async () => {
            asked += 1
            if (asked === 1) throw retryTask({ labels: { waited: true } })
            return asked
          },
        }),
      ),
    )
    const task = broker.task({
      name: 'task',
      deps: { quota: Quota, info: TaskInfo },
      run: (_: unknown, { quota, info }) => [quota, info.attempt, info.labels['waited']],
    })
    await broker.startup()

    expect(await (await task.kiq()).result()).toEqual([2, 2, true])
  })
})

describe('a provider that fails', () => {
  const A = token<string>('A')
  const B = token<string>('B')
  const cause = new TypeError('no connection')

  it.each([
    [
      'at once',
      () => {
        throw cause
      },
    ],
    ['later', () => Promise.reject(cause)],
  ] as const)('%s is a failure with the path from the task and its cause', async (_when, create) => {
    const broker = inMemory()
    setupInjection(
      broker,
      quiet(bind(B, { scope: 'scoped', create }), bind(A, { scope: 'scoped', deps: { b: B }, create: ({ b }) => b })),
    )
    let calls = 0
    const task = broker.task({ name: 'x', deps: { a: A }, run: () => (calls += 1) })
    await broker.startup()

    const error = await caught(broker.execute(task))
    expect(error).toBeInstanceOf(ProviderError)
    expect(error).toMatchObject({ code: 'KIQ_DI_PROVIDER_FAILED', path: ['task:x', 'A', 'B'] })
    expect((error as ProviderError).cause).toBe(cause)
    expect(await (await task.kiq()).waitResult()).toMatchObject({
      isErr: true,
      error: {
        name: 'ProviderError',
        code: 'KIQ_DI_PROVIDER_FAILED',
        message: 'task:x > A > B: it could not be made: no connection',
        cause: { name: 'TypeError', message: 'no connection' },
      },
    })
    expect(calls).toBe(0)
  })

  it('closes what was made before it, with that error', async () => {
    const tx = transactions()
    const broker = inMemory()
    setupInjection(broker, quiet(tx.provider, bind(B, { scope: 'scoped', create: () => Promise.reject(cause) })))
    const task = broker.task({ name: 'x', deps: { tx: tx.key, b: B }, run: () => 'never' })

    const error = await caught(broker.execute(task))

    expect(tx.log).toEqual(['begin 1', 'rollback 1'])
    expect(tx.errors[0]).toBe(error)
  })

  it('behind lazy() is an error of the call, which the task may catch', async () => {
    let asked = 0
    const broker = inMemory()
    setupInjection(
      broker,
      quiet(
        bind(B, {
          scope: 'scoped',
          create: () => {
            asked += 1
            if (asked === 1) throw cause
            return `asked ${asked} times`
          },
        }),
      ),
    )
    const task = broker.task({
      name: 'x',
      deps: { b: lazy(B) },
      run: async (_: unknown, { b }) => {
        const first = await b().catch((error: unknown) => error)
        return [KiqError.is(first, 'KIQ_DI_PROVIDER_FAILED'), await b()]
      },
    })

    expect(await broker.execute(task)).toEqual([true, 'asked 2 times'])
  })

  it('is worth a retry', async () => {
    let asked = 0
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware({ defaultRetryLabel: true }))
    setupInjection(
      broker,
      quiet(
        bind(B, {
          eager: false,
          create: async () => {
            asked += 1
            if (asked === 1) throw cause
            return `asked ${asked} times`
          },
        }),
      ),
    )
    const task = broker.task({ name: 'x', deps: { b: B }, run: (_: unknown, { b }) => b })
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe('asked 2 times')
  })
})
