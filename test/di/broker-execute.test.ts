import { describe, expect, expectTypeOf, it } from 'vitest'

import type { SchemaOutput, StandardSchema } from '../../src/contract/index.ts'
import {
  bind,
  CurrentScope,
  Enqueuer,
  setupInjection,
  TaskInfo,
  TaskSignal,
  taskMiddleware,
  token,
} from '../../src/di/index.ts'
import type { KiqError, Middleware } from '../../src/index.ts'
import { Broker, context, noResult, rejectTask, silentLogger, SimpleRetryMiddleware } from '../../src/index.ts'
import { MemoryTransport } from '../../src/adapters/memory/index.ts'
import { fake, inMemory } from '../support/brokers.ts'
import { deferred } from '../support/deferred.ts'
import { onFile, quiet, temporaryFile, transactions } from './task-kit.ts'

interface Mailer {
  readonly name: string
  readonly sent: string[]
}
const Mailer = token<Mailer>('Mailer')
const Greeter = token<{ greet(to: string): string }>('Greeter')

const mailer = (name: string): Mailer => ({ name, sent: [] })
const greeter = bind(Greeter, {
  deps: { mailer: Mailer },
  create: (deps) => ({
    greet: (to) => {
      deps.mailer.sent.push(to)
      return `${deps.mailer.name} to ${to}`
    },
  }),
})

const failure = async (work: Promise<unknown>): Promise<KiqError> =>
  await work.then(
    () => expect.unreachable('It succeeded.'),
    (error: unknown) => error as KiqError,
  )

type Doubling = StandardSchema<{ n: string }, { n: number }>
/** Reads text, gives its double. */
const doubling: Doubling = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (input) => {
      const n = Number((input as { n?: unknown }).n)
      return Number.isNaN(n) ? { issues: [{ message: 'is no number', path: ['n'] }] } : { value: { n: n * 2 } }
    },
  },
}

describe('broker.execute()', () => {
  it('runs a record task, and one that takes nothing', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet(greeter, bind(Mailer, { value: mailer('real') })))
    const greet = broker.task({
      name: 'greet',
      deps: { greeter: Greeter },
      run: async ({ to }: { to: string }, deps) => deps.greeter.greet(to),
    })
    const nothing = broker.task({
      name: 'nothing',
      deps: { info: TaskInfo },
      run: (_: unknown, { info }) => info.attempt,
    })

    const greeting = await broker.execute(greet, { to: 'Ada' })

    expectTypeOf(greeting).toEqualTypeOf<string>()
    expect(greeting).toBe('real to Ada')
    expect(await broker.execute(nothing)).toBe(1)
  })

  it('runs a task with positional arguments, given as an array', async () => {
    const broker = inMemory()
    const add = broker.task('add', (a: number, b: number) => [a + b, context().taskName])

    expect(await broker.execute(add, [1, 2])).toEqual([3, 'add'])
    expect(await failure(broker.execute(add as never, { a: 1 } as never))).toMatchObject({ code: 'KIQ_CONFIG_INVALID' })
  })

  it('needs no start, no connection and no result backend', async () => {
    const { broker, transport, events } = fake()
    setupInjection(broker, quiet(greeter, bind(Mailer, { value: mailer('real') })))
    const greet = broker.task({
      name: 'greet',
      deps: { greeter: Greeter },
      run: ({ to }: { to: string }, deps) => deps.greeter.greet(to),
    })

    expect(await broker.execute(greet, { to: 'Ada' })).toBe('real to Ada')
    expect(broker.isStarted).toBe(false)
    expect(transport.starts).toEqual([])
    expect(events).toEqual([])
  })

  it('rejects with the very error that the function threw, whatever it is', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet())
    const thrown: unknown[] = [new RangeError('own'), 'just text', undefined, Object.freeze({ code: 1 })]
    const task = broker.task({
      name: 'task',
      deps: { info: TaskInfo },
      run: async ({ n }: { n: number }) => {
        await Promise.resolve()
        throw thrown[n]
      },
    })

    for (const [n, error] of thrown.entries()) {
      expect(await failure(broker.execute(task, { n }))).toBe(error)
    }
  })

  it('passes arguments through the message format and the schema', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet())
    const seen: unknown[] = []
    const task = broker.task({
      name: 'task',
      input: doubling,
      deps: { info: TaskInfo },
      run: (input, { info }) => {
        expectTypeOf(input).toEqualTypeOf<SchemaOutput<Doubling>>()
        seen.push(info.kwargs)
        return input.n
      },
    })
    const dated = broker.task({
      name: 'dated',
      deps: { info: TaskInfo },
      run: ({ at }: { at: unknown }) => at,
    })

    expect(await broker.execute(task, { n: '21' })).toBe(42)
    expect(seen).toEqual([{ n: '21' }])
    expect(await failure(broker.execute(task, { n: 'x' }))).toMatchObject({ code: 'KIQ_ARGUMENTS_INVALID' })
    expect(await broker.execute(dated, { at: new Date(0) })).toBe('1970-01-01T00:00:00.000Z')
  })

  it('runs the hooks of the broker and of the task', async () => {
    const log: string[] = []
    const broker = inMemory().withMiddlewares({
      preExecute: (message) => {
        log.push('preExecute')
        return message
      },
      onError: (_message, _result, error) => void log.push(`onError ${(error as Error).message}`),
      postExecute: (_message, result) => void log.push(`postExecute ${result.isErr ? 'failed' : 'fine'}`),
      preSend: (message) => {
        log.push('preSend')
        return message
      },
      postSave: () => void log.push('postSave'),
    } satisfies Middleware)
    setupInjection(broker, quiet(), {
      middlewares: [
        taskMiddleware({
          before: () => void log.push('before'),
          after: () => void log.push('after'),
          onError: () => void log.push('task onError'),
        }),
      ],
    })
    const task = broker.task({
      name: 'task',
      run: ({ ok }: { ok: boolean }) => {
        log.push('run')
        if (!ok) throw new Error('own')
      },
    })

    await broker.execute(task, { ok: true })
    await expect(broker.execute(task, { ok: false })).rejects.toThrow('own')

    expect(log).toEqual([
      ...['preExecute', 'before', 'run', 'after', 'postExecute fine'],
      ...['preExecute', 'before', 'run', 'task onError', 'onError own', 'postExecute failed'],
    ])
  })

  it('does not retry', async () => {
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware({ defaultRetryLabel: true }))
    let calls = 0
    const task = broker.task('task', () => {
      calls += 1
      throw new Error(`call ${calls}`)
    })

    await expect(broker.execute(task, [])).rejects.toThrow('call 1')
    expect(calls).toBe(1)
  })

  it('takes labels over those of the task, and an id', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet())
    const task = broker.task({
      name: 'task',
      labels: { a: 1, b: 1 },
      deps: { info: TaskInfo },
      run: (_: unknown, { info }) => info,
    })

    expect(await broker.execute(task, undefined, { labels: { b: 2, c: 3 }, taskId: 'my-id' })).toMatchObject({
      taskId: 'my-id',
      labels: { a: 1, b: 2, c: 3 },
    })
    const ids = [await broker.execute(task), await broker.execute(task)].map(({ taskId }) => taskId)
    expect(new Set(ids).size).toBe(2)
  })

  it('ends at its timeout, and rolls back', async () => {
    const tx = transactions()
    const broker = inMemory()
    setupInjection(broker, quiet(tx.provider))
    const task = broker.task({
      name: 'task',
      timeout: '1h',
      deps: { tx: tx.key, signal: TaskSignal },
      run: async (_: unknown, { signal }) =>
        await new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        }),
    })

    expect(await failure(broker.execute(task, undefined, { timeout: 20 }))).toMatchObject({
      code: 'KIQ_TASK_TIMED_OUT',
    })
    expect(tx.log).toEqual(['begin 1', 'rollback 1'])
  })

  it('is cancelled by a signal', async () => {
    const tx = transactions()
    const broker = inMemory()
    setupInjection(broker, quiet(tx.provider))
    const running = deferred()
    const stop = new AbortController()
    let calls = 0
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key, signal: TaskSignal },
      run: async (_: unknown, { signal }) => {
        calls += 1
        running.resolve()
        return await new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('interrupted')))
        })
      },
    })
    const executed = failure(broker.execute(task, undefined, { signal: stop.signal }))
    await running.promise
    const reason = new Error('the request is gone')
    stop.abort(reason)

    const error = await executed
    expect(error.code).toBe('KIQ_TASK_CANCELLED')
    expect(error.cause).toBe(reason)
    expect(tx.log).toEqual(['begin 1', 'rollback 1'])
    expect(await failure(broker.execute(task, undefined, { signal: AbortSignal.abort() }))).toMatchObject({
      code: 'KIQ_TASK_CANCELLED',
    })
    expect(calls).toBe(1)
  })

  it('resolves with undefined for noResult(), and rejects with other signals', async () => {
    const tx = transactions()
    const broker = inMemory()
    setupInjection(broker, quiet(tx.provider))
    const rejected = rejectTask('not for us')
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key },
      run: ({ quietly }: { quietly: boolean }): number => {
        throw quietly ? noResult() : rejected
      },
    })

    expect(await broker.execute(task, { quietly: true })).toBeUndefined()
    expect(await failure(broker.execute(task, { quietly: false }))).toBe(rejected)
    expect(tx.log).toEqual(['begin 1', 'commit 1', 'begin 2', 'rollback 2'])
  })

  it('runs here what is declared to be isolated', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet(bind(Mailer, { value: mailer('here') })))
    const task = broker.task({
      name: 'task',
      isolate: 'process',
      deps: { mailer: Mailer },
      run: (_: unknown, deps) => [deps.mailer.name, process.pid],
    })

    expect(await broker.execute(task)).toEqual(['here', process.pid])
  })

  it('refuses a task that has no function here, and dependencies without a container', async () => {
    const broker = inMemory()
    const task = broker.task({ name: 'task', deps: { mailer: Mailer }, run: () => 1 })
    const plain = broker.task('plain', () => 1)
    const overrides = [bind(Mailer, { value: mailer('fake') })]

    expect(await failure(broker.execute(broker.externalTask('elsewhere'), []))).toMatchObject({
      code: 'KIQ_TASK_UNKNOWN',
    })
    expect(await failure(broker.execute(task))).toMatchObject({ code: 'KIQ_DI_NOT_SET_UP' })
    expect(await failure(broker.execute(plain, [], { overrides }))).toMatchObject({ code: 'KIQ_DI_NOT_SET_UP' })
  })

  it('refuses what does not fit, before the function is called', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet())
    let calls = 0
    const task = broker.task({ name: 'task', deps: { mailer: Mailer }, run: () => (calls += 1) })

    expect(await failure(broker.execute(task))).toMatchObject({ code: 'KIQ_DI_MISSING' })
    expect(calls).toBe(0)
  })

  it('makes on a client what it needs, once', async () => {
    const broker = onFile(temporaryFile())
    let made = 0
    setupInjection(broker, quiet(bind(Mailer, { create: async () => ({ ...mailer('real'), n: (made += 1) }) })))
    const task = broker.task({ name: 'task', deps: { mailer: Mailer }, run: (_: unknown, deps) => deps.mailer.name })
    await broker.startup()
    expect(made).toBe(0)

    expect(await Promise.all([broker.execute(task), broker.execute(task)])).toEqual(['real', 'real'])
    expect(made).toBe(1)
  })

  it('closes what a failing sender left: Enqueuer needs a broker that is started', async () => {
    const tx = transactions()
    const broker = new Broker(new MemoryTransport(), { logger: silentLogger })
    setupInjection(broker, quiet(tx.provider))
    const other = broker.task('other', () => 1)
    const task = broker.task({
      name: 'task',
      deps: { tx: tx.key, enqueuer: Enqueuer },
      run: async (_: unknown, { enqueuer }) => (await enqueuer.kiq(other)).taskId,
    })

    expect(await failure(broker.execute(task))).toMatchObject({ code: 'KIQ_BROKER_NOT_STARTED' })
    expect(tx.log).toEqual(['begin 1', 'rollback 1'])
  })
})

describe('broker.execute() with overrides', () => {
  function setup() {
    const real = mailer('real')
    const broker = inMemory()
    const container = quiet(greeter, bind(Mailer, { value: real }))
    setupInjection(broker, container)
    const gate = deferred()
    const greet = broker.task({
      name: 'greet',
      deps: { greeter: Greeter, scope: CurrentScope },
      run: async ({ to, waits = false }: { to: string; waits?: boolean }, deps) => {
        if (waits) await gate.promise
        const { name } = await deps.scope.get(Mailer)
        return [deps.greeter.greet(to), name]
      },
    })
    return { broker, container, greet, gate, real }
  }

  it('gives other values to that execution alone, also behind singletons that are there already', async () => {
    const { broker, container, greet, real } = setup()
    const fakeMailer = mailer('fake')
    expect(await broker.execute(greet, { to: 'Ada' })).toEqual(['real to Ada', 'real'])

    const overrides = [bind(Mailer, { value: fakeMailer })]
    expect(await broker.execute(greet, { to: 'Bob' }, { overrides })).toEqual(['fake to Bob', 'fake'])

    expect(await broker.execute(greet, { to: 'Eve' })).toEqual(['real to Eve', 'real'])
    expect(fakeMailer.sent).toEqual(['Bob'])
    expect(real.sent).toEqual(['Ada', 'Eve'])
    expect(await container.get(Mailer)).toBe(real)
  })

  it('keeps executions at the same time apart', async () => {
    const { broker, greet, gate, real } = setup()
    const fakes = Array.from({ length: 20 }, (_, n) => mailer(`fake ${n}`))

    const executed = fakes.map((value, n) =>
      broker.execute(greet, { to: `${n}`, waits: true }, { overrides: [bind(Mailer, { value })] }),
    )
    const sent = broker.execute(greet, { to: 'Ada' })
    expect(await sent).toEqual(['real to Ada', 'real'])
    gate.resolve()

    expect(await Promise.all(executed)).toEqual(fakes.map(({ name }, n) => [`${name} to ${n}`, name]))
    expect(fakes.map(({ sent: addresses }) => addresses)).toEqual(fakes.map((_, n) => [`${n}`]))
    expect(real.sent).toEqual(['Ada'])
  })

  it('closes what was made for it, and nothing that is shared', async () => {
    const Shared = token<string>('Shared')
    const closed: string[] = []
    const broker = inMemory()
    setupInjection(
      broker,
      quiet(
        bind(Shared, { create: () => 'shared', dispose: (value) => void closed.push(value) }),
        bind(Mailer, { value: mailer('real') }),
        bind(Greeter, {
          deps: { mailer: Mailer, shared: Shared },
          create: (deps) => ({ greet: (to) => `${deps.mailer.name}, ${deps.shared} to ${to}` }),
          dispose: (value) => void closed.push(value.greet('the end')),
        }),
      ),
    )
    const greet = broker.task({
      name: 'greet',
      deps: { greeter: Greeter },
      run: ({ to }: { to: string }, deps) => deps.greeter.greet(to),
    })

    const overrides = [bind(Mailer, { value: mailer('fake') })]
    expect(await broker.execute(greet, { to: 'Ada' }, { overrides })).toBe('fake, shared to Ada')

    expect(closed).toEqual(['fake, shared to the end'])
    expect(await broker.execute(greet, { to: 'Bob' })).toBe('real, shared to Bob')
  })

  it('may replace what belongs to every task', async () => {
    const broker = inMemory()
    setupInjection(broker, quiet())
    const task = broker.task({ name: 'task', deps: { info: TaskInfo }, run: (_: unknown, { info }) => info.attempt })

    const overrides = [bind(TaskInfo, { value: TaskInfo.fake({ attempt: 7 }), override: true })]
    expect(await broker.execute(task, undefined, { overrides })).toBe(7)
  })

  it('refuses those that do not fit', async () => {
    const { broker, greet } = setup()
    const Missing = token<string>('Missing')

    const overrides = [bind(Mailer, { deps: { missing: Missing }, create: (deps) => mailer(deps.missing) })]
    expect(await failure(broker.execute(greet, { to: 'Ada' }, { overrides }))).toMatchObject({ code: 'KIQ_DI_MISSING' })
    expect(await broker.execute(greet, { to: 'Ada' })).toEqual(['real to Ada', 'real'])
  })
})
