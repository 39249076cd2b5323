import { describe, expect, it } from 'vitest'

import {
  bind,
  createContainer,
  CurrentScope,
  inject,
  lazy,
  setupInjection,
  TaskInfo,
  TaskSignal,
  token,
} from '../../src/di/index.ts'
import type { KiqError } from '../../src/index.ts'
import { silentLogger } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { errorOf } from '../support/brokers.ts'
import { deferred, settled } from '../support/deferred.ts'
import { onMemory, quiet, transactions } from './task-kit.ts'

const soon = { timeoutMs: 10_000 }
const Later = token<string>('Later')

const later = bind(Later, { scope: 'scoped', create: () => 'later' })

const aborted = async (signal: AbortSignal): Promise<KiqError> =>
  await new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason as KiqError)
    signal.addEventListener('abort', () => resolve(signal.reason as KiqError), { once: true })
  })

const codeOf = async (work: () => unknown): Promise<unknown> => {
  try {
    return await work()
  } catch (error) {
    return (error as Partial<KiqError>).code
  }
}

describe('a singleton that takes longer than the timeout of the task', () => {
  it('is made once: the attempt times out, and the next tasks get it', async () => {
    const Model = token<string>('Model')
    const loaded = deferred<string>()
    const tx = transactions()
    let builds = 0
    let calls = 0
    const { broker, work } = onMemory()
    setupInjection(
      broker,
      quiet(
        tx.provider,
        bind(Model, {
          eager: false,
          create: () => {
            builds += 1
            return loaded.promise
          },
        }),
      ),
    )
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key, model: Model },
      run: (_: unknown, { model }) => {
        calls += 1
        return model
      },
    })
    await work()

    const impatient = await task.kicker().withTimeout(30).kiq()
    const patient = await task.kiq()
    expect(errorOf(await impatient.waitResult())).toMatchObject({ code: 'KIQ_TASK_TIMED_OUT', name: 'TimeoutError' })
    expect(calls).toBe(0)
    expect(tx.log).toEqual(['begin 1', 'begin 2', 'rollback 1'])
    loaded.resolve('the model')

    expect(await patient.result()).toBe('the model')
    expect(await (await task.kiq()).result()).toBe('the model')
    expect(builds).toBe(1)
    expect(calls).toBe(2)
  })
})

describe('what comes after the timeout of the task', () => {
  it('is rolled back: a generator that was not ready', async () => {
    const Tx = token<string>('Tx')
    const begun = deferred()
    const ended = deferred<unknown>()
    const { broker, work } = onMemory()
    setupInjection(
      broker,
      quiet(
        bind(Tx, {
          scope: 'scoped',
          use: async function* () {
            await begun.promise
            try {
              yield 'tx'
            } catch (error) {
              ended.resolve(error)
              throw error
            }
            ended.resolve('committed')
          },
        }),
      ),
    )
    const task = broker.task({ name: 'task', timeout: 20, deps: { tx: Tx }, run: () => 1 })
    await work()
    expect(errorOf(await (await task.kiq()).waitResult()).code).toBe('KIQ_TASK_TIMED_OUT')

    begun.resolve()

    expect(await ended.promise).toBeInstanceOf(Error)
  })

  it('is not begun: what would have been made next', async () => {
    const Slow = token<string>('Slow')
    const loaded = deferred<string>()
    const tx = transactions()
    const { broker, work } = onMemory()
    const container = quiet(tx.provider, bind(Slow, { eager: false, create: () => loaded.promise }))
    setupInjection(broker, container)
    const task = broker.task({ name: 'task', timeout: 20, deps: { slow: Slow, tx: tx.key }, run: () => 1 })
    await work()
    await (await task.kiq()).waitResult()

    loaded.resolve('slow')
    expect(await container.get(Slow)).toBe('slow')
    await settled()

    expect(tx.log).toEqual([])
  })
})

describe('a task that does not stop at its timeout', () => {
  it('is told by its signal; its scope is closed with the timeout, and gives nothing any more', async () => {
    const tx = transactions()
    const release = deferred()
    const straggler = deferred<readonly unknown[]>()
    let reason: unknown
    const { broker, work } = onMemory()
    setupInjection(broker, quiet(tx.provider, later))
    const task = broker.task({
      name: 'task',
      timeout: 30,
      deps: { tx: tx.key, signal: TaskSignal, later: lazy(Later), scope: CurrentScope },
      run: async (_: unknown, deps) => {
        reason = await aborted(deps.signal)
        await release.promise
        straggler.resolve([
          await codeOf(() => deps.later()),
          await codeOf(() => inject(Later)),
          await codeOf(() => inject(TaskInfo)),
          await codeOf(() => deps.scope.get(Later)),
          await codeOf(() => deps.scope.getSync(Later)),
          deps.scope.isClosed,
        ])
        return 'too late'
      },
    })
    await work()
    const sent = await task.kiq()

    expect(errorOf(await sent.waitResult())).toMatchObject({ code: 'KIQ_TASK_TIMED_OUT', name: 'TimeoutError' })
    expect(tx.log).toEqual(['begin 1', 'rollback 1'])
    expect(tx.errors[0]).toBe(reason)
    expect(reason).toMatchObject({ code: 'KIQ_TASK_TIMED_OUT' })
    release.resolve()

    const closed = 'KIQ_DI_SCOPE_CLOSED'
    expect(await straggler.promise).toEqual([closed, closed, closed, closed, closed, true])
    expect((await sent.waitResult()).isErr).toBe(true)
    expect(tx.log).toEqual(['begin 1', 'rollback 1'])
  })

  it('has its result only after its scope is closed', async () => {
    const Slow = token<string>('Slow')
    const closing = deferred()
    const closed = deferred()
    const { broker, work } = onMemory()
    setupInjection(
      broker,
      quiet(
        bind(Slow, {
          scope: 'scoped',
          create: () => 'slow',
          dispose: async () => {
            closing.resolve()
            await closed.promise
          },
        }),
      ),
    )
    const task = broker.task({ name: 'task', timeout: 20, deps: { slow: Slow }, run: () => new Promise(() => {}) })
    await work()
    const sent = await task.kiq()

    await closing.promise
    expect(await sent.isReady()).toBe(false)
    closed.resolve()

    expect(errorOf(await sent.waitResult()).code).toBe('KIQ_TASK_TIMED_OUT')
  })
})

describe('a task that ends in the grace period after its timeout', () => {
  it.each([
    ['returns', (): string => 'done'],
    [
      'throws something of its own',
      (): string => {
        throw new Error('interrupted')
      },
    ],
  ] as const)('and %s has timed out, and is rolled back with that', async (_how, end) => {
    const tx = transactions()
    const { broker, work } = onMemory()
    setupInjection(broker, quiet(tx.provider))
    const task = broker.task({
      name: 'task',
      timeout: 20,
      deps: { tx: tx.key, signal: TaskSignal },
      run: async (_: unknown, { signal }) => {
        await aborted(signal)
        return end()
      },
    })
    await work({ abortGrace: '30s' })

    expect(errorOf(await (await task.kiq()).waitResult()).code).toBe('KIQ_TASK_TIMED_OUT')
    expect(tx.log).toEqual(['begin 1', 'rollback 1'])
    expect(tx.errors[0]).toMatchObject({ code: 'KIQ_TASK_TIMED_OUT' })
  })
})

describe('a commit that is under way', () => {
  /** A task with a commit that the test ends. */
  async function committing(options: { readonly timeout?: number } = {}) {
    const begun = deferred()
    const end = deferred()
    const tx = transactions(async () => {
      begun.resolve()
      await end.promise
    })
    const { broker, work } = onMemory()
    setupInjection(broker, quiet(tx.provider))
    let signal: AbortSignal | undefined
    const task = broker.task({
      name: 'task',
      timeout: options.timeout,
      deps: { tx: tx.key, signal: TaskSignal },
      run: (_: unknown, deps) => {
        signal = deps.signal
        return 'committed'
      },
    })
    const worker = await work()
    const sent = await task.kiq()
    await begun.promise
    return { broker, worker, sent, end, tx, isAborted: () => signal?.aborted }
  }

  it('outlasts the timeout of the task', async () => {
    const since = performance.now()
    const { sent, end, tx, isAborted } = await committing({ timeout: 20 })

    await until(() => performance.now() > since + 100, soon)
    end.resolve()

    expect(await sent.result()).toBe('committed')
    expect(tx.log).toEqual(['begin 1', 'commit 1'])
    expect(isAborted()).toBe(false)
  })

  it('is not undone by a cancel', async () => {
    const { sent, end, tx, isAborted } = await committing()

    await sent.cancel()
    expect(isAborted()).toBe(true)
    end.resolve()

    expect(await sent.result()).toBe('committed')
    expect(tx.log).toEqual(['begin 1', 'commit 1'])
  })

  it('is not undone by the stop of the worker', async () => {
    const { worker, sent, end, tx, isAborted } = await committing()

    const stopped = worker.stop({ running: 'abort' })
    await until(isAborted, soon)
    end.resolve()
    await stopped

    expect(await sent.result()).toBe('committed')
    expect(tx.log).toEqual(['begin 1', 'commit 1'])
  })
})

describe('a commit that hangs', () => {
  it('is a failure after the disposeTimeout of the container', async () => {
    const tx = transactions(() => new Promise(() => {}))
    const { broker, work } = onMemory()
    setupInjection(broker, createContainer({ logger: silentLogger, disposeTimeout: 50, providers: [tx.provider] }))
    const task = broker.task({ name: 'task', deps: { tx: tx.key }, run: () => 1 })
    await work()

    expect(errorOf(await (await task.kiq()).waitResult())).toMatchObject({
      name: 'DisposeError',
      code: 'KIQ_DI_DISPOSE_TIMED_OUT',
    })
  })
})

describe('what a task leaves behind', () => {
  it('gets nothing from its scope, also when the task has ended well', async () => {
    const gate = deferred()
    const left = deferred<unknown>()
    const { broker, work } = onMemory()
    setupInjection(broker, quiet(later))
    const lookUp = async (): Promise<void> => {
      await gate.promise
      left.resolve(await codeOf(() => inject(Later)))
    }
    const task = broker.task('task', () => {
      void lookUp()
      return inject(Later)
    })
    await work()

    expect(await (await task.kiq()).result()).toBe('later')
    gate.resolve()
    expect(await left.promise).toBe('KIQ_DI_SCOPE_CLOSED')
  })
})

describe('a cancel', () => {
  it('rolls back with KIQ_TASK_CANCELLED', async () => {
    const tx = transactions()
    const running = deferred()
    const { broker, work } = onMemory()
    setupInjection(broker, quiet(tx.provider))
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key, signal: TaskSignal },
      run: async (_: unknown, { signal }) => {
        running.resolve()
        throw await aborted(signal)
      },
    })
    await work({ abortGrace: '30s' })
    const sent = await task.kiq()
    await running.promise

    expect(await sent.cancel()).toBe(true)

    expect(errorOf(await sent.waitResult()).code).toBe('KIQ_TASK_CANCELLED')
    expect(tx.log).toEqual(['begin 1', 'rollback 1'])
    expect(tx.errors[0]).toMatchObject({ code: 'KIQ_TASK_CANCELLED' })
  })

  it('while the dependencies are made ends the attempt, and the function is not called', async () => {
    const Slow = token<string>('Slow')
    const making = deferred()
    const made = deferred<string>()
    const closed = deferred<string>()
    let calls = 0
    const { broker, work } = onMemory()
    setupInjection(
      broker,
      quiet(
        bind(Slow, {
          scope: 'scoped',
          create: async () => {
            making.resolve()
            return await made.promise
          },
          dispose: (value) => closed.resolve(value),
        }),
      ),
    )
    const task = broker.task({ name: 'task', deps: { slow: Slow }, run: () => (calls += 1) })
    await work()
    const sent = await task.kiq()
    await making.promise
    await sent.cancel()

    expect(errorOf(await sent.waitResult()).code).toBe('KIQ_TASK_CANCELLED')
    made.resolve('late')

    expect(await closed.promise).toBe('late')
    expect(calls).toBe(0)
  })
})

describe('a worker that stops', () => {
  it('rolls back what it aborts, and the next worker runs it in a new scope', async () => {
    const tx = transactions()
    const running = deferred()
    const { broker, work } = onMemory()
    setupInjection(broker, quiet(tx.provider))
    let calls = 0
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key, signal: TaskSignal },
      run: async (_: unknown, { tx: own, signal }) => {
        calls += 1
        if (calls > 1) return own.n
        running.resolve()
        throw await aborted(signal)
      },
    })
    const worker = await work()
    const sent = await task.kiq()
    await running.promise

    await worker.stop({ running: 'abort' })
    expect(tx.log).toEqual(['begin 1', 'rollback 1'])
    expect(tx.errors[0]).toMatchObject({ code: 'KIQ_WORKER_STOPPED' })
    expect(await sent.isReady()).toBe(false)
    await work()

    expect(await sent.result()).toBe(2)
  })

  it('lets a task succeed that returns in the grace period', async () => {
    const tx = transactions()
    const running = deferred()
    const { broker, work } = onMemory()
    setupInjection(broker, quiet(tx.provider))
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key, signal: TaskSignal },
      run: async (_: unknown, { signal }) => {
        running.resolve()
        const { code } = await aborted(signal)
        return `finished after ${code}`
      },
    })
    const worker = await work({ abortGrace: '30s' })
    const sent = await task.kiq()
    await running.promise

    await worker.stop({ running: 'abort' })

    expect(await sent.result()).toBe('finished after KIQ_WORKER_STOPPED')
    expect(tx.log).toEqual(['begin 1', 'commit 1'])
  })
})
