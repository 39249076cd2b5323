import { describe, expect, it } from 'vitest'

import { InjectionError, TaskInfo, all, bind, createContainer, lazy, optional, token } from '../../src/di/index.ts'
import { deferred } from '../support/deferred.ts'
import { codeOf, thrownBy } from './kit.ts'

interface Pool {
  readonly url: string
}
interface Users {
  readonly pool: Pool
}
const Url = token<string>('Url')
const Pool = token<Pool>('Pool')
const Users = token<Users>('Users')
const Mailer = token<{ readonly kind: string }>('Mailer')

/** Users needs Pool needs Url; Mailer stands alone. */
function application(closed: string[] = []) {
  return createContainer({
    providers: [
      bind(Url, { value: 'real' }),
      bind(Pool, {
        deps: { url: Url },
        create: async ({ url }) => ({ url }),
        dispose: ({ url }) => void closed.push(`pool ${url}`),
      }),
      bind(Users, {
        deps: { pool: Pool },
        create: ({ pool }) => ({ pool }),
        dispose: ({ pool }) => void closed.push(`users of ${pool.url}`),
      }),
      bind(Mailer, { create: () => ({ kind: 'smtp' }), dispose: () => void closed.push('mailer') }),
    ],
  })
}

describe('a fork', () => {
  it('has other values for some keys and for all that reaches them, and shares the rest', async () => {
    const container = application()
    const users = await container.get(Users)

    const fork = container.fork({ overrides: [bind(Url, { value: 'fake' })] })

    expect((await fork.get(Users)).pool.url).toBe('fake')
    expect(await fork.get(Pool)).toBe((await fork.get(Users)).pool)
    expect(await fork.get(Mailer)).toBe(await container.get(Mailer))
    expect(await container.get(Users)).toBe(users)
    expect(users.pool.url).toBe('real')
    expect(container.getSync(Url)).toBe('real')
  })

  it('shares what one of them makes first, whichever it is', async () => {
    const container = application()
    const fork = container.fork({ overrides: [bind(Url, { value: 'fake' })] })

    const ofFork = await fork.get(Mailer)

    expect(await container.get(Mailer)).toBe(ofFork)
    expect(await container.fork({ overrides: [] }).get(Mailer)).toBe(ofFork)
  })

  it('joins the making of a shared singleton', async () => {
    const gate = deferred()
    let made = 0
    const container = createContainer({
      providers: [
        bind(Pool, {
          create: async () => {
            await gate.promise
            return { url: `made ${(made += 1)}` }
          },
        }),
      ],
    })
    const fork = container.fork({ overrides: [bind(Url, { value: 'fake' })] })

    const both = Promise.all([container.get(Pool), fork.get(Pool)])
    gate.resolve()
    const [one, other] = await both

    expect(one).toBe(other)
    expect(made).toBe(1)
  })

  it('keeps apart from another one at the same time', async () => {
    const container = application()
    const forks = ['one', 'other'].map((url) => container.fork({ overrides: [bind(Url, { value: url })] }))

    const urls = await Promise.all([...forks, container].map(async (each) => (await each.get(Users)).pool.url))

    expect(urls).toEqual(['one', 'other', 'real'])
  })

  it('replaces an asynchronous singleton, which is not made then', async () => {
    let made = 0
    const container = createContainer({
      providers: [
        bind(Pool, { create: async () => ({ url: `made ${(made += 1)}` }) }),
        bind(Users, { deps: { pool: Pool }, create: ({ pool }) => ({ pool }) }),
      ],
    })
    const fork = container.fork({ overrides: [bind(Pool, { value: { url: 'fake' } })] })

    expect(fork.getSync(Users).pool.url).toBe('fake')
    expect(made).toBe(0)
    expect((await container.get(Users)).pool.url).toBe('made 1')
  })

  it('may change the scope and the dependencies of a key', async () => {
    const container = createContainer({
      providers: [
        bind(Url, { value: 'real' }),
        bind(Pool, { deps: { url: Url }, create: ({ url }) => ({ url }) }),
        bind(Users, { scope: 'scoped', deps: { pool: Pool }, create: ({ pool }) => ({ pool }) }),
      ],
    })
    const fork = container.fork({
      overrides: [
        bind(Pool, { scope: 'scoped', deps: { info: TaskInfo }, create: ({ info }) => ({ url: info.taskId }) }),
      ],
    })

    const ofTask = async (taskId: string) =>
      (await fork.scope([[TaskInfo, TaskInfo.fake({ taskId })]]).get(Users)).pool.url

    expect([await ofTask('t1'), await ofTask('t2')]).toEqual(['t1', 't2'])
    expect(await codeOf(() => fork.get(Pool))).toBe('KIQ_DI_NO_SCOPE')
    expect((await container.get(Pool)).url).toBe('real')
  })

  it('reaches through aliases, and optional, lazy and several dependencies', async () => {
    const Alias = token<string>('Alias')
    const Extra = token<string>('Extra')
    const Several = token<string>('Several')
    const Holder = token<{ read(): Promise<readonly unknown[]> }>('Holder')
    const container = createContainer({
      providers: [
        bind(Url, { value: 'real' }),
        bind(Alias, { alias: Url }),
        bind(Several, { value: 'a', multi: true }),
        bind(Several, { value: 'b', multi: true }),
        bind(Holder, {
          deps: { alias: Alias, extra: optional(Extra), several: all(Several), lazyUrl: lazy(Url) },
          create: ({ alias, extra, several, lazyUrl }) => ({
            read: async () => [alias, extra, several, await lazyUrl()],
          }),
        }),
      ],
    })
    const read = async (overrides: Parameters<typeof container.fork>[0]['overrides']) =>
      (await container.fork({ overrides }).get(Holder)).read()

    expect(await (await container.get(Holder)).read()).toEqual(['real', undefined, ['a', 'b'], 'real'])
    expect(await read([bind(Url, { value: 'fake' })])).toEqual(['fake', undefined, ['a', 'b'], 'fake'])
    expect(await read([bind(Extra, { value: 'extra' })])).toEqual(['real', 'extra', ['a', 'b'], 'real'])
    expect(
      await read([bind(Several, { value: 'x', multi: true }), bind(Several, { value: 'y', multi: true })]),
    ).toEqual(['real', undefined, ['x', 'y'], 'real'])
  })

  it('may replace what every container has', async () => {
    const Name = token<string>('Name')
    const container = createContainer({
      providers: [bind(Name, { scope: 'scoped', deps: { info: TaskInfo }, create: ({ info }) => info.taskName })],
    })
    const fork = container.fork({ overrides: [bind(TaskInfo, { value: TaskInfo.fake({ taskName: 'faked' }) })] })

    expect(await fork.scope().get(Name)).toBe('faked')
    expect(await codeOf(() => container.scope().get(Name))).toBe('KIQ_DI_NO_SCOPE')
  })

  it('may stand on another fork', async () => {
    const container = application()
    const first = container.fork({ overrides: [bind(Url, { value: 'first' })] })
    const second = first.fork({ overrides: [bind(Mailer, { value: { kind: 'fake' } })] })

    expect((await second.get(Users)).pool.url).toBe('first')
    expect(await second.get(Users)).toBe(await first.get(Users))
    expect((await second.get(Mailer)).kind).toBe('fake')
    expect((await first.get(Mailer)).kind).toBe('smtp')
  })

  it('has scopes of its own values', async () => {
    const container = createContainer({
      providers: [
        bind(Url, { value: 'real' }),
        bind(Pool, { scope: 'scoped', deps: { url: Url }, create: ({ url }) => ({ url }) }),
      ],
    })
    const fork = container.fork({ overrides: [bind(Url, { value: 'fake' })] })

    expect((await fork.scope().get(Pool)).url).toBe('fake')
    expect((await container.scope().get(Pool)).url).toBe('real')
  })

  it('closes what it made, and nothing that it shares', async () => {
    const closed: string[] = []
    const container = application(closed)
    const fork = container.fork({ overrides: [bind(Url, { value: 'fake' })] })
    await fork.get(Users)
    await fork.get(Mailer)
    await container.get(Users)

    await fork.close()

    expect(closed).toEqual(['users of fake', 'pool fake'])
    expect([fork.isClosed, container.isClosed]).toEqual([true, false])
    expect((await container.get(Mailer)).kind).toBe('smtp')
    closed.length = 0
    await container.close()
    expect(closed).toEqual(['users of real', 'pool real', 'mailer'])
  })

  it('is refused when its overrides do not fit', async () => {
    const container = application()
    const Missing = token<string>('Missing')

    const missing = await thrownBy(() =>
      container.fork({ overrides: [bind(Url, { deps: { missing: Missing }, create: (deps) => deps.missing })] }),
    )
    expect(missing).toBeInstanceOf(InjectionError)
    expect(missing).toMatchObject({ code: 'KIQ_DI_MISSING', problems: [{ path: ['Pool', 'Url', 'Missing'] }] })

    const scoped = bind(Pool, { scope: 'scoped', create: () => ({ url: 'scoped' }) })
    expect(await codeOf(() => container.fork({ overrides: [scoped] }))).toBe('KIQ_DI_CAPTIVE')

    const cycle = bind(Url, { deps: { users: Users }, create: ({ users }) => users.pool.url })
    expect(await codeOf(() => container.fork({ overrides: [cycle] }))).toBe('KIQ_DI_CYCLE')

    const twice = [bind(Url, { value: 'one' }), bind(Url, { value: 'two' })]
    expect(await codeOf(() => container.fork({ overrides: twice }))).toBe('KIQ_DI_DUPLICATE')

    expect(await codeOf(() => container.fork({ overrides: [{ key: Url }] }))).toBe('KIQ_CONFIG_INVALID')
    expect((await container.get(Users)).pool.url).toBe('real')
  })

  it('takes no more modules', async () => {
    const fork = application().fork({ overrides: [] })

    expect(await codeOf(() => fork.install())).toBe('KIQ_CONFIG_INVALID')
  })
})
