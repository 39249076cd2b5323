import 'reflect-metadata'

import { Inject, Injectable, Module as NestModule, Scope } from '@nestjs/common'
import { ContextIdFactory, NestFactory, REQUEST } from '@nestjs/core'
import { asClass, asFunction, asValue, createContainer as createAwilix, InjectionMode } from 'awilix'
import { Container as Inversify, ContainerModule } from 'inversify'
import { describe, expect, it, onTestFinished } from 'vitest'

import { bind, bridge, createContainer, ProviderError, setupInjection, TaskInfo, token } from '../../src/di/index.ts'
import type { BridgeOptions, Provider, ScopeOutcome } from '../../src/di/index.ts'
import { inMemory } from '../support/brokers.ts'
import { deferred } from '../support/deferred.ts'
import type { RecordingLogger } from '../support/recording-logger.ts'
import { recordingLogger } from '../support/recording-logger.ts'

// What is bound in the container of the other library.

class Pool {
  readonly kind = 'pool'
}

/** One per scope there. */
class Session {
  readonly pool: Pool
  readonly task: TaskInfo
  constructor(pool: Pool, task: TaskInfo) {
    this.pool = pool
    this.task = task
  }
}

/** Gets the session of its scope from its own container. */
class Orders {
  readonly session: Session
  constructor(session: Session) {
    this.session = session
  }
}

class Broken {
  constructor() {
    throw new TypeError('no such table')
  }
}

/** What the tests see of it. */
interface Foreign {
  /** Bridge and keys for the container of Kiq. */
  readonly module: ReturnType<typeof bridge>['module']
  readonly providers: readonly Provider[]
  /** Ids of the tasks for which a scope was opened. */
  readonly opened: readonly string[]
  readonly closed: readonly { readonly taskId: string; readonly outcome: ScopeOutcome }[]
  /** Sessions that the other container itself has closed; absent where it closes none. */
  readonly disposed?: readonly Session[]
}

const PoolKey = token<Pool>('Pool')
const SessionKey = token<Session>('Session')
const OrdersKey = token<Orders>('Orders')
const BrokenKey = token<Broken>('Broken')

/** Notes what is opened and closed. */
function noting<S>(options: BridgeOptions<S>) {
  const tasks = new Map<S, string>()
  const opened: string[] = []
  const closed: { taskId: string; outcome: ScopeOutcome }[] = []
  const made = bridge<S>({
    ...options,
    openScope: async (task) => {
      const scope = await options.openScope(task)
      tasks.set(scope, task.taskId)
      opened.push(task.taskId)
      return scope
    },
    closeScope: async (scope, outcome) => {
      await options.closeScope?.(scope, outcome)
      closed.push({ taskId: tasks.get(scope) ?? '', outcome })
    },
  })
  return { bridge: made, opened, closed }
}

async function awilix(): Promise<Foreign> {
  const disposed: Session[] = []
  const container = createAwilix<{ pool: Pool; session: Session; orders: Orders; broken: Broken; task: TaskInfo }>({
    injectionMode: InjectionMode.CLASSIC,
    strict: true,
  })
  container.register({
    pool: asClass(Pool).singleton(),
    session: asClass(Session)
      .scoped()
      .disposer(async (session) => void disposed.push(session)),
    orders: asClass(Orders).scoped(),
    broken: asFunction(() => new Broken()).scoped(),
  })
  const {
    bridge: { module, from },
    ...noted
  } = noting({
    name: 'awilix',
    openScope: (task) => container.createScope().register({ task: asValue(task) }),
    closeScope: (scope) => scope.dispose(),
  })
  const providers = [
    bind(
      PoolKey,
      from((scope) => scope.resolve('pool')),
    ),
    bind(
      SessionKey,
      from((scope) => scope.resolve('session')),
    ),
    bind(
      OrdersKey,
      from(({ cradle }) => cradle.orders),
    ),
    bind(
      BrokenKey,
      from((scope) => scope.resolve('broken')),
    ),
  ]
  return { module, providers, disposed, ...noted }
}

/** A child container per task; what is bound in it is closed with it. */
async function inversify(): Promise<Foreign> {
  const disposed: Session[] = []
  const parent = new Inversify()
  parent
    .bind(Pool)
    .toDynamicValue(() => new Pool())
    .inSingletonScope()
  const scoped = new ContainerModule(({ bind: bindIn }) => {
    bindIn(Session)
      .toDynamicValue(async ({ get }) => new Session(get(Pool), get<TaskInfo>('task')))
      .inSingletonScope()
      .onDeactivation(async (session) => void disposed.push(session))
    bindIn(Orders).toDynamicValue(async ({ getAsync }) => new Orders(await getAsync(Session)))
    bindIn(Broken).toDynamicValue(() => new Broken())
  })
  const {
    bridge: { module, from },
    ...noted
  } = noting({
    name: 'inversify',
    openScope: async (task) => {
      const child = new Inversify({ parent })
      child.bind<TaskInfo>('task').toConstantValue(task)
      await child.loadAsync(scoped)
      return child
    },
    closeScope: (child) => child.unbindAllAsync(),
  })
  const providers = [
    bind(
      PoolKey,
      from((child) => child.get(Pool)),
    ),
    bind(
      SessionKey,
      from((child) => child.getAsync(Session)),
    ),
    bind(
      OrdersKey,
      from((child) => child.getAsync(Orders)),
    ),
    bind(
      BrokenKey,
      from((child) => child.get(Broken)),
    ),
  ]
  return { module, providers, disposed, ...noted }
}

/** A context id per task. Nest closes nothing that belongs to one. */
async function nest(): Promise<Foreign> {
  // Decorators as functions, on classes of this call alone: they write into the class.
  class NestPool extends Pool {}
  class NestSession extends Session {}
  class NestOrders extends Orders {}
  class NestBroken extends Broken {}
  class App {}
  Injectable()(NestPool)
  for (const scoped of [NestSession, NestOrders, NestBroken]) Injectable({ scope: Scope.REQUEST })(scoped)
  Inject(NestPool)(NestSession, undefined, 0)
  Inject(REQUEST)(NestSession, undefined, 1)
  Inject(NestSession)(NestOrders, undefined, 0)
  NestModule({ providers: [NestPool, NestSession, NestOrders, NestBroken] })(App)
  const app = await NestFactory.createApplicationContext(App, { logger: false })
  onTestFinished(() => app.close())
  const {
    bridge: { module, from },
    ...noted
  } = noting({
    name: 'nest',
    openScope: (task) => {
      const contextId = ContextIdFactory.create()
      app.registerRequestByContextId(task, contextId)
      return contextId
    },
  })
  const providers = [
    bind(
      PoolKey,
      from(() => app.get<Pool>(NestPool)),
    ),
    bind(
      SessionKey,
      from((contextId) => app.resolve<Session>(NestSession, contextId)),
    ),
    bind(
      OrdersKey,
      from((contextId) => app.resolve<Orders>(NestOrders, contextId)),
    ),
    bind(
      BrokenKey,
      from((contextId) => app.resolve<Broken>(NestBroken, contextId)),
    ),
  ]
  return { module, providers, ...noted }
}

/** A broker whose tasks may ask for what is bound there, and for these. */
function brokerWith(foreign: Pick<Foreign, 'module' | 'providers'>, providers: readonly Provider[] = []) {
  const logger: RecordingLogger = recordingLogger()
  const broker = inMemory({ logger })
  const container = createContainer({
    modules: [foreign.module],
    providers: [...foreign.providers, ...providers],
    logger,
  })
  setupInjection(broker, container)
  onTestFinished(() => container.close())
  return { broker, container, logger }
}

describe.each([
  ['awilix', awilix],
  ['inversify', inversify],
  ['nest', nest],
])('a bridge to %s', (name, make) => {
  it('gives a task one scope of its own, whatever it asks for in it', async () => {
    const foreign = await make()
    const { broker } = brokerWith(foreign)
    const seen: { session: Session; orders: Orders; pool: Pool }[] = []
    const task = broker.task({
      name: 'sell',
      deps: { session: SessionKey, orders: OrdersKey, pool: PoolKey },
      run: async (_input: unknown, deps) => void seen.push(deps),
    })
    await broker.startup()

    await (await task.kiq()).result()
    await (await task.kiq()).result()

    const [one, other] = seen
    expect(one?.session).toBeInstanceOf(Session)
    expect(one?.orders.session).toBe(one?.session)
    expect(other?.orders.session).toBe(other?.session)
    expect(other?.session).not.toBe(one?.session)
    expect(one?.pool).toBeInstanceOf(Pool)
    expect(new Set([one?.pool, one?.session.pool, other?.pool, other?.session.pool]).size).toBe(1)
  })

  it('keeps tasks apart that run at the same time, and closes the scope of the one that ended', async () => {
    const foreign = await make()
    const { broker } = brokerWith(foreign)
    const sessions = new Map<string, Session>()
    const both = deferred()
    const gates = new Map([
      ['first', deferred()],
      ['second', deferred()],
    ])
    const task = broker.task({
      name: 'hold',
      deps: { session: SessionKey },
      run: async ({ gate }: { gate: string }, { session }) => {
        sessions.set(gate, session)
        if (sessions.size === 2) both.resolve()
        await gates.get(gate)?.promise
        return session.task.taskId
      },
    })
    await broker.startup()

    const first = broker.execute(task, { gate: 'first' }, { taskId: 'id-first' })
    const second = broker.execute(task, { gate: 'second' }, { taskId: 'id-second' })
    await both.promise
    gates.get('first')?.resolve()

    expect(await first).toBe('id-first')
    expect(sessions.get('first')).not.toBe(sessions.get('second'))
    expect(foreign.opened).toEqual(['id-first', 'id-second'])
    expect(foreign.closed.map(({ taskId }) => taskId)).toEqual(['id-first'])
    if (foreign.disposed) expect(foreign.disposed).toEqual([sessions.get('first')])

    gates.get('second')?.resolve()
    expect(await second).toBe('id-second')
    expect(foreign.closed.map(({ taskId }) => taskId)).toEqual(['id-first', 'id-second'])
  })

  it('tells the end of the scope how the task ended', async () => {
    const foreign = await make()
    const { broker } = brokerWith(foreign)
    const failure = new Error('out of stock')
    const task = broker.task({
      name: 'sell',
      deps: { session: SessionKey },
      run: async ({ fails }: { fails: boolean }) => {
        if (fails) throw failure
      },
    })
    await broker.startup()

    await broker.execute(task, { fails: false }, { taskId: 'good' })
    await expect(broker.execute(task, { fails: true }, { taskId: 'bad' })).rejects.toBe(failure)

    expect(foreign.closed).toEqual([
      { taskId: 'good', outcome: {} },
      { taskId: 'bad', outcome: { error: failure } },
    ])
    expect(foreign.closed[1]?.outcome.error).toBe(failure)
    if (foreign.disposed) expect(foreign.disposed.map(({ task: { taskId } }) => taskId)).toEqual(['good', 'bad'])
  })

  it('names the way to what could not be resolved, and closes the scope with that', async () => {
    const foreign = await make()
    let ran = false
    const Report = token<{ readonly broken: Broken }>('Report')
    const { broker } = brokerWith(foreign, [
      bind(Report, { scope: 'scoped', deps: { broken: BrokenKey }, create: (deps) => deps }),
    ])
    const task = broker.task({ name: 'report', deps: { report: Report }, run: async () => void (ran = true) })
    await broker.startup()

    const error: unknown = await broker.execute(task).catch((reason: unknown) => reason)

    expect(error).toBeInstanceOf(ProviderError)
    expect(error).toMatchObject({
      code: 'KIQ_DI_PROVIDER_FAILED',
      path: ['task:report', 'Report', 'Broken'],
      message: expect.stringContaining('no such table') as string,
    })
    const { cause } = error as ProviderError
    const causes = [cause, (cause as Error).cause].filter((one) => one instanceof TypeError)
    expect(causes.map(({ message }) => message)).toEqual(['no such table'])
    expect(ran).toBe(false)
    expect(foreign.closed.map(({ outcome }) => outcome.error)).toEqual([error])
  })

  it('closes what Kiq made of it first', async () => {
    const foreign = await make()
    const Unit = token<{ readonly session: Session }>('Unit')
    let closedBefore: number | undefined
    const { broker } = brokerWith(foreign, [
      bind(Unit, {
        scope: 'scoped',
        deps: { session: SessionKey },
        create: (deps) => deps,
        dispose: () => void (closedBefore = foreign.closed.length),
      }),
    ])
    const task = broker.task({ name: 'work', deps: { unit: Unit }, run: async () => {} })
    await broker.startup()

    await broker.execute(task)

    expect(closedBefore).toBe(0)
    expect(foreign.closed).toHaveLength(1)
  })

  it('opens no scope for a task that asks for nothing there, nor for one that is given a fake', async () => {
    const foreign = await make()
    const { broker } = brokerWith(foreign)
    const plain = broker.task({ name: 'plain', run: async () => 'plain' })
    const task = broker.task({
      name: 'sell',
      deps: { session: SessionKey },
      run: async (_input: unknown, { session }) => session.pool.kind,
    })
    await broker.startup()
    const fake = new Session(new Pool(), TaskInfo.fake())

    expect(await broker.execute(plain)).toBe('plain')
    expect(await broker.execute(task, undefined, { overrides: [bind(SessionKey, { value: fake })] })).toBe('pool')

    expect(foreign.opened).toEqual([])
  })

  it('refuses a singleton that would keep what is of one task', async () => {
    const foreign = await make()
    const Cache = token<{ readonly session: Session }>('Cache')
    const { container } = brokerWith(foreign, [bind(Cache, { deps: { session: SessionKey }, create: (deps) => deps })])

    expect(container.validate()).toMatchObject([{ code: 'KIQ_DI_CAPTIVE', path: ['Cache', 'Session'] }])
    expect(container.graph().nodes).toContainEqual(expect.objectContaining({ name: `scope of ${name}`, module: name }))
  })
})

describe('a bridge', () => {
  const Handle = token<{ readonly id: number }>('Handle')

  it('names the scope that could not be opened', async () => {
    const refused = new Error('the other container is closed')
    const { module, from } = bridge({
      name: 'other',
      openScope: async (): Promise<{ id: number }> => {
        throw refused
      },
    })
    const providers = [
      bind(
        Handle,
        from((scope) => scope),
      ),
    ]
    const { broker } = brokerWith({ module, providers })
    const task = broker.task({ name: 'use', deps: { handle: Handle }, run: async () => {} })
    await broker.startup()

    await expect(broker.execute(task)).rejects.toMatchObject({
      code: 'KIQ_DI_PROVIDER_FAILED',
      path: ['task:use', 'Handle', 'scope of other'],
      cause: refused,
    })
  })

  it('fails a task whose scope could not be closed, and leaves the error of one that had failed', async () => {
    const refused = new Error('the commit was refused')
    const failure = new Error('out of stock')
    const { module, from } = bridge({
      name: 'other',
      openScope: () => ({ id: 1 }),
      closeScope: async () => {
        throw refused
      },
    })
    const providers = [
      bind(
        Handle,
        from((scope) => scope),
      ),
    ]
    const { broker, logger } = brokerWith({ module, providers })
    const task = broker.task({
      name: 'use',
      deps: { handle: Handle },
      run: async ({ fails }: { fails: boolean }) => {
        if (fails) throw failure
      },
    })
    await broker.startup()

    await expect(broker.execute(task, { fails: false })).rejects.toBe(refused)
    await expect(broker.execute(task, { fails: true })).rejects.toBe(failure)

    const reported = logger.lines.filter(({ level }) => level === 'error').map(({ fields }) => fields['err'])
    expect(reported).toMatchObject([{ code: 'KIQ_DI_DISPOSE_FAILED', keyName: 'scope of other', cause: refused }])
  })

  it('without scopes of its own gives all tasks the container itself, and closes nothing', async () => {
    let disposed = 0
    const container = new Inversify()
    container
      .bind(Pool)
      .toDynamicValue(() => Object.assign(new Pool(), { [Symbol.dispose]: () => (disposed += 1) }))
      .inSingletonScope()
    const { module, from } = bridge({ name: 'inversify', openScope: () => container })
    const providers = [
      bind(
        PoolKey,
        from((it) => it.get(Pool)),
      ),
    ]
    const { broker, container: own } = brokerWith({ module, providers })
    const seen: Pool[] = []
    const task = broker.task({
      name: 'use',
      deps: { pool: PoolKey },
      run: async (_input: unknown, { pool }) => void seen.push(pool),
    })
    await broker.startup()

    await broker.execute(task)
    await broker.execute(task)
    await own.close()

    expect(seen).toEqual([container.get(Pool), container.get(Pool)])
    expect(seen[0]).toBe(seen[1])
    expect(disposed).toBe(0)
  })

  it('may stand beside another one, each with scopes of its own', async () => {
    const events: string[] = []
    const [left, right] = ['left', 'right'].map((name) =>
      bridge({
        name,
        openScope: ({ attempt }) => {
          events.push(`${name} opened`)
          return { id: attempt }
        },
        closeScope: () => void events.push(`${name} closed`),
      }),
    ) as [ReturnType<typeof bridge<{ id: number }>>, ReturnType<typeof bridge<{ id: number }>>]
    const Other = token<{ readonly id: number }>('Other')
    const broker = inMemory()
    const container = createContainer({
      modules: [left.module, right.module],
      providers: [
        bind(
          Handle,
          left.from((scope) => scope),
        ),
        bind(
          Other,
          right.from((scope) => scope),
        ),
      ],
    })
    setupInjection(broker, container)
    const task = broker.task({ name: 'use', deps: { handle: Handle, other: Other }, run: async () => {} })
    await broker.startup()

    await broker.execute(task)

    expect(container.validate([task])).toEqual([])
    expect(events).toEqual(['left opened', 'right opened', 'right closed', 'left closed'])
  })
})
