import { describe, expect, it } from 'vitest'

import type { ContainerOptions, Scope } from '../../src/di/index.ts'
import { DisposeError, bind, createContainer, token } from '../../src/di/index.ts'
import { silentLogger } from '../../src/index.ts'
import { codeOf, thrownBy } from './kit.ts'

const Tx = token<string>('Tx')
const Outer = token<string>('Outer')
const Inner = token<string>('Inner')

interface Opened {
  readonly scope: Scope
  readonly reported: readonly DisposeError[]
}

function open(options: ContainerOptions): Opened {
  const reported: DisposeError[] = []
  const onDisposeError = (error: DisposeError): void => void reported.push(error)
  return { scope: createContainer({ logger: silentLogger, onDisposeError, ...options }).scope(), reported }
}

/** Commits, or rolls back, and says so. */
function transaction(log: string[]) {
  return bind(Tx, {
    scope: 'scoped',
    async *use() {
      log.push('begin')
      try {
        yield 'tx'
      } catch (error) {
        log.push(`rollback after ${(error as Error).message}`)
        throw error
      }
      log.push('commit')
    },
  })
}

describe('a generator', () => {
  it('goes on after its `yield` when the scope ended well', async () => {
    const log: string[] = []
    const { scope, reported } = open({ providers: [transaction(log)] })

    expect(await scope.get(Tx)).toBe('tx')
    expect(log).toEqual(['begin'])
    await scope.close()

    expect(log).toEqual(['begin', 'commit'])
    expect(reported).toEqual([])
  })

  it('gets the error of the scope thrown at its `yield`, and may pass it on', async () => {
    const log: string[] = []
    const { scope, reported } = open({ providers: [transaction(log)] })
    await scope.get(Tx)

    await scope.close({ error: new Error('bad') })

    expect(log).toEqual(['begin', 'rollback after bad'])
    expect(reported).toEqual([])
  })

  it('sees the very object that was thrown, also `undefined`', async () => {
    const seen: unknown[] = []
    const provider = bind(Tx, {
      scope: 'scoped',
      *use() {
        try {
          yield 'tx'
        } catch (error) {
          seen.push(error)
        }
      },
    })
    const failure = new Error('bad')

    for (const error of [failure, undefined, 'text']) {
      const { scope } = open({ providers: [provider] })
      scope.getSync(Tx)
      await scope.close({ error })
    }

    expect(seen).toEqual([failure, undefined, 'text'])
    expect(seen[0]).toBe(failure)
  })

  it('that holds the error back does not hold it back from those that were made before', async () => {
    const log: string[] = []
    const { scope, reported } = open({
      providers: [
        transaction(log),
        bind(Inner, {
          scope: 'scoped',
          deps: { tx: Tx },
          *use() {
            try {
              yield 'inner'
            } catch {
              log.push('held back')
            }
          },
        }),
      ],
    })
    await scope.get(Inner)

    await scope.close({ error: new Error('bad') })

    expect(log).toEqual(['begin', 'held back', 'rollback after bad'])
    expect(reported).toEqual([])
  })

  it('that throws another error after a failure changes nothing, and is reported', async () => {
    const log: string[] = []
    const cause = new Error('connection lost')
    const { scope, reported } = open({
      providers: [
        transaction(log),
        bind(Inner, {
          scope: 'scoped',
          deps: { tx: Tx },
          async *use() {
            try {
              yield 'inner'
            } finally {
              // What a clean-up that fails does to the error it was called for.
              await Promise.reject(cause)
            }
          },
        }),
      ],
    })
    await scope.get(Inner)

    await scope.close({ error: new Error('bad') })

    expect(log).toEqual(['begin', 'rollback after bad'])
    expect(reported).toMatchObject([{ code: 'KIQ_DI_DISPOSE_FAILED', keyName: 'Inner', cause }])
  })

  it('whose end fails makes a failure of what went well, and those made before see it', async () => {
    const log: string[] = []
    const conflict = new Error('conflict')
    const { scope, reported } = open({
      providers: [
        transaction(log),
        bind(Inner, {
          scope: 'scoped',
          deps: { tx: Tx },
          async *use() {
            yield 'inner'
            throw conflict
          },
        }),
      ],
    })
    await scope.get(Inner)

    expect(await thrownBy(() => scope.close())).toBe(conflict)
    expect(log).toEqual(['begin', 'rollback after conflict'])
    expect(reported).toEqual([])
  })

  it('whose end fails leaves alone those that were made after it', async () => {
    const log: string[] = []
    const conflict = new Error('conflict')
    const { scope } = open({
      providers: [
        transaction(log),
        bind(Outer, {
          scope: 'scoped',
          *use() {
            yield 'outer'
            throw conflict
          },
        }),
      ],
    })
    await scope.get(Outer)
    await scope.get(Tx)

    expect(await thrownBy(() => scope.close())).toBe(conflict)
    expect(log).toEqual(['begin', 'commit'])
  })

  it('whose end fails still lets closers of other values run, and their errors are reported', async () => {
    const conflict = new Error('conflict')
    const { scope, reported } = open({
      providers: [
        bind(Outer, {
          scope: 'scoped',
          create: () => 'outer',
          dispose: () => {
            throw new Error('outer')
          },
        }),
        bind(Inner, {
          scope: 'scoped',
          deps: { outer: Outer },
          *use() {
            yield 'inner'
            throw conflict
          },
        }),
      ],
    })
    await scope.get(Inner)

    expect(await thrownBy(() => scope.close())).toBe(conflict)
    expect(reported.map(({ keyName }) => keyName)).toEqual(['Outer'])
  })

  it('is not told of closers that failed', async () => {
    const log: string[] = []
    const { scope, reported } = open({
      providers: [
        transaction(log),
        bind(Inner, {
          scope: 'scoped',
          deps: { tx: Tx },
          create: () => 'inner',
          dispose: () => {
            throw new Error('inner')
          },
        }),
      ],
    })
    await scope.get(Inner)

    await scope.close()

    expect(log).toEqual(['begin', 'commit'])
    expect(reported.map(({ keyName }) => keyName)).toEqual(['Inner'])
  })

  it('that takes too long at its end fails what went well', async () => {
    const log: string[] = []
    const { scope } = open({
      disposeTimeout: 20,
      providers: [
        transaction(log),
        bind(Inner, {
          scope: 'scoped',
          deps: { tx: Tx },
          async *use() {
            yield 'inner'
            await new Promise(() => {})
          },
        }),
      ],
    })
    await scope.get(Inner)

    expect(await codeOf(() => scope.close())).toBe('KIQ_DI_DISPOSE_TIMED_OUT')
    expect(log[1]).toMatch(/^rollback after Inner: it was not closed within 20 ms/)
  })

  it('that is sync is made without waiting, and ends without', () => {
    let ended = false
    const { scope } = open({
      providers: [
        bind(Tx, {
          scope: 'scoped',
          *use() {
            yield 'tx'
            ended = true
          },
        }),
      ],
    })

    expect(scope.getSync(Tx)).toBe('tx')
    void scope.close()
    expect(ended).toBe(true)
  })

  it('that cannot begin is a provider that failed', async () => {
    const cause = new Error('no connection')
    const { scope } = open({
      providers: [
        bind(Tx, {
          scope: 'scoped',
          async *use() {
            if (cause.message !== '') throw cause
            yield 'tx'
          },
        }),
      ],
    })

    expect(await thrownBy(() => scope.get(Tx))).toMatchObject({ code: 'KIQ_DI_PROVIDER_FAILED', cause, path: ['Tx'] })
    await scope.close()
  })

  it('of a singleton goes on when the container is closed, however scopes ended', async () => {
    const log: string[] = []
    const container = createContainer({
      providers: [
        bind(Tx, {
          *use() {
            try {
              yield 'tx'
            } catch {
              log.push('failed')
            }
            log.push('closed')
          },
        }),
      ],
    })
    const scope = container.scope()
    await scope.get(Tx)

    await scope.close({ error: new Error('bad') })
    expect(log).toEqual([])
    await container.close()

    expect(log).toEqual(['closed'])
  })

  it('of a singleton whose end fails is what close() of the container throws', async () => {
    const cause = new Error('flush failed')
    const container = createContainer({
      logger: silentLogger,
      providers: [
        bind(Tx, {
          async *use() {
            yield 'tx'
            throw cause
          },
        }),
      ],
    })
    await container.get(Tx)

    expect(await thrownBy(() => container.close())).toBe(cause)
  })

  it('of a transient ends with the scope, each on its own', async () => {
    const log: string[] = []
    let n = 0
    const { scope } = open({
      providers: [
        bind(Tx, {
          scope: 'transient',
          *use() {
            const id = `tx${(n += 1)}`
            yield id
            log.push(id)
          },
        }),
      ],
    })

    expect([await scope.get(Tx), await scope.get(Tx)]).toEqual(['tx1', 'tx2'])
    await scope.close()

    expect(log).toEqual(['tx2', 'tx1'])
  })
})

const wrongGenerators = {
  sync: {
    never: bind(Tx, {
      scope: 'scoped',
      *use(): Generator<string, void, void> {},
    }),
    twice: (log: string[]) =>
      bind(Tx, {
        scope: 'scoped',
        *use() {
          try {
            yield 'first'
            yield 'second'
          } finally {
            log.push('returned')
          }
        },
      }),
  },
  async: {
    never: bind(Tx, {
      scope: 'scoped',
      async *use(): AsyncGenerator<string, void, void> {},
    }),
    twice: (log: string[]) =>
      bind(Tx, {
        scope: 'scoped',
        async *use() {
          try {
            yield 'first'
            yield 'second'
          } finally {
            log.push('returned')
          }
        },
      }),
  },
}

describe.each(['sync', 'async'] as const)('a generator that is %s', (kind) => {
  const { never, twice } = wrongGenerators[kind]

  it('is a provider that failed when it yields nothing', async () => {
    const { scope } = open({
      providers: [never, bind(Outer, { scope: 'scoped', deps: { tx: Tx }, create: ({ tx }) => tx })],
    })

    expect(await thrownBy(() => scope.get(Outer))).toMatchObject({
      name: 'ProviderError',
      code: 'KIQ_DI_NO_YIELD',
      message: 'Outer > Tx: its generator ended without a `yield`. Yield the value once.',
      path: ['Outer', 'Tx'],
    })
    await scope.close()
  })

  it('fails what went well when it yields twice, and is made to return', async () => {
    const log: string[] = []
    const { scope, reported } = open({ providers: [twice(log)] })

    expect(await scope.get(Tx)).toBe('first')
    const error = await thrownBy(() => scope.close())

    expect(error).toBeInstanceOf(DisposeError)
    expect(error).toMatchObject({ code: 'KIQ_DI_YIELDED_TWICE', keyName: 'Tx' })
    expect(log).toEqual(['returned'])
    expect(reported).toEqual([])
  })
})

describe('a generator that answers an error with another `yield`', () => {
  it('is made to return and is reported, and the error stays', async () => {
    const log: string[] = []
    const { scope, reported } = open({
      providers: [
        transaction(log),
        bind(Inner, {
          scope: 'scoped',
          deps: { tx: Tx },
          async *use() {
            try {
              yield 'inner'
            } catch {
              yield 'again'
            }
          },
        }),
      ],
    })
    await scope.get(Inner)

    await scope.close({ error: new Error('bad') })

    expect(reported.map(({ code, keyName }) => `${code} ${keyName}`)).toEqual(['KIQ_DI_YIELDED_TWICE Inner'])
    expect(log).toEqual(['begin', 'rollback after bad'])
  })
})
