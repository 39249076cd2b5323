import { AsyncLocalStorage } from 'node:async_hooks'

import { describe, expect, it } from 'vitest'

import { OwnContainer } from '../../src/di/container.ts'
import { bind, createContainer, inject, lazy, token } from '../../src/di/index.ts'
import { deferred, settled } from '../support/deferred.ts'
import { codeOf, outlineOf, thrownBy } from './kit.ts'

const K = token<unknown>('K')
const S = token<number>('S')
const T = token<unknown>('T')
const H = token<unknown>('H')

describe('a container', () => {
  it('makes singletons in the context in which it was made, whoever asks first', async () => {
    const requests = new AsyncLocalStorage<string>()
    const container = createContainer({ providers: [bind(K, { create: () => requests.getStore() })] })
    expect(await requests.run('a request', () => container.get(K))).toBeUndefined()
  })

  it('has no current scope for inject() while it makes a singleton', async () => {
    const outer = createContainer({ providers: [bind(S, { scope: 'scoped', create: () => 1 })] })
    const other = createContainer({ providers: [bind(K, { create: () => inject(S) })] })
    expect(await codeOf(() => outer.scope().run(() => other.get(K)))).toBe('KIQ_DI_NO_SCOPE')
  })

  it('refuses to give one of several where one is meant', async () => {
    const container = createContainer({ providers: [bind(K, { value: 1 }), bind(K, { value: 2 })] })
    expect(await codeOf(() => container.get(K))).toBe('KIQ_DI_DUPLICATE')
  })

  it('refuses it in forks, too', async () => {
    const container = createContainer({ providers: [bind(K, { value: 1 }), bind(K, { value: 2 })] })
    expect(await codeOf(() => container.fork({ overrides: [bind(S, { value: 1 })] }))).toBe('KIQ_DI_DUPLICATE')
  })

  it('does not call `then` of a value that comes after one to wait for', async () => {
    const thenable = { then: (resolve: (value: string) => void) => resolve('unwrapped') }
    const container = createContainer({
      providers: [
        bind(S, { create: async () => 1 }),
        bind(K, { value: thenable }),
        bind(H, { deps: { slow: S, value: K }, create: (deps) => ({ value: deps.value }) }),
      ],
    })
    expect(await container.get(H)).toEqual({ value: thenable })
  })

  it('does not call `then` of an object whose parameters had to be waited for', async () => {
    class Query {
      readonly n: number
      constructor(n: number) {
        this.n = n
      }
      then(resolve: (value: string) => void): void {
        resolve('unwrapped')
      }
    }
    const container = createContainer({
      providers: [
        bind(S, { create: async () => 1 }),
        bind(Query, { class: Query, params: [S] }),
        bind(H, { deps: { value: Query }, create: (deps) => ({ value: deps.value }) }),
      ],
    })
    expect(((await container.get(H)) as { value: unknown }).value).toBeInstanceOf(Query)
  })

  it('does not call `then` of a value when it starts', async () => {
    let called = 0
    const container = new OwnContainer({
      providers: [
        bind(K, {
          *use() {
            yield { then: () => void (called += 1) }
          },
        }),
      ],
    })
    void container.store.start(container.store.registry.link([{ name: '', mode: 'one', key: K }]))
    await settled()
    expect(called).toBe(0)
  })

  it('gives a transient lazy dependencies that can be called', async () => {
    const container = createContainer({
      providers: [
        bind(S, { create: () => 1 }),
        bind(T, { scope: 'transient', deps: { s: lazy(S) }, create: ({ s }) => s }),
      ],
    })
    expect(await ((await container.get(T)) as () => Promise<number>)()).toBe(1)
  })

  it('has no scoped values for a transient', async () => {
    const container = createContainer({
      providers: [
        bind(S, { scope: 'scoped', create: () => 1 }),
        bind(T, { scope: 'transient', deps: { s: S }, create: ({ s }) => s }),
      ],
    })
    expect(await codeOf(() => container.get(T))).toBe('KIQ_DI_NO_SCOPE')
  })

  it('closes what a transient needed that could not be made', async () => {
    let closed = 0
    const container = createContainer({
      providers: [
        bind(K, { scope: 'transient', create: () => ({ [Symbol.dispose]: () => void (closed += 1) }) }),
        bind(T, {
          scope: 'transient',
          deps: { k: K },
          create: () => {
            throw new Error('no')
          },
        }),
      ],
    })
    await thrownBy(() => container.get(T))
    await container.close()
    expect(closed).toBe(1)
  })

  it('tells a generator that is ready after the end of its scope how that ended', async () => {
    const gate = deferred()
    const log: string[] = []
    const container = createContainer({
      providers: [
        bind(K, {
          scope: 'scoped',
          async *use() {
            await gate.promise
            try {
              yield 'tx'
              log.push('commit')
            } catch {
              log.push('rollback')
            }
          },
        }),
      ],
    })
    const scope = container.scope()
    const asked = thrownBy(() => scope.get(K))
    await scope.close({ error: new Error('bad') })
    gate.resolve()
    await asked
    await settled()
    expect(log).toEqual(['rollback'])
  })

  it('gives nothing to scopes when it is closed', async () => {
    const container = createContainer({ providers: [bind(K, { create: () => ({}), dispose: () => {} })] })
    const scope = container.scope()
    await container.get(K)
    await container.close()
    expect(await codeOf(() => scope.get(K))).toBe('KIQ_DI_SCOPE_CLOSED')
  })

  it('gives nothing to forks when it is closed', async () => {
    const container = createContainer({ providers: [bind(K, { create: () => ({}), dispose: () => {} })] })
    const fork = container.fork({ overrides: [] })
    await container.get(K)
    await container.close()
    expect(await codeOf(() => fork.get(K))).toBe('KIQ_DI_SCOPE_CLOSED')
  })

  it('finds every captive behind a ring of transients', () => {
    const [T1, T2, A, B] = ['T1', 'T2', 'A', 'B'].map((name) => token<number>(name)) as [
      typeof S,
      typeof S,
      typeof S,
      typeof S,
    ]
    const container = createContainer({
      providers: [
        bind(S, { scope: 'scoped', create: () => 1 }),
        bind(T1, { scope: 'transient', deps: { t: lazy(T2), s: S }, create: () => 1 }),
        bind(T2, { scope: 'transient', deps: { t: T1 }, create: () => 1 }),
        bind(A, { deps: { t: T1 }, create: () => 1 }),
        bind(B, { deps: { t: T2 }, create: () => 1 }),
      ],
    })
    expect(outlineOf(container)).toEqual(['KIQ_DI_CAPTIVE A > T1 > S', 'KIQ_DI_CAPTIVE B > T2 > T1 > S'])
  })

  it('explains a net of dependencies in as many lines as it has edges', () => {
    let below = [token<number>('L0a'), token<number>('L0b')]
    const providers = below.map((key) => bind(key, { value: 0 }))
    for (let i = 1; i <= 13; i += 1) {
      const [a, b] = below as [typeof S, typeof S]
      below = [token<number>(`L${i}a`), token<number>(`L${i}b`)]
      providers.push(...below.map((key) => bind(key, { deps: { a, b }, create: () => 0 })))
    }
    expect(createContainer({ providers }).graph().explain('L13a').split('\n').length).toBeLessThan(1_000)
  })

  it('warns of a transient that is held by another name', () => {
    const D = token<object>('D')
    const DA = token<object>('DA')
    const container = createContainer({
      providers: [
        bind(D, { scope: 'transient', create: () => ({}), dispose: () => {} }),
        bind(DA, { alias: D }),
        bind(S, { deps: { d: DA }, create: () => 1 }),
      ],
    })
    expect(outlineOf(container)).toEqual(['KIQ_DI_TRANSIENT_HELD S > D'])
  })

  it('closes the transients of singletons that a failed start takes back', async () => {
    const log: string[] = []
    const container = new OwnContainer({
      providers: [
        bind(T, { scope: 'transient', create: () => 't', dispose: () => void log.push('t closed') }),
        bind(K, { deps: { t: T }, create: () => 'k', dispose: () => void log.push('k closed') }),
        bind(S, {
          create: () => {
            throw new Error('no')
          },
        }),
      ],
    })
    const edges = [K, S].map((key) => ({ name: '', mode: 'one', key }) as const)
    await thrownBy(() => container.store.start(container.store.registry.link(edges)))
    expect(log).toEqual(['k closed', 't closed'])
  })

  it('closes a function that can be closed', async () => {
    let closed = 0
    const container = createContainer({
      providers: [bind(K, { create: () => Object.assign(() => {}, { [Symbol.dispose]: () => void (closed += 1) }) })],
    })
    await container.get(K)
    await container.close()
    expect(closed).toBe(1)
  })

  it('refuses a binding without a recipe', async () => {
    expect(await codeOf(() => bind(K, undefined as never))).toBe('KIQ_CONFIG_INVALID')
  })

  it('takes a dependency that is called `then` for what it is', async () => {
    const container = createContainer({
      providers: [
        bind(S, { create: async () => 1 }),
        bind(K, { value: () => {} }),
        bind(H, { scope: 'scoped', deps: { s: S, then: K }, create: (deps) => Object.keys(deps) }),
      ],
    })
    expect(await container.scope().get(H)).toEqual(['s', 'then'])
  })

  it('makes a chain of 3,000 singletons', async () => {
    const keys = Array.from({ length: 3_000 }, (_, i) => token<number>(`K${i}`))
    const providers = keys.map((key, i) => {
      const below = keys[i - 1]
      return below === undefined ? bind(key, { value: 0 }) : bind(key, { deps: { below }, create: (d) => d.below + 1 })
    })
    expect(await createContainer({ providers }).get(keys[2_999] ?? S)).toBe(2_999)
  })

  it('has no duplicates where another binding overrides them', () => {
    const container = createContainer({
      providers: [bind(K, { value: 1 }), bind(K, { value: 2 }), bind(K, { value: 3, override: true })],
    })
    expect(outlineOf(container)).toEqual([])
  })

  it('closes each value once, in order, when it is closed while it starts', async () => {
    const log: string[] = []
    const slow = async (text: string) => {
      log.push(`${text} closes`)
      await settled()
      log.push(`${text} closed`)
    }
    const gate = deferred()
    const A = token<string>('A')
    const B = token<string>('B')
    const C = token<string>('C')
    const container = new OwnContainer({
      providers: [
        bind(A, { create: () => 'a', dispose: slow }),
        bind(B, { deps: { a: A }, create: () => 'b', dispose: slow }),
        bind(C, {
          deps: { b: B },
          create: async () => {
            await gate.promise
            return 'c'
          },
          dispose: slow,
        }),
      ],
    })
    const links = container.store.registry.link([{ name: '', mode: 'one', key: C }])
    const started = thrownBy(() => container.store.start(links))
    await settled()
    const closing = container.close()
    gate.resolve()
    await closing
    log.push('close() resolved')
    expect(await started).toMatchObject({ code: 'KIQ_DI_SCOPE_CLOSED' })
    await settled(100)
    expect(log).toEqual(['c closes', 'c closed', 'b closes', 'b closed', 'a closes', 'a closed', 'close() resolved'])
  })

  it('keeps what a fork shares when the start of that fork fails', async () => {
    let made = 0
    const parent = createContainer({
      providers: [
        bind(K, { create: () => (made += 1) }),
        bind(S, { value: 1 }),
        bind(T, {
          deps: { s: S },
          create: () => {
            throw new Error('no')
          },
        }),
      ],
    })
    const fork = parent.fork({ overrides: [bind(S, { value: 2 })] }) as OwnContainer
    const edges = [K, T].map((key) => ({ name: '', mode: 'one', key }) as const)
    await thrownBy(() => fork.store.start(fork.store.registry.link(edges)))
    await parent.get(K)
    expect(made).toBe(1)
  })
})
