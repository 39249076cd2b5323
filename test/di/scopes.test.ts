import { describe, expect, it } from 'vitest'

import type { Provider } from '../../src/di/index.ts'
import {
  CurrentScope,
  ProviderError,
  TaskInfo,
  TaskSignal,
  bind,
  createContainer,
  inject,
  injectAsync,
  lazy,
  token,
} from '../../src/di/index.ts'
import { deferred } from '../support/deferred.ts'
import { codeOf, thrownBy } from './kit.ts'

interface Numbered {
  readonly n: number
}
const Session = token<Numbered>('Session')
const Shared = token<Numbered>('Shared')
const One = token<{ readonly session: Numbered }>('One')
const Other = token<{ readonly session: Numbered }>('Other')

/** Numbers what it makes, from 1. */
function counted(scope: 'singleton' | 'scoped' | 'transient'): { scope: typeof scope; create: () => Numbered } {
  let n = 0
  return { scope, create: () => ({ n: (n += 1) }) }
}

const users = [
  bind(One, { scope: 'scoped', deps: { session: Session }, create: ({ session }) => ({ session }) }),
  bind(Other, { scope: 'scoped', deps: { session: Session }, create: ({ session }) => ({ session }) }),
]

describe('in a scope', () => {
  it('a scoped value is made once, and another one in each other scope', async () => {
    const container = createContainer({ providers: [bind(Session, counted('scoped')), ...users] })
    const scope = container.scope()
    const next = container.scope()

    const one = await scope.get(One)
    const other = await scope.get(Other)

    expect(one.session).toBe(other.session)
    expect(await scope.get(Session)).toBe(one.session)
    expect(scope.getSync(Session)).toBe(one.session)
    expect(await next.get(Session)).toEqual({ n: 2 })
  })

  it('a transient is another one for each that needs it, and for each call', async () => {
    const container = createContainer({ providers: [bind(Session, counted('transient')), ...users] })
    const scope = container.scope()

    const numbers = [(await scope.get(One)).session.n, (await scope.get(Other)).session.n, scope.getSync(Session).n]

    expect(numbers).toEqual([1, 2, 3])
    expect((await container.get(Session)).n).toBe(4)
    expect(container.getSync(Session).n).toBe(5)
  })

  it('a singleton is that of the container', async () => {
    const container = createContainer({ providers: [bind(Shared, counted('singleton'))] })

    expect(await container.scope().get(Shared)).toBe(await container.scope().get(Shared))
    expect(container.scope().getSync(Shared)).toBe(await container.get(Shared))
  })

  it('a value is made once for all who ask at the same time', async () => {
    let made = 0
    const gate = deferred()
    const provider = bind(Session, {
      scope: 'scoped',
      create: async () => {
        await gate.promise
        return { n: (made += 1) }
      },
    })
    const scope = createContainer({ providers: [provider, ...users] }).scope()

    const waiting = Promise.all([scope.get(Session), scope.get(One), scope.get(Other), scope.get(Session)])
    gate.resolve()
    const [session, one, other, again] = await waiting

    expect(new Set([session, one.session, other.session, again]).size).toBe(1)
    expect(made).toBe(1)
  })

  it('a value that could not be made is tried again by whoever asks next', async () => {
    let attempts = 0
    const cause = new Error('Not yet.')
    const provider = bind(Session, {
      scope: 'scoped',
      create: async () => {
        attempts += 1
        if (attempts === 1) throw cause
        return { n: attempts }
      },
    })
    const scope = createContainer({ providers: [provider, ...users] }).scope()

    const errors = await Promise.all([thrownBy(() => scope.get(One)), thrownBy(() => scope.get(Session))])

    expect(errors.map((error) => (error as ProviderError).cause)).toEqual([cause, cause])
    expect(errors.map((error) => (error as ProviderError).path)).toEqual([['One', 'Session'], ['Session']])
    expect((await scope.get(One)).session.n).toBe(2)
  })

  it('CurrentScope is the scope itself', async () => {
    const scope = createContainer().scope()

    expect(await scope.get(CurrentScope)).toBe(scope)
  })

  it('getSync() refuses what has to be waited for, with the path to it', async () => {
    const provider = bind(Session, { scope: 'scoped', create: async () => ({ n: 1 }) })
    const scope = createContainer({ providers: [provider, ...users] }).scope()

    const error = await thrownBy(() => scope.getSync(One))

    expect(error).toMatchObject({ code: 'KIQ_DI_ASYNC' })
    expect((error as Error).message).toMatch(/^One > Session: /)
    expect((await scope.get(One)).session.n).toBe(1)
    expect(scope.getSync(One).session.n).toBe(1)
  })
})

describe('without a scope', () => {
  it('there are no scoped values', async () => {
    const container = createContainer({ providers: [bind(Session, counted('scoped'))] })

    expect(await codeOf(() => container.get(Session))).toBe('KIQ_DI_NO_SCOPE')
    expect(await codeOf(() => container.getSync(Session))).toBe('KIQ_DI_NO_SCOPE')
    expect(await codeOf(() => container.get(TaskInfo))).toBe('KIQ_DI_NO_SCOPE')
  })

  it('a transient that its provider closes is refused', async () => {
    const closed: number[] = []
    const provider = bind(Session, { ...counted('transient'), dispose: ({ n }) => void closed.push(n) })
    const container = createContainer({ providers: [provider] })

    for (const get of [() => container.get(Session), () => container.getSync(Session)]) {
      expect(await thrownBy(get)).toMatchObject({ name: 'ScopeError', code: 'KIQ_DI_TRANSIENT_AT_ROOT' })
    }
    const scope = container.scope()
    expect((await scope.get(Session)).n).toBe(1)
    await scope.close()
    expect(closed).toEqual([1])
  })

  it('a transient that turns out to be disposable is closed and refused', async () => {
    let closed = 0
    const Handle = token<AsyncDisposable>('Handle')
    const Holder = token<object>('Holder')
    const container = createContainer({
      providers: [
        bind(Handle, {
          scope: 'transient',
          create: () => ({
            [Symbol.asyncDispose]: async () => {
              closed += 1
            },
          }),
        }),
        bind(Holder, { scope: 'transient', deps: { handle: Handle }, create: ({ handle }) => ({ handle }) }),
      ],
    })

    expect(await codeOf(() => container.get(Handle))).toBe('KIQ_DI_TRANSIENT_AT_ROOT')
    expect(closed).toBe(1)
    expect(await codeOf(() => container.get(Holder))).toBe('KIQ_DI_TRANSIENT_AT_ROOT')
    expect(closed).toBe(2)
    expect(await codeOf(() => container.getSync(Handle))).toBe('KIQ_DI_TRANSIENT_AT_ROOT')
    expect(closed).toBe(3)
  })

  it('a disposable transient is given when it is not ours to close', async () => {
    const Handle = token<Disposable>('Handle')
    const container = createContainer({
      providers: [bind(Handle, { scope: 'transient', create: () => ({ [Symbol.dispose]: () => {} }), dispose: false })],
    })

    expect(await container.get(Handle)).not.toBe(await container.get(Handle))
  })
})

describe('seeds', () => {
  const ofTask = bind(One, {
    scope: 'scoped',
    deps: { info: TaskInfo },
    create: ({ info }) => ({ session: { n: info.attempt } }),
  })

  it('stand for what belongs to a task', async () => {
    const container = createContainer({ providers: [ofTask] })

    expect(await codeOf(() => container.scope().get(One))).toBe('KIQ_DI_NO_SCOPE')
    expect(await codeOf(() => container.scope().get(TaskSignal))).toBe('KIQ_DI_NO_SCOPE')
    const info = TaskInfo.fake({ attempt: 3 })
    const scope = container.scope([[TaskInfo, info]])
    expect(await scope.get(TaskInfo)).toBe(info)
    expect((await scope.get(One)).session.n).toBe(3)
  })

  it('replace scoped values in one scope, and are not closed', async () => {
    const closed: Numbered[] = []
    const provider = bind(Session, { ...counted('scoped'), dispose: (session) => void closed.push(session) })
    const container = createContainer({ providers: [provider, ...users] })
    const seed = { n: 42 }
    const scope = container.scope(new Map([[Session, seed]]))

    expect((await scope.get(One)).session).toBe(seed)
    expect((await container.scope().get(One)).session).toEqual({ n: 1 })
    await scope.close()
    expect(closed).toEqual([])
  })

  it('may be `undefined`, and may be given for an alias', async () => {
    const Nothing = token<undefined>('Nothing')
    const Name = token<Numbered>('Name')
    const providers: readonly Provider[] = [
      bind(Nothing, {
        scope: 'scoped',
        create: () => {
          throw new Error('It was made.')
        },
      }),
      bind(Session, counted('scoped')),
      bind(Name, { alias: Session }),
    ]
    const scope = createContainer({ providers }).scope([
      [Nothing, undefined],
      [Name, { n: 5 }],
    ])

    expect(await scope.get(Nothing)).toBeUndefined()
    expect(await scope.get(Session)).toEqual({ n: 5 })
  })

  it('are refused for keys without values of a scope, and for unknown ones', async () => {
    const container = createContainer({
      providers: [bind(Shared, counted('singleton')), bind(Session, counted('transient'))],
    })

    expect(await codeOf(() => container.scope([[Shared, { n: 1 }]]))).toBe('KIQ_DI_NO_SCOPE')
    expect(await codeOf(() => container.scope([[Session, { n: 1 }]]))).toBe('KIQ_DI_NO_SCOPE')
    expect(await codeOf(() => container.scope([[One, { session: { n: 1 } }]]))).toBe('KIQ_DI_MISSING')
  })
})

describe('run()', () => {
  const asyncSession = bind(Session, { scope: 'scoped', create: async () => ({ n: 1 }) })
  const container = createContainer({ providers: [asyncSession, bind(Shared, counted('scoped'))] })

  it('is where inject() asks the scope, also after an await', async () => {
    const scope = container.scope()

    const values = await scope.run(async () => {
      const before = inject(Shared)
      await Promise.resolve()
      return [before, inject(Shared), await injectAsync(Session), inject(Session)]
    })

    const shared = scope.getSync(Shared)
    const session = await scope.get(Session)
    expect(values).toEqual([shared, shared, session, session])
    expect(values[0]).toBe(shared)
    expect(values[3]).toBe(session)
  })

  it('returns what the function returns, and throws what it throws', () => {
    const scope = container.scope()
    const error = new Error('mine')

    expect(scope.run(() => 7)).toBe(7)
    expect(() =>
      scope.run(() => {
        throw error
      }),
    ).toThrow(error)
  })

  it('keeps two scopes apart that run at the same time, and one inside another', async () => {
    const [one, other] = [container.scope(), container.scope()]
    const gate = deferred()
    const ask = async (): Promise<Numbered> => {
      await gate.promise
      return inject(Shared)
    }

    const asked = [one.run(ask), other.run(ask), one.run(() => other.run(ask))]
    gate.resolve()
    const [ofOne, ofOther, nested] = await Promise.all(asked)

    expect(ofOne).toBe(one.getSync(Shared))
    expect(ofOther).toBe(other.getSync(Shared))
    expect(nested).toBe(ofOther)
  })

  it('does not make inject() wait', async () => {
    const scope = container.scope()

    expect(await codeOf(() => scope.run(() => inject(Session)))).toBe('KIQ_DI_ASYNC')
  })

  it('is what inject() and injectAsync() need', async () => {
    expect(await codeOf(() => inject(Shared))).toBe('KIQ_DI_NO_SCOPE')
    expect(await codeOf(() => injectAsync(Shared))).toBe('KIQ_DI_NO_SCOPE')
  })

  it('does not reach into the providers of singletons', async () => {
    const Sneaky = token<Numbered>('Sneaky')
    const sneaky = createContainer({
      providers: [bind(Shared, counted('scoped')), bind(Sneaky, { create: () => inject(Shared) })],
    })
    sneaky.validate()
    const scope = sneaky.scope()

    expect(await codeOf(() => scope.run(() => inject(Sneaky)))).toBe('KIQ_DI_NO_SCOPE')
  })
})

describe('a scope that is closed', () => {
  it('gives nothing more, not even what it made', async () => {
    const Holder = token<{ readonly session: () => Promise<Numbered> }>('Holder')
    const container = createContainer({
      providers: [
        bind(Session, counted('scoped')),
        bind(Holder, { scope: 'scoped', deps: { session: lazy(Session) }, create: (deps) => deps }),
      ],
    })
    const scope = container.scope()
    const holder = await scope.get(Holder)
    await holder.session()
    expect(scope.isClosed).toBe(false)

    await scope.close()

    expect(scope.isClosed).toBe(true)
    const late: readonly (() => unknown)[] = [
      () => scope.get(Session),
      () => scope.getSync(Session),
      () => holder.session(),
      () => scope.run(() => inject(Session)),
      () => scope.run(() => injectAsync(Session)),
    ]
    for (const ask of late) {
      const error = await thrownBy(ask)
      expect(error).toMatchObject({ name: 'ScopeError', code: 'KIQ_DI_SCOPE_CLOSED' })
      expect((error as Error).message).toMatch(/^Session was asked for after its scope was closed/)
    }
    expect((await container.scope().get(Session)).n).toBe(2)
  })

  it('closes what was being made for it as soon as that is there, and gives it to nobody', async () => {
    const gate = deferred()
    const closed = deferred<number>()
    const container = createContainer({
      providers: [
        bind(Session, {
          scope: 'scoped',
          create: async () => {
            await gate.promise
            return { n: 1 }
          },
          dispose: ({ n }) => closed.resolve(n),
        }),
      ],
    })
    const scope = container.scope()
    const asked = thrownBy(() => scope.get(Session))

    await scope.close()
    gate.resolve()

    expect(await asked).toMatchObject({ code: 'KIQ_DI_SCOPE_CLOSED' })
    expect(await closed.promise).toBe(1)
  })

  it('makes nothing more of what was still to come', async () => {
    const gate = deferred()
    let made = 0
    const container = createContainer({
      providers: [
        bind(Session, {
          scope: 'scoped',
          create: async () => {
            await gate.promise
            return { n: 1 }
          },
        }),
        bind(One, {
          scope: 'scoped',
          deps: { session: Session },
          create: ({ session }) => {
            made += 1
            return { session }
          },
        }),
      ],
    })
    const scope = container.scope()
    const asked = thrownBy(() => scope.get(One))

    await scope.close()
    gate.resolve()

    expect(await asked).toMatchObject({ code: 'KIQ_DI_SCOPE_CLOSED' })
    expect(made).toBe(0)
  })

  it('can be closed again, which closes nothing twice', async () => {
    const closed: number[] = []
    const provider = bind(Session, { ...counted('scoped'), dispose: async ({ n }) => void closed.push(n) })
    const scope = createContainer({ providers: [provider] }).scope()
    await scope.get(Session)

    await Promise.all([scope.close(), scope.close()])
    await scope[Symbol.asyncDispose]()

    expect(closed).toEqual([1])
  })
})

describe('a container that is closed', () => {
  it('gives no values and no scopes', async () => {
    const container = createContainer({ providers: [bind(Shared, counted('singleton'))] })
    await container.get(Shared)
    const scope = container.scope()
    expect(container.isClosed).toBe(false)

    await container.close()

    expect(container.isClosed).toBe(true)
    expect(await codeOf(() => container.get(Shared))).toBe('KIQ_DI_SCOPE_CLOSED')
    expect(await codeOf(() => container.getSync(Shared))).toBe('KIQ_DI_SCOPE_CLOSED')
    expect(await codeOf(() => container.scope())).toBe('KIQ_DI_SCOPE_CLOSED')
    await scope.close()
  })

  it('makes no singletons for scopes that are still open', async () => {
    const container = createContainer({ providers: [bind(Shared, counted('singleton'))] })
    const scope = container.scope()

    await container.close()

    expect(await codeOf(() => scope.get(Shared))).toBe('KIQ_DI_SCOPE_CLOSED')
  })

  it('has closed what was being made when it was told to', async () => {
    const gate = deferred()
    const closed: number[] = []
    const container = createContainer({
      providers: [
        bind(Shared, {
          create: async () => {
            await gate.promise
            return { n: 1 }
          },
          dispose: ({ n }) => void closed.push(n),
        }),
      ],
    })
    const asked = thrownBy(() => container.get(Shared))

    const closing = container.close()
    gate.resolve()
    await closing

    expect(closed).toEqual([1])
    expect(await asked).toMatchObject({ code: 'KIQ_DI_SCOPE_CLOSED' })
  })

  it('does not wait for ever for what is being made', async () => {
    const gate = deferred()
    const closed = deferred<number>()
    const container = createContainer({
      disposeTimeout: 20,
      providers: [
        bind(Shared, {
          create: async () => {
            await gate.promise
            return { n: 1 }
          },
          dispose: ({ n }) => closed.resolve(n),
        }),
      ],
    })
    const asked = thrownBy(() => container.get(Shared))

    await container.close()
    gate.resolve()

    expect(await asked).toMatchObject({ code: 'KIQ_DI_SCOPE_CLOSED' })
    expect(await closed.promise).toBe(1)
  })
})
