import { describe, expect, it } from 'vitest'

import { OwnContainer } from '../../src/di/container.ts'
import type { Key, Provider } from '../../src/di/index.ts'
import { ProviderError, all, bind, lazy, token } from '../../src/di/index.ts'
import { deferred, settled } from '../support/deferred.ts'
import { thrownBy } from './kit.ts'

const A = token<string>('A')
const B = token<string>('B')
const C = token<string>('C')

interface Started {
  readonly container: OwnContainer
  /** As a worker does before its first message. */
  readonly start: () => Promise<void>
}

function starting(roots: readonly Key[], providers: readonly Provider[]): Started {
  const container = new OwnContainer({ providers })
  const edges = roots.map((key, i) => ({ name: String(i), mode: 'one', key }) as const)
  return { container, start: () => container.store.start(container.store.registry.link(edges)) }
}

describe('the start of a container', () => {
  it('makes at the same time what does not need each other', async () => {
    const begun = { a: deferred(), b: deferred() }
    const { container, start } = starting(
      [A, B],
      [
        bind(A, {
          create: async () => {
            begun.a.resolve()
            await begun.b.promise
            return 'a'
          },
        }),
        bind(B, {
          create: async () => {
            begun.b.resolve()
            await begun.a.promise
            return 'b'
          },
        }),
      ],
    )

    await start()

    expect([container.getSync(A), container.getSync(B)]).toEqual(['a', 'b'])
  })

  it('makes a singleton after all that it needs', async () => {
    const gate = deferred()
    const log: string[] = []
    const { start } = starting(
      [C],
      [
        bind(A, {
          create: async () => {
            await gate.promise
            log.push('a')
            return 'a'
          },
        }),
        bind(B, {
          create: async () => {
            log.push('b')
            return 'b'
          },
        }),
        bind(C, {
          deps: { a: A, b: B },
          create: ({ a, b }) => {
            log.push(`c of ${a} and ${b}`)
            return 'c'
          },
        }),
      ],
    )

    const started = start()
    await settled()
    expect(log).toEqual(['b'])
    gate.resolve()
    await started

    expect(log).toEqual(['b', 'a', 'c of a and b'])
  })

  it('makes what is reached through scoped values, transients, aliases and lazy dependencies', async () => {
    const log: string[] = []
    const made = (text: string) => () => {
      log.push(text)
      return text
    }
    const [Scoped, Transient, Alias, Behind, Several] = ['Scoped', 'Transient', 'Alias', 'Behind', 'Several'].map(
      (name) => token<string>(name),
    ) as [Key<string>, Key<string>, Key<string>, Key<string>, Key<string>]
    const { start } = starting(
      [Scoped],
      [
        bind(Scoped, {
          scope: 'scoped',
          deps: { t: Transient, l: lazy(Behind), s: all(Several) },
          create: made('scoped'),
        }),
        bind(Transient, { scope: 'transient', deps: { a: Alias }, create: made('transient') }),
        bind(Alias, { alias: A }),
        bind(A, { create: made('a') }),
        bind(Behind, { create: made('behind lazy') }),
        bind(Several, { create: made('first of several'), multi: true }),
        bind(Several, { create: made('second of several'), multi: true }),
        bind(B, { create: made('not reached') }),
      ],
    )

    await start()

    expect(log.toSorted()).toEqual(['a', 'behind lazy', 'first of several', 'second of several'])
  })

  it('leaves for later what is not eager', async () => {
    let made = 0
    const { container, start } = starting([A], [bind(A, { eager: false, create: () => `made ${(made += 1)}` })])

    await start()
    expect(made).toBe(0)
    expect(await container.get(A)).toBe('made 1')
  })

  it('makes nothing twice', async () => {
    let made = 0
    const { container, start } = starting([A], [bind(A, { create: async () => `made ${(made += 1)}` })])

    const first = container.get(A)
    await Promise.all([start(), start()])
    await start()

    expect(await first).toBe('made 1')
    expect(made).toBe(1)
  })

  it('waits for all, then closes what it made in reverse, when one cannot be made', async () => {
    const log: string[] = []
    const gate = deferred()
    const broken = new Error('It does not answer.')
    let isBroken = true
    const logged = (text: string) => ({
      create: () => {
        log.push(`${text} made`)
        return text
      },
      dispose: () => void log.push(`${text} closed`),
    })
    const Base = token<string>('Base')
    const { container, start } = starting(
      [A, B, C],
      [
        bind(Base, logged('base')),
        bind(A, {
          deps: { base: Base },
          create: async () => {
            await gate.promise
            log.push('a made')
            return 'a'
          },
          dispose: () => void log.push('a closed'),
        }),
        bind(B, {
          deps: { base: Base },
          create: async () => {
            if (isBroken) throw broken
            return 'b'
          },
        }),
        bind(C, { deps: { a: A, b: B }, ...logged('c') }),
      ],
    )

    const failing = thrownBy(start)
    await settled()
    expect(log).toEqual(['base made'])
    gate.resolve()

    expect(await failing).toMatchObject({ code: 'KIQ_DI_PROVIDER_FAILED', cause: broken, path: ['B'] })
    expect(log).toEqual(['base made', 'a made', 'a closed', 'base closed'])

    isBroken = false
    log.length = 0
    await start()
    expect(log).toEqual(['base made', 'a made', 'c made'])
    await container.close()
    expect(log).toEqual(['base made', 'a made', 'c made', 'c closed', 'a closed', 'base closed'])
  })

  it('keeps what was made before, when one cannot be made', async () => {
    const log: string[] = []
    const { container, start } = starting(
      [A, B],
      [
        bind(A, { create: () => 'a', dispose: () => void log.push('a closed') }),
        bind(B, {
          create: () => {
            throw new Error('b')
          },
        }),
      ],
    )
    await container.get(A)

    await thrownBy(start)

    expect(log).toEqual([])
    await container.close()
    expect(log).toEqual(['a closed'])
  })

  it('names everything that could not be made', async () => {
    const fails = (text: string) => ({
      create: async (): Promise<string> => {
        throw new Error(text)
      },
    })
    const { start } = starting([A, B], [bind(A, fails('a is down')), bind(B, fails('b is down'))])

    const error = await thrownBy(start)

    expect(error).toBeInstanceOf(ProviderError)
    expect((error as ProviderError).message).toContain('2 values could not be made')
    expect((error as ProviderError).message).toContain('A: it could not be made: a is down')
    expect((error as ProviderError).message).toContain('B: it could not be made: b is down')
    expect(((error as ProviderError).cause as AggregateError).errors).toHaveLength(2)
  })

  it('throws the failure into generators of what it made', async () => {
    const seen: unknown[] = []
    const broken = new Error('It does not answer.')
    const { start } = starting(
      [A, B],
      [
        bind(A, {
          *use() {
            try {
              yield 'a'
            } catch (error) {
              seen.push((error as ProviderError).cause)
              throw error
            }
          },
        }),
        bind(B, {
          deps: { a: A },
          create: () => {
            throw broken
          },
        }),
      ],
    )

    await thrownBy(start)

    expect(seen).toEqual([broken])
  })

  it('ends with an error when the container is closed meanwhile, and leaves nothing open', async () => {
    const log: string[] = []
    const gate = deferred()
    const { container, start } = starting(
      [C],
      [
        bind(A, { create: () => 'a', dispose: () => void log.push('a closed') }),
        bind(B, {
          deps: { a: A },
          create: async () => {
            await gate.promise
            return 'b'
          },
          dispose: () => void log.push('b closed'),
        }),
        bind(C, {
          deps: { b: B },
          create: () => {
            log.push('c made')
            return 'c'
          },
        }),
      ],
    )

    const started = thrownBy(start)
    await settled()
    const closing = container.close()
    gate.resolve()
    await closing

    expect(await started).toMatchObject({ code: 'KIQ_DI_SCOPE_CLOSED' })
    expect(log).toEqual(['b closed', 'a closed'])
  })

  it('is refused when the container is closed', async () => {
    const { container, start } = starting([A], [bind(A, { create: () => 'a' })])
    container.validate()

    await container.close()

    expect(await thrownBy(start)).toMatchObject({ code: 'KIQ_DI_SCOPE_CLOSED' })
  })
})
