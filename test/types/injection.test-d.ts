import { describe, expectTypeOf, it } from 'vitest'
import { z } from 'zod'

import {
  all,
  bind,
  configModule,
  createContainer,
  lazy,
  optional,
  taskMiddleware,
  TaskInfo,
  token,
} from '../../src/di/index.ts'
import type { Scope, Token } from '../../src/di/index.ts'
import { InMemoryBroker } from '../../src/index.ts'

interface Mailer {
  send(to: string): Promise<void>
}
interface Users {
  byId(id: number): { readonly email: string }
}
const Mailer = token<Mailer>('Mailer')
const Users = token<Users>('Users')
const Host = token<string>('Host')
const Port = token<number>('Port')

class Db {
  readonly #rows: string[] = []
  query(sql: string): readonly string[] {
    return [...this.#rows, sql]
  }
}

class SmtpMailer implements Mailer {
  readonly host: string
  readonly port: number
  constructor(host: string, port: number) {
    this.host = host
    this.port = port
  }
  async send(to: string): Promise<void> {
    await Promise.resolve(`${this.host}:${this.port} ${to}`)
  }
}

class Tolerant {
  constructor(_host: string, _db: Db | undefined, _later: () => Promise<Db>, _ports: readonly number[]) {}
}

const broker = new InMemoryBroker()

describe('tasks with deps', () => {
  const welcome = broker.task({
    name: 'welcome',
    deps: {
      mail: Mailer,
      users: Users,
      db: Db,
      port: Port,
      maybe: optional(Mailer),
      later: lazy(Db),
      ports: all(Port),
      info: TaskInfo,
    },
    run: async (input: { userId: number }, { mail, users, db, port, maybe, later, ports, info }) => {
      expectTypeOf(mail).toEqualTypeOf<Mailer>()
      expectTypeOf(users).toEqualTypeOf<Users>()
      expectTypeOf(db).toEqualTypeOf<Db>()
      expectTypeOf(port).toEqualTypeOf<number>()
      expectTypeOf(maybe).toEqualTypeOf<Mailer | undefined>()
      expectTypeOf(later).toEqualTypeOf<() => Promise<Db>>()
      expectTypeOf(ports).toEqualTypeOf<readonly number[]>()
      expectTypeOf(info.attempt).toEqualTypeOf<number>()
      await mail.send(users.byId(input.userId).email)
      return { sent: true as boolean }
    },
  })

  it('infer arguments and result', async () => {
    expectTypeOf(welcome.kiq).parameters.toEqualTypeOf<[input: { userId: number }]>()
    expectTypeOf(await (await welcome.kiq({ userId: 1 })).result()).toEqualTypeOf<{ sent: boolean }>()
    expectTypeOf(await broker.execute(welcome, { userId: 1 })).toEqualTypeOf<{ sent: boolean }>()
    // @ts-expect-error wrong argument
    await welcome.kiq({ userId: '1' })
    // @ts-expect-error wrong argument
    await broker.execute(welcome, { userId: '1' })
    // @ts-expect-error injected values are not arguments
    await welcome.kiq({ userId: 1 }, { mail: new SmtpMailer('', 1) })
  })

  it('run with fakes of the right types', () => {
    const fakes = {
      mail: new SmtpMailer('', 1),
      users: { byId: () => ({ email: '' }) },
      db: new Db(),
      port: 1,
      maybe: undefined,
      later: async () => await Promise.resolve(new Db()),
      ports: [1],
      info: TaskInfo.fake({ attempt: 2 }),
    }
    expectTypeOf(welcome.run({ userId: 1 }, fakes)).toEqualTypeOf<Promise<{ sent: boolean }>>()
    // @ts-expect-error a fake of the wrong type
    void welcome.run({ userId: 1 }, { ...fakes, port: '1' })
    const { db: _db, ...rest } = fakes
    // @ts-expect-error one is missing
    void welcome.run({ userId: 1 }, rest)
  })

  it('have no other names than they declare', () => {
    broker.task({
      name: 'other',
      deps: { mail: Mailer },
      // @ts-expect-error no such dependency
      run: async (_input: { a: 1 }, { mails }) => await Promise.resolve(mails),
    })
  })

  it('take what the schema takes, and get what it makes', async () => {
    const schema = z.object({ when: z.string().transform((text) => new Date(text)) })
    const remind = broker.task({
      // In any order.
      run: async ({ when }, { mail }) => {
        expectTypeOf(when).toEqualTypeOf<Date>()
        expectTypeOf(mail).toEqualTypeOf<Mailer>()
        return await Promise.resolve(when.getTime())
      },
      deps: { mail: Mailer },
      input: schema,
      name: 'remind',
    })
    expectTypeOf(remind.kiq).parameters.toEqualTypeOf<[input: { when: string }]>()
    expectTypeOf(remind.run).parameter(0).toEqualTypeOf<{ when: Date }>()
    expectTypeOf(await broker.execute(remind, { when: '' })).toEqualTypeOf<number>()
  })

  it('may take nothing', async () => {
    const unused = broker.task({ name: 'unused', deps: { db: Db }, run: (_input, { db }) => db.query('x') })
    const noInput = broker.task({ name: 'void', deps: { db: Db }, run: (_input: void, { db }) => db.query('x') })
    const thunk = broker.task({ name: 'thunk', deps: () => ({ db: Db }), run: (_input, { db }) => db.query('x') })
    expectTypeOf(unused.kiq).parameters.toEqualTypeOf<[input?: Readonly<Record<string, unknown>>]>()
    await thunk.kiq()
    await noInput.kiq()
    expectTypeOf(await broker.execute(unused)).toEqualTypeOf<readonly string[]>()
  })

  it('execute by position where they are declared so', async () => {
    const add = broker.task('add', (a: number, b: number) => a + b)
    expectTypeOf(await broker.execute(add, [1, 2])).toEqualTypeOf<number>()
    // @ts-expect-error one is missing
    await broker.execute(add, [1])
  })
})

describe('bind', () => {
  it('lets the key decide the type', () => {
    bind(Mailer, {
      deps: { p: Port },
      create: async ({ p }) =>
        await Promise.resolve({ send: async (to) => await Promise.resolve(void (to + p.toFixed())) }),
    })
    bind(Db, {
      scope: 'scoped',
      deps: { p: Port },
      use: async function* ({ p }) {
        expectTypeOf(p).toEqualTypeOf<number>()
        yield await Promise.resolve(new Db())
      },
    })
    bind(Db, {
      scope: 'scoped',
      use: function* () {
        yield new Db()
      },
    })
    bind(Port, { value: 1 })
    bind(Mailer, { alias: Mailer })
    // @ts-expect-error wrong value
    bind(Port, { value: 'x' })
    // @ts-expect-error wrong value
    bind(Mailer, { create: () => ({ sendd: () => {} }) })
    // @ts-expect-error wrong key
    bind(Mailer, { alias: Port })
    // @ts-expect-error no such dependency
    bind(Mailer, { deps: { p: Port }, create: ({ q }) => new SmtpMailer('', q) })
    bind(Port, {
      // @ts-expect-error wrong value
      use: function* () {
        yield 'x'
      },
    })
    bind(Port, { create: () => 1, dispose: (port) => void port.toFixed() })
  })

  it('checks a key for each parameter of a class', () => {
    bind(Mailer, { class: SmtpMailer, params: [Host, Port] })
    bind(Tolerant, { class: Tolerant, params: [Host, optional(Db), lazy(Db), all(Port)] })
    // @ts-expect-error swapped
    bind(Mailer, { class: SmtpMailer, params: [Port, Host] })
    // @ts-expect-error one is missing
    bind(Mailer, { class: SmtpMailer, params: [Host] })
    // @ts-expect-error it may be undefined
    bind(Mailer, { class: SmtpMailer, params: [optional(Host), Port] })
    // @ts-expect-error another class
    bind(Mailer, { class: Db, params: [] })
  })

  it('takes a class with private fields for itself alone', () => {
    bind(Db, { create: () => new Db() })
    // @ts-expect-error not a Db
    bind(Db, { create: () => ({ query: () => [] }) })
  })
})

describe('containers', () => {
  const container = createContainer({ providers: [] })

  it('give what the key says', async () => {
    expectTypeOf(await container.get(Port)).toEqualTypeOf<number>()
    expectTypeOf(container.getSync(Db)).toEqualTypeOf<Db>()
    expectTypeOf(container.scope([[Port, 1]])).toEqualTypeOf<Scope>()
  })

  it('do not take a constructor for a token', () => {
    // @ts-expect-error a class has a name, and is no token
    const wrong: Token<Db> = Db
    void wrong
  })

  it('read settings by section', () => {
    const schema = z.object({ smtp: z.object({ host: z.string() }), port: z.coerce.number() })
    const Smtp = token<{ host: string }>('Smtp')
    configModule({ schema, source: {}, sections: { smtp: Smtp, port: Port } })
    // @ts-expect-error another type
    configModule({ schema, source: {}, sections: { port: Host } })
  })
})

describe('taskMiddleware', () => {
  it('passes what before returns to the other hooks', () => {
    taskMiddleware({
      deps: { db: Db },
      before: async (info, { db }) => {
        expectTypeOf(db).toEqualTypeOf<Db>()
        expectTypeOf(info).toEqualTypeOf<TaskInfo>()
        return await Promise.resolve(performance.now())
      },
      after: (_info, _result, startedAt, { db }) => {
        expectTypeOf(startedAt).toEqualTypeOf<number>()
        expectTypeOf(db).toEqualTypeOf<Db>()
      },
      onError: (_info, error, startedAt) => {
        expectTypeOf(startedAt).toEqualTypeOf<number>()
        expectTypeOf(error).toEqualTypeOf<unknown>()
      },
    })
    taskMiddleware({ after: (_info, _result, state) => void expectTypeOf(state).toEqualTypeOf<undefined>() })
  })
})
