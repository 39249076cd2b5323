import { AsyncLocalStorage } from 'node:async_hooks'

import { describe, expect, it } from 'vitest'

import { ProviderError, bind, createContainer, lazy, optional, token } from '../../src/di/index.ts'
import { deferred } from '../support/deferred.ts'
import { codeOf, thrownBy } from './kit.ts'

interface Pool {
  readonly id: number
}
const Pool = token<Pool>('Pool')
const Users = token<{ readonly pool: Pool }>('Users')
const Slow = token<string>('Slow')

describe('a singleton', () => {
  it('is made once for 100 who ask at the same time', async () => {
    let made = 0
    const gate = deferred()
    const container = createContainer({
      providers: [
        bind(Pool, {
          create: async () => {
            made += 1
            await gate.promise
            return { id: made }
          },
        }),
        bind(Users, { scope: 'scoped', deps: { pool: Pool }, create: ({ pool }) => ({ pool }) }),
      ],
    })

    const direct = Array.from({ length: 50 }, () => container.get(Pool))
    const through = Array.from({ length: 50 }, async () => (await container.scope().get(Users)).pool)
    gate.resolve()
    const pools = await Promise.all([...direct, ...through])

    expect(made).toBe(1)
    expect(new Set(pools)).toEqual(new Set([{ id: 1 }]))
    expect(new Set(pools).size).toBe(1)
  })

  it('is another one in each container', async () => {
    const providers = [bind(Pool, { create: () => ({ id: 1 }) })]
    const one = createContainer({ providers })
    const other = createContainer({ providers })

    expect(await one.get(Pool)).toBe(await one.get(Pool))
    expect(await other.get(Pool)).not.toBe(await one.get(Pool))
  })

  it.each([0, '', null, undefined, false])('is made once, also when it is %j', async (value) => {
    const Falsy = token<unknown>('Falsy')
    const Later = token<unknown>('Later')
    let made = 0
    const container = createContainer({
      providers: [
        bind(Falsy, {
          create: () => {
            made += 1
            return value
          },
        }),
        bind(Later, {
          create: async () => {
            made += 1
            return value
          },
        }),
      ],
    })

    expect([await container.get(Falsy), await container.get(Falsy), container.getSync(Falsy)]).toEqual([
      value,
      value,
      value,
    ])
    expect(made).toBe(1)
    expect([await container.get(Later), await container.get(Later), container.getSync(Later)]).toEqual([
      value,
      value,
      value,
    ])
    expect(made).toBe(2)
  })

  it('is the same under each of its names', async () => {
    const Primary = token<Pool>('Primary')
    const Default = token<Pool>('Default')
    const container = createContainer({
      providers: [
        bind(Default, { alias: Primary }),
        bind(Primary, { alias: Pool }),
        bind(Pool, { create: async () => ({ id: 1 }) }),
      ],
    })

    expect(await container.get(Default)).toBe(await container.get(Pool))
    expect(container.getSync(Primary)).toBe(container.getSync(Pool))
  })

  it('gets its dependencies one after the other, in their order', async () => {
    const log: string[] = []
    const logged = (text: string) => ({
      create: async () => {
        log.push(`${text} begins`)
        await Promise.resolve()
        log.push(`${text} is there`)
        return text
      },
    })
    const First = token<string>('First')
    const Second = token<string>('Second')
    const Both = token<readonly string[]>('Both')
    const container = createContainer({
      providers: [
        bind(Both, { deps: { second: Second, first: First }, create: ({ first, second }) => [first, second] }),
        bind(First, logged('first')),
        bind(Second, logged('second')),
      ],
    })

    expect(await container.get(Both)).toEqual(['first', 'second'])
    expect(log).toEqual(['second begins', 'second is there', 'first begins', 'first is there'])
  })

  it('has no dependency where nothing is bound to an optional one', async () => {
    const Holder = token<{ readonly pool: Pool | undefined }>('Holder')
    const provider = bind(Holder, { deps: { pool: optional(Pool) }, create: ({ pool }) => ({ pool }) })

    expect(await createContainer({ providers: [provider] }).get(Holder)).toEqual({ pool: undefined })
    const withPool = createContainer({ providers: [provider, bind(Pool, { value: { id: 7 } })] })
    expect(await withPool.get(Holder)).toEqual({ pool: { id: 7 } })
  })
})

describe('a singleton that cannot be made', () => {
  it('gives everybody who waits the same cause, each on the own path, and is tried again afterwards', async () => {
    let attempts = 0
    const gate = deferred()
    const down = new Error('The database is down.')
    const container = createContainer({
      providers: [
        bind(Pool, {
          create: async () => {
            attempts += 1
            await gate.promise
            if (attempts === 1) throw down
            return { id: attempts }
          },
        }),
        bind(Users, { deps: { pool: Pool }, create: ({ pool }) => ({ pool }) }),
      ],
    })

    const waiting = [container.get(Pool), container.get(Users), container.get(Pool), container.scope().get(Users)]
    gate.resolve()
    const errors = await Promise.all(waiting.map((one) => thrownBy(() => one)))

    expect(attempts).toBe(1)
    expect(errors.every((error) => error instanceof ProviderError && error.cause === down)).toBe(true)
    expect(errors.map((error) => (error as ProviderError).path.join(' > '))).toEqual([
      'Pool',
      'Users > Pool',
      'Pool',
      'Users > Pool',
    ])
    expect(await container.get(Users)).toEqual({ pool: { id: 2 } })
    expect(attempts).toBe(2)
  })

  it('says what failed and why, also when it throws before it waits', async () => {
    const down = new Error('The database is down.')
    const container = createContainer({
      providers: [
        bind(Pool, {
          create: () => {
            throw down
          },
        }),
        bind(Users, { deps: { pool: Pool }, create: ({ pool }) => ({ pool }) }),
      ],
    })

    for (const get of [() => container.get(Users), () => container.getSync(Users)]) {
      expect(await thrownBy(get)).toMatchObject({
        code: 'KIQ_DI_PROVIDER_FAILED',
        message: 'Users > Pool: it could not be made: The database is down.',
        path: ['Users', 'Pool'],
        cause: down,
      })
    }
  })

  it('keeps what was thrown as its cause, also `undefined`', async () => {
    const container = createContainer({
      providers: [
        bind(Pool, {
          create: async () => {
            throw undefined
          },
        }),
      ],
    })

    const error = await thrownBy(() => container.get(Pool))

    expect(error).toBeInstanceOf(ProviderError)
    expect((error as ProviderError).cause).toBeUndefined()
    expect(error).toHaveProperty('cause')
  })

  it('keeps what it needed and could be made', async () => {
    let pools = 0
    let attempts = 0
    const container = createContainer({
      providers: [
        bind(Pool, { create: async () => ({ id: (pools += 1) }) }),
        bind(Users, {
          deps: { pool: Pool },
          create: ({ pool }) => {
            attempts += 1
            if (attempts === 1) throw new Error('Not yet.')
            return { pool }
          },
        }),
      ],
    })

    await thrownBy(() => container.get(Users))

    expect(await container.get(Users)).toEqual({ pool: { id: 1 } })
    expect(pools).toBe(1)
  })
})

describe('getSync()', () => {
  it('makes what nobody has to wait for', () => {
    const container = createContainer({
      providers: [
        bind(Pool, { create: () => ({ id: 1 }) }),
        bind(Users, { deps: { pool: Pool }, create: ({ pool }) => ({ pool }) }),
      ],
    })

    expect(container.getSync(Users).pool).toBe(container.getSync(Pool))
  })

  it('refuses what is made asynchronously, names the path to it, and gives it when it is there', async () => {
    const container = createContainer({
      providers: [
        bind(Pool, { create: async () => ({ id: 1 }) }),
        bind(Users, { deps: { pool: Pool }, create: ({ pool }) => ({ pool }) }),
      ],
    })

    const error = await thrownBy(() => container.getSync(Users))
    expect(error).toMatchObject({ name: 'ScopeError', code: 'KIQ_DI_ASYNC' })
    expect((error as Error).message).toMatch(/^Users > Pool: Pool is made asynchronously/)

    expect((await container.get(Users)).pool.id).toBe(1)
    expect(container.getSync(Users).pool).toBe(container.getSync(Pool))
  })
})

describe('a value with a `then` of its own', () => {
  const thenable = {
    then: (): never => {
      throw new Error('It was called.')
    },
  }
  const Query = token<typeof thenable>('Query')
  const Holder = token<{ readonly query: object }>('Holder')
  const holder = bind(Holder, { deps: { query: Query }, create: ({ query }) => ({ query }) })

  it('is injected as it is when it is bound as a value', async () => {
    const container = createContainer({ providers: [bind(Query, { value: thenable }), holder] })

    expect((await container.get(Holder)).query).toBe(thenable)
    expect(container.getSync(Query)).toBe(thenable)
  })

  it('is injected as it is when a generator yields it', async () => {
    const provider = bind(Query, {
      *use() {
        yield thenable
      },
    })
    const container = createContainer({ providers: [provider, holder] })

    expect((await container.get(Holder)).query).toBe(thenable)
    expect(container.getSync(Query)).toBe(thenable)
  })
})

describe('a lazy dependency', () => {
  const Report = token<{ readonly users: () => Promise<{ readonly pool: Pool }> }>('Report')

  it('is made when it is first called for, and is the same as for others', async () => {
    let made = 0
    const container = createContainer({
      providers: [
        bind(Pool, { create: async () => ({ id: (made += 1) }) }),
        bind(Users, { deps: { pool: Pool }, create: ({ pool }) => ({ pool }) }),
        bind(Report, { deps: { users: lazy(Users) }, create: ({ users }) => ({ users }) }),
      ],
    })

    const report = await container.get(Report)
    expect(made).toBe(0)
    const [one, other] = await Promise.all([report.users(), report.users()])
    expect(one).toBe(other)
    expect(await container.get(Users)).toBe(one)
    expect(made).toBe(1)
  })

  it.each(['before it waits', 'after it waited'])('cannot be called while its holder is made, %s', async (when) => {
    const container = createContainer({
      providers: [
        bind(Slow, { create: () => 'slow' }),
        bind(Report, {
          deps: { slow: lazy(Slow) },
          create: async ({ slow }) => {
            if (when === 'after it waited') await Promise.resolve()
            await slow()
            return { users: async () => ({ pool: { id: 1 } }) }
          },
        }),
      ],
    })

    expect(container.validate()).toEqual([])
    const error = await thrownBy(() => container.get(Report))
    expect(error).toMatchObject({ name: 'ScopeError', code: 'KIQ_DI_LAZY_TOO_EARLY' })
    expect((error as Error).message).toContain('"slow" (Slow)')
  })

  it('cannot be called when the container is closed', async () => {
    const container = createContainer({
      providers: [
        bind(Pool, { create: () => ({ id: 1 }) }),
        bind(Users, { deps: { pool: Pool }, create: ({ pool }) => ({ pool }) }),
        bind(Report, { deps: { users: lazy(Users) }, create: ({ users }) => ({ users }) }),
      ],
    })
    const report = await container.get(Report)
    await report.users()

    await container.close()

    expect(await codeOf(() => report.users())).toBe('KIQ_DI_SCOPE_CLOSED')
  })
})

describe('the asynchronous context of a singleton', () => {
  const requests = new AsyncLocalStorage<string>()
  const Clock = token<{ readonly madeIn: string | undefined; readonly ticksIn: Promise<string | undefined> }>('Clock')
  const clock = bind(Clock, {
    create: () => {
      const tick = deferred<string | undefined>()
      setTimeout(() => tick.resolve(requests.getStore()), 1)
      return { madeIn: requests.getStore(), ticksIn: tick.promise }
    },
  })

  it('is not that of whoever asked first, nor is that of its timers', async () => {
    const container = createContainer({ providers: [clock] })
    container.validate()

    const { madeIn, ticksIn } = await requests.run('a request', () => container.get(Clock))

    expect(madeIn).toBeUndefined()
    expect(await ticksIn).toBeUndefined()
  })

  it('is not that of a scope whose value needs it', async () => {
    const Handler = token<string | undefined>('Handler')
    const container = createContainer({
      providers: [
        clock,
        bind(Handler, { scope: 'scoped', deps: { clock: Clock }, create: async (deps) => await deps.clock.ticksIn }),
      ],
    })
    container.validate()

    expect(await requests.run('a request', () => container.scope().get(Handler))).toBeUndefined()
  })

  it('is the own one for what belongs to a scope', async () => {
    const Current = token<string | undefined>('Current')
    const container = createContainer({
      providers: [bind(Current, { scope: 'scoped', create: () => requests.getStore() })],
    })

    expect(await requests.run('a request', () => container.scope().get(Current))).toBe('a request')
  })
})
