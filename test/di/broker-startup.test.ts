import { describe, expect, it } from 'vitest'

import type { Container } from '../../src/di/index.ts'
import {
  bind,
  createContainer,
  InjectionError,
  setupInjection,
  taskMiddleware,
  TaskInfo,
  token,
} from '../../src/di/index.ts'
import type { KiqError } from '../../src/index.ts'
import { Broker, silentLogger, SimpleRetryMiddleware, Worker } from '../../src/index.ts'
import { MemoryTransport } from '../../src/adapters/memory/index.ts'
import { errorOf, fake, inMemory, wire } from '../support/brokers.ts'
import { deferred, settled } from '../support/deferred.ts'
import { onFile, onMemory, quiet, temporaryFile, workers } from './task-kit.ts'

const A = token<string>('A')
const B = token<string>('B')
const C = token<string>('C')

const failure = async (work: Promise<unknown>): Promise<KiqError> =>
  await work.then(
    () => expect.unreachable('It succeeded.'),
    (error: unknown) => error as KiqError,
  )

/** Notes what is made and closed. */
function recorder() {
  const log: string[] = []
  return {
    log,
    making: (name: string) => ({
      create: async () => {
        await Promise.resolve()
        log.push(`made ${name}`)
        return name
      },
      dispose: () => void log.push(`closed ${name}`),
    }),
  }
}

describe('a worker with dependencies that do not fit', () => {
  it('tells every problem of every task at once, before anything is connected', async () => {
    const Missing = token<string>('Missing')
    const Scoped = token<string>('Scoped')
    const Single = token<string>('Single')
    const events: string[] = []
    const { broker, transport, work } = fake()
    broker.on('workerStartup', () => void events.push('workerStartup'))
    broker.withMiddlewares({ startup: () => void events.push('middleware') })
    setupInjection(
      broker,
      quiet(
        bind(A, { deps: { b: B }, create: ({ b }) => b }),
        bind(B, { deps: { a: A }, create: ({ a }) => a }),
        bind(Scoped, { scope: 'scoped', create: () => 'scoped' }),
        bind(Single, { deps: { scoped: Scoped }, create: ({ scoped }) => scoped }),
        bind(C, { value: 'one' }),
        bind(C, { value: 'two' }),
      ),
    )
    broker.task({ name: 'first', deps: { missing: Missing }, run: () => 1 })
    broker.task({ name: 'second', deps: { a: A, missing: Missing }, run: () => 1 })
    broker.task({ name: 'third', deps: { single: Single }, run: () => 1 })
    transport.deliver(wire('first'))

    const error = await failure(work())

    expect(error).toBeInstanceOf(InjectionError)
    expect(error.code).toBe('KIQ_DI_INVALID')
    expect((error as InjectionError).problems.map(({ code, path }) => [code, path.join(' > ')]).sort()).toEqual([
      ['KIQ_DI_CAPTIVE', 'task:third > Single > Scoped'],
      ['KIQ_DI_CYCLE', 'A > B > A'],
      ['KIQ_DI_DUPLICATE', 'C'],
      ['KIQ_DI_MISSING', 'task:first > Missing'],
      ['KIQ_DI_MISSING', 'task:second > Missing'],
    ])
    for (const text of ['task:first > Missing', 'task:second > Missing', 'A > B > A']) {
      expect(error.message).toContain(text)
    }
    expect(transport.starts).toEqual([])
    expect(transport.receives).toEqual([])
    expect(events).toEqual([])
    expect(broker.isStarted).toBe(false)
  })

  it('has the code of the only problem', async () => {
    const { broker, work } = onMemory()
    setupInjection(broker, quiet())
    broker.task({ name: 'task', deps: { a: A }, run: () => 1 })

    expect(await failure(work())).toMatchObject({
      code: 'KIQ_DI_MISSING',
      problems: [{ code: 'KIQ_DI_MISSING', severity: 'error', path: ['task:task', 'A'] }],
    })
  })

  it('starts when there are only warnings', async () => {
    const { broker, work } = onMemory()
    setupInjection(broker, quiet(bind(token<number>('Same'), { value: 1 }), bind(token<number>('Same'), { value: 2 })))
    const task = broker.task({ name: 'task', deps: { info: TaskInfo }, run: (_: unknown, { info }) => info.taskName })
    await work()

    expect(await (await task.kiq()).result()).toBe('task')
  })

  it('does not look at tasks that run elsewhere', async () => {
    const { broker, work } = onMemory()
    broker.externalTask('elsewhere')

    await expect(work()).resolves.toBeInstanceOf(Worker)
  })
})

describe('a worker whose broker has no container', () => {
  it('is refused with the names of the tasks that need one', async () => {
    const { broker, transport, work } = fake()
    broker.task({ name: 'first', deps: { a: A }, run: () => 1 })
    broker.task({ name: 'plain', run: () => 1 })
    broker.task({ name: 'second', deps: { b: B }, run: () => 1 })

    const error = await failure(work())

    expect(error.code).toBe('KIQ_DI_NOT_SET_UP')
    expect(error.message).toContain('first, second')
    expect(transport.starts).toEqual([])
  })

  it('is no matter for who only sends', async () => {
    const broker = onFile(temporaryFile())
    const task = broker.task({ name: 'task', deps: { a: A }, run: () => 1 })
    await broker.startup()

    await expect(task.kiq()).resolves.toMatchObject({ taskId: expect.any(String) as string })
  })
})

describe('setupInjection', () => {
  it('is called once per broker', () => {
    const { broker } = onMemory()
    setupInjection(broker, quiet())

    expect(() => setupInjection(broker, quiet())).toThrow(
      expect.objectContaining({
        code: 'KIQ_CONFIG_INVALID',
        message: expect.stringContaining('once') as string,
      }) as Error,
    )
  })

  it('is called before the broker starts', async () => {
    const broker = inMemory()
    await broker.startup()

    expect(() => setupInjection(broker, quiet())).toThrow(
      expect.objectContaining({ code: 'KIQ_CONFIG_INVALID' }) as Error,
    )
  })

  it('takes nothing else for a container or a middleware', () => {
    const { broker } = onMemory()

    expect(() => setupInjection(broker, {} as Container)).toThrow('createContainer()')
    expect(() => setupInjection(broker, quiet(), { middlewares: [{} as ReturnType<typeof taskMiddleware>] })).toThrow(
      'taskMiddleware()',
    )
  })
})

describe('the singletons of a worker', () => {
  it('are there before its first message is taken, and are made once', async () => {
    const { broker, transport, work } = fake()
    const receivesWhenMade: number[] = []
    setupInjection(
      broker,
      quiet(
        bind(A, {
          create: async () => {
            await settled()
            receivesWhenMade.push(transport.receives.length)
            return 'a'
          },
        }),
        bind(B, { deps: { a: A }, create: ({ a }) => `b of ${a}` }),
      ),
    )
    const seen: string[] = []
    const done = deferred()
    broker.task({
      name: 'task',
      deps: { a: A, b: B },
      run: (_: unknown, { a, b }) => {
        seen.push(`${a}, ${b}`)
        if (seen.length === 100) done.resolve()
      },
    })
    for (let n = 0; n < 100; n += 1) transport.deliver(wire('task', { task_id: `id-${n}` }))

    await work()
    await done.promise

    expect(receivesWhenMade).toEqual([0])
    expect(new Set(seen)).toEqual(new Set(['a, b of a']))
  })

  it('are those that its tasks and middlewares reach, but not with eager: false', async () => {
    const { log, making } = recorder()
    const Lazy = token<string>('Lazy')
    const Unused = token<string>('Unused')
    const Isolated = token<string>('Isolated')
    const { broker, work } = onMemory()
    setupInjection(
      broker,
      quiet(
        bind(A, making('A')),
        bind(B, making('B')),
        bind(Lazy, { ...making('Lazy'), eager: false }),
        bind(Unused, making('Unused')),
        bind(Isolated, making('Isolated')),
      ),
      { middlewares: [taskMiddleware({ deps: { b: B }, before: () => undefined })] },
    )
    const task = broker.task({ name: 'task', deps: { a: A, lazy: Lazy }, run: (_: unknown, deps) => deps })
    broker.task({ name: 'isolated', isolate: 'thread', deps: { isolated: Isolated }, run: () => 1 })

    await work()
    expect([...log].sort()).toEqual(['made A', 'made B'])

    expect(await (await task.kiq()).result()).toEqual({ a: 'A', lazy: 'Lazy' })
    expect(log).toHaveLength(3)
  })

  it('may send while they are made', async () => {
    const broker = inMemory()
    const log: string[] = []
    setupInjection(
      broker,
      quiet(
        bind(A, {
          create: async () => {
            const { taskId } = await note.kiq()
            log.push('sent')
            return taskId
          },
        }),
      ),
    )
    const note = broker.task('note', () => void log.push('ran'))
    const task = broker.task({ name: 'task', deps: { a: A }, run: (_: unknown, { a }) => a })

    await broker.startup()
    await (await task.kiq()).result()
    await broker.waitAll()

    expect(log).toEqual(['sent', 'ran'])
  })

  it('are made once for two brokers with one container', async () => {
    const { log, making } = recorder()
    const container = quiet(bind(A, making('A')))
    const results = await Promise.all(
      [onMemory(), onMemory()].map(async ({ broker, work }) => {
        setupInjection(broker, container)
        const task = broker.task({ name: 'task', deps: { a: A }, run: (_: unknown, { a }) => a })
        await work()
        return await (await task.kiq()).result()
      }),
    )

    expect(results).toEqual(['A', 'A'])
    expect(log).toEqual(['made A'])
  })

  it('are not made by a client: its startup() checks and makes nothing', async () => {
    const { log, making } = recorder()
    const Missing = token<string>('Missing')
    const broker = onFile(temporaryFile())
    const work = workers(broker)
    setupInjection(broker, quiet(bind(A, making('A'))))
    const task = broker.task({ name: 'task', deps: { a: A }, run: (_: unknown, { a }) => a })
    const bad = broker.task({ name: 'bad', deps: { missing: Missing }, run: () => 1 })

    await broker.startup()
    const sent = await task.kiq()
    await bad.kiq()
    expect(log).toEqual([])

    expect(await failure(work())).toMatchObject({ code: 'KIQ_DI_MISSING' })
    expect(broker.isStarted).toBe(true)
    expect(log).toEqual([])
    expect(await sent.isReady()).toBe(false)
  })

  it('are made when a client becomes a worker', async () => {
    const { log, making } = recorder()
    const broker = onFile(temporaryFile())
    const work = workers(broker)
    setupInjection(broker, quiet(bind(A, making('A'))))
    const task = broker.task({ name: 'task', deps: { a: A }, run: (_: unknown, { a }) => a })
    await broker.startup()
    const sent = await task.kiq()

    await work()

    expect(await sent.result()).toBe('A')
    expect(log).toEqual(['made A'])
  })
})

describe('a singleton that cannot be made', () => {
  it('stops the start; what was made is closed, nothing is received, and the start can be tried again', async () => {
    const { log, making } = recorder()
    const cause = new Error('no connection')
    const { broker, transport, work } = fake()
    let tries = 0
    setupInjection(
      broker,
      quiet(
        bind(A, making('A')),
        bind(C, making('C')),
        bind(B, {
          deps: { a: A },
          create: async ({ a }) => {
            tries += 1
            if (tries === 1) throw cause
            return `B of ${a}`
          },
        }),
      ),
    )
    const got = deferred<unknown>()
    broker.task({ name: 'task', deps: { a: A, b: B, c: C }, run: (_: unknown, deps) => got.resolve(deps) })
    transport.deliver(wire('task'))

    const error = await failure(work())
    expect(error).toMatchObject({ code: 'KIQ_DI_PROVIDER_FAILED', path: ['B'] })
    expect(error.cause).toBe(cause)
    expect([...log].sort()).toEqual(['closed A', 'closed C', 'made A', 'made C'])
    expect(transport.receives).toEqual([])
    expect(transport.stops).toBe(1)
    expect(broker.isStarted).toBe(false)

    await work()
    expect(await got.promise).toEqual({ a: 'A', b: 'B of A', c: 'C' })
  })

  it('leaves the container open for the next try, also with closeContainer: true', async () => {
    let tries = 0
    const { broker, work } = onMemory()
    const single = bind(A, {
      create: () => {
        tries += 1
        if (tries === 1) throw new Error('no connection')
        return 'A'
      },
    })
    setupInjection(broker, quiet(single), { closeContainer: true })
    const task = broker.task({ name: 'task', deps: { a: A }, run: (_: unknown, { a }) => a })

    expect(await failure(work())).toMatchObject({ code: 'KIQ_DI_PROVIDER_FAILED' })

    await work()
    expect(await (await task.kiq()).result()).toBe('A')
  })

  it('is told together with the others of its kind', async () => {
    const { broker, work } = onMemory()
    const failing = (why: string) => ({ create: () => Promise.reject<string>(new Error(why)) })
    setupInjection(broker, quiet(bind(A, failing('no database')), bind(B, failing('no mail server'))))
    broker.task({ name: 'task', deps: { a: A, b: B }, run: () => 1 })

    const error = await failure(work())

    expect(error.code).toBe('KIQ_DI_PROVIDER_FAILED')
    expect(error.message).toContain('no database')
    expect(error.message).toContain('no mail server')
  })
})

describe('a task declared after the start', () => {
  it('gets its dependencies, also singletons that are made then', async () => {
    const { log, making } = recorder()
    const broker = inMemory()
    setupInjection(broker, quiet(bind(A, making('A'))))
    await broker.startup()
    expect(log).toEqual([])

    const task = broker.task({ name: 'task', deps: { a: A }, run: (_: unknown, { a }) => a })

    expect(await (await task.kiq()).result()).toBe('A')
    expect(log).toEqual(['made A'])
  })

  it('fails with its problem, which no retry could mend, and the others go on', async () => {
    const broker = inMemory().withMiddlewares(new SimpleRetryMiddleware({ defaultRetryLabel: true }))
    setupInjection(broker, quiet(bind(A, { value: 'a' })))
    const good = broker.task({ name: 'good', deps: { a: A }, run: (_: unknown, { a }) => a })
    await broker.startup()
    let calls = 0
    const bad = broker.task({ name: 'bad', deps: { b: B }, run: () => (calls += 1) })

    const result = await (await bad.kiq()).waitResult()
    const error = errorOf(result)

    expect(result.labels).toEqual({})
    expect(error).toMatchObject({ name: 'InjectionError', code: 'KIQ_DI_MISSING' })
    expect(error.message).toContain('task:bad > B')
    expect(calls).toBe(0)
    expect(await (await good.kiq()).result()).toBe('a')
  })
})

describe('a start that is overtaken', () => {
  it('by shutdown() ends first; the singletons are closed with it', async () => {
    const made = deferred<string>()
    const making = deferred()
    const log: string[] = []
    const broker = new Broker(new MemoryTransport(), { logger: silentLogger })
    setupInjection(
      broker,
      createContainer({
        providers: [
          bind(A, {
            create: async () => {
              making.resolve()
              return await made.promise
            },
            dispose: (value) => void log.push(`closed ${value}`),
          }),
        ],
      }),
      { closeContainer: true },
    )
    broker.task({ name: 'task', deps: { a: A }, run: () => 1 })
    const worker = new Worker(broker)
    const started = worker.start().then(() => log.push('started'))
    await making.promise
    const stopped = broker.shutdown().then(() => log.push('shut down'))
    await settled()
    expect(log).toEqual([])

    made.resolve('A')
    await Promise.all([started, stopped])
    await worker.stop()

    expect(log.filter((line) => line !== 'started')).toEqual(['closed A', 'shut down'])
    expect(broker.isStarted).toBe(false)
  })

  it('by the end of the container fails, and what comes late is closed', async () => {
    const made = deferred<string>()
    const making = deferred()
    const log: string[] = []
    const { broker, transport, work } = fake()
    const container = quiet(
      bind(A, {
        create: async () => {
          making.resolve()
          return await made.promise
        },
        dispose: (value) => void log.push(`closed ${value}`),
      }),
      bind(B, { deps: { a: A }, create: ({ a }) => `${log.push(`made B of ${a}`)}` }),
    )
    setupInjection(broker, container)
    broker.task({ name: 'task', deps: { b: B }, run: () => 1 })
    const started = failure(work())
    await making.promise

    const closed = container.close()
    made.resolve('A')
    await closed

    expect(await started).toMatchObject({ code: 'KIQ_DI_SCOPE_CLOSED' })
    expect(log).toEqual(['closed A'])
    expect(transport.receives).toEqual([])
  })
})
