import { describe, expect, it } from 'vitest'

import type { ContainerOptions, Provider } from '../../src/di/index.ts'
import { DisposeError, bind, createContainer, token } from '../../src/di/index.ts'
import { silentLogger } from '../../src/index.ts'
import { deferred, settled } from '../support/deferred.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import { codeOf, thrownBy } from './kit.ts'

const A = token<string>('A')
const B = token<string>('B')
const C = token<string>('C')

type Lifetime = 'singleton' | 'scoped'

/** C needs B needs A. */
function chain(scope: Lifetime, dispose: (value: string) => void | Promise<void>): readonly Provider[] {
  return [
    bind(C, { scope, deps: { b: B }, create: () => 'c', dispose }),
    bind(B, { scope, deps: { a: A }, create: async () => 'b', dispose }),
    bind(A, { scope, create: () => 'a', dispose }),
  ]
}

interface Opened {
  /** Makes C, and all that it needs. */
  readonly open: () => Promise<unknown>
  readonly close: () => Promise<void>
}

function opened(scope: Lifetime, options: ContainerOptions): Opened {
  const container = createContainer({ logger: silentLogger, ...options })
  const holder = scope === 'singleton' ? container : container.scope()
  return { open: () => holder.get(C), close: () => holder.close() }
}

describe.each(['singleton', 'scoped'] as const)('what is %s', (scope) => {
  it('is closed in the reverse of the order in which it was made, one at a time', async () => {
    const log: string[] = []
    const gate = deferred()
    const { open, close } = opened(scope, {
      providers: chain(scope, async (value) => {
        log.push(`${value} closes`)
        if (value === 'c') await gate.promise
        else await Promise.resolve()
        log.push(`${value} closed`)
      }),
    })
    await open()

    const closing = close()
    await settled()
    expect(log).toEqual(['c closes'])
    gate.resolve()
    await closing

    expect(log).toEqual(['c closes', 'c closed', 'b closes', 'b closed', 'a closes', 'a closed'])
  })

  it('is all closed, also when one throws', async () => {
    const log: string[] = []
    const errors: unknown[] = []
    const cause = new Error('no socket')
    const { open, close } = opened(scope, {
      onDisposeError: (error) => void errors.push(error),
      providers: chain(scope, async (value) => {
        log.push(value)
        if (value === 'b') throw cause
      }),
    })
    await open()

    const thrown = await close().catch((error: unknown) => error)

    expect(log).toEqual(['c', 'b', 'a'])
    expect(errors).toHaveLength(1)
    expect(errors[0]).toBeInstanceOf(DisposeError)
    expect(errors[0]).toMatchObject({
      code: 'KIQ_DI_DISPOSE_FAILED',
      keyName: 'B',
      message: 'B: could not be closed: no socket',
      cause,
    })
    // It changes no outcome of a scope; who closes the container wants to know.
    expect(thrown).toBe(scope === 'singleton' ? errors[0] : undefined)
  })

  it('is left to itself when it takes too long to close', async () => {
    const log: string[] = []
    const errors: DisposeError[] = []
    const { open, close } = opened(scope, {
      disposeTimeout: 20,
      onDisposeError: (error) => void errors.push(error),
      providers: chain(scope, async (value) => {
        log.push(value)
        if (value === 'b') await new Promise(() => {})
      }),
    })
    await open()

    await close().catch(() => {})

    expect(log).toEqual(['c', 'b', 'a'])
    expect(errors.map(({ code, keyName }) => `${code} ${keyName}`)).toEqual(['KIQ_DI_DISPOSE_TIMED_OUT B'])
    expect(errors[0]?.message).toContain('20 ms')
  })
})

describe('closing', () => {
  it('prefers `dispose`, then Symbol.asyncDispose, then Symbol.dispose', async () => {
    const log: string[] = []
    const both = (text: string) => ({
      [Symbol.asyncDispose]: async () => void log.push(`${text} asynchronously`),
      [Symbol.dispose]: () => void log.push(`${text} synchronously`),
    })
    const Own = token<object>('Own')
    const Async = token<object>('Async')
    const Sync = token<object>('Sync')
    class Handle {
      [Symbol.dispose](): void {
        log.push('class synchronously')
      }
    }
    const container = createContainer({
      providers: [
        bind(Own, { create: () => both('own'), dispose: () => void log.push('own by its provider') }),
        bind(Async, { create: async () => both('async') }),
        bind(Sync, { create: () => ({ [Symbol.dispose]: () => void log.push('sync synchronously') }) }),
        bind(Handle, { class: Handle, params: [] }),
      ],
    })
    for (const key of [Own, Async, Sync, Handle]) await container.get(key)

    await container.close()

    expect(log).toEqual(['class synchronously', 'sync synchronously', 'async asynchronously', 'own by its provider'])
  })

  it('leaves alone what is bound as a value, what has `dispose: false`, and what was never made', async () => {
    const log: string[] = []
    const disposable = (text: string) => ({ [Symbol.asyncDispose]: async () => void log.push(text) })
    const Value = token<object>('Value')
    const Alias = token<object>('Alias')
    const Kept = token<object>('Kept')
    const Unused = token<object>('Unused')
    const container = createContainer({
      providers: [
        bind(Value, { value: disposable('value') }),
        bind(Alias, { alias: Value }),
        bind(Kept, { create: () => disposable('kept'), dispose: false }),
        bind(Unused, { create: () => disposable('unused') }),
      ],
    })
    await container.get(Alias)
    await container.get(Kept)

    await container.close()

    expect(log).toEqual([])
  })

  it('of a container leaves its scopes to their owners', async () => {
    const log: string[] = []
    const container = createContainer({
      providers: [
        bind(A, { create: () => 'a', dispose: () => void log.push('a') }),
        bind(B, { scope: 'scoped', deps: { a: A }, create: () => 'b', dispose: () => void log.push('b') }),
      ],
    })
    const scope = container.scope()
    await scope.get(B)

    await scope.close()
    expect(log).toEqual(['b'])
    await container.close()
    expect(log).toEqual(['b', 'a'])
  })

  it('of a scope closes its transients, in the order of everything else', async () => {
    const log: string[] = []
    let n = 0
    const container = createContainer({
      providers: [
        bind(A, { scope: 'transient', create: () => `a${(n += 1)}`, dispose: (value) => void log.push(value) }),
        bind(B, { scope: 'scoped', deps: { a: A }, create: () => 'b', dispose: (value) => void log.push(value) }),
        bind(C, { scope: 'scoped', deps: { b: B, a: A }, create: () => 'c', dispose: (value) => void log.push(value) }),
      ],
    })
    const scope = container.scope()
    await scope.get(C)

    await scope.close()

    expect(log).toEqual(['c', 'a2', 'b', 'a1'])
  })

  it('of a container closes transients of its singletons', async () => {
    const log: string[] = []
    const container = createContainer({
      providers: [
        bind(A, { scope: 'transient', create: () => 'a', dispose: (value) => void log.push(value) }),
        bind(B, { deps: { a: A }, create: () => 'b', dispose: (value) => void log.push(value) }),
      ],
    })
    await container.scope().get(B)

    await container.close()

    expect(log).toEqual(['b', 'a'])
  })

  it('follows the order of completion, not that of asking', async () => {
    const log: string[] = []
    const gate = deferred()
    const container = createContainer({
      providers: [
        bind(A, {
          create: async () => {
            await gate.promise
            return 'a'
          },
          dispose: (value) => void log.push(value),
        }),
        bind(B, { create: async () => 'b', dispose: (value) => void log.push(value) }),
      ],
    })

    const first = container.get(A)
    await container.get(B)
    gate.resolve()
    await first
    await container.close()

    expect(log).toEqual(['a', 'b'])
  })

  it('twice closes once, and both are told the same', async () => {
    const log: string[] = []
    const container = createContainer({
      logger: silentLogger,
      providers: [
        bind(A, {
          create: () => 'a',
          dispose: async (value) => {
            log.push(value)
            throw new Error('a')
          },
        }),
      ],
    })
    await container.get(A)

    const [one, other] = await Promise.all([thrownBy(() => container.close()), thrownBy(() => container.close())])

    expect(one).toBe(other)
    expect(log).toEqual(['a'])
  })

  it('of a container throws all that failed, together', async () => {
    const { open, close } = opened('singleton', {
      providers: chain('singleton', (value) => {
        if (value !== 'b') throw new Error(value)
      }),
    })
    await open()

    const error = await thrownBy(close)

    expect(error).toBeInstanceOf(AggregateError)
    expect((error as AggregateError).errors.map((one) => (one as DisposeError).keyName)).toEqual(['C', 'A'])
  })

  it('of a container that made nothing is possible', async () => {
    const container = createContainer({ providers: chain('singleton', () => {}) })

    await container.close()

    expect(container.isClosed).toBe(true)
  })

  it('is what `await using` does', async () => {
    const log: string[] = []
    const container = createContainer({
      providers: [
        bind(A, { create: () => 'a', dispose: (value) => void log.push(value) }),
        bind(B, { scope: 'scoped', create: () => 'b', dispose: (value) => void log.push(value) }),
      ],
    })
    await container.get(A)
    const scope = container.scope()
    await scope.get(B)

    await scope[Symbol.asyncDispose]()
    expect(scope.isClosed).toBe(true)
    await container[Symbol.asyncDispose]()

    expect(container.isClosed).toBe(true)
    expect(log).toEqual(['b', 'a'])
  })

  it('logs what failed, and goes on when onDisposeError throws', async () => {
    const logger = recordingLogger()
    const closed: string[] = []
    const { open, close } = opened('scoped', {
      logger,
      onDisposeError: () => {
        throw new Error('The hook is broken.')
      },
      providers: chain('scoped', (value) => {
        closed.push(value)
        if (value === 'b') throw new Error('b')
      }),
    })
    await open()

    await close()

    expect(closed).toEqual(['c', 'b', 'a'])
    expect(logger.lines.map(({ level, message }) => `${level}: ${message}`)).toEqual([
      'error: A value was not closed as it should; the others still are.',
      'error: onDisposeError threw; that is ignored.',
    ])
    expect(logger.lines[0]?.fields).toMatchObject({ key: 'B', err: { code: 'KIQ_DI_DISPOSE_FAILED' } })
  })
})

describe('disposeTimeout', () => {
  it.each([0, -1, 'soon', Number.NaN])('refuses %j', async (disposeTimeout) => {
    const error = await thrownBy(() => createContainer({ disposeTimeout: disposeTimeout as never }))

    expect(error).toMatchObject({ code: 'KIQ_CONFIG_INVALID' })
    expect((error as Error).message).toContain('`disposeTimeout`')
  })

  it('takes text', async () => {
    const { open, close } = opened('singleton', {
      disposeTimeout: '20ms',
      providers: chain('singleton', (value) => (value === 'a' ? new Promise(() => {}) : undefined)),
    })
    await open()

    expect(await codeOf(close)).toBe('KIQ_DI_DISPOSE_TIMED_OUT')
  })
})
