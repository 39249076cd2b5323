import { describe, expect, it } from 'vitest'

import { all, bind, createContainer, lazy, module, optional, token } from '../../src/di/index.ts'
import type { Provider } from '../../src/di/index.ts'
import { ConfigError } from '../../src/index.ts'
import { codeOf, outlineOf } from './kit.ts'

const Port = token<number>('Port')
const Host = token<string>('Host')

class Server {
  readonly host: string
  readonly port: number

  constructor(host: string, port: number) {
    this.host = host
    this.port = port
  }
}

/** What the types forbid. */
const bindAnything = bind as (key: unknown, spec: unknown) => Provider

describe('bind()', () => {
  const refused: readonly [title: string, key: unknown, spec: unknown, message: string][] = [
    ['a key that is text', 'Port', { value: 1 }, 'The first argument of bind() is "Port". Pass a token or a class.'],
    ['no key', undefined, { value: 1 }, 'The first argument of bind() is undefined.'],
    ['no recipe', Port, {}, 'bind(Port) has no recipe. Give it one of: value, create, class, use, alias.'],
    ['a recipe that is undefined', Port, { create: undefined }, 'bind(Port) has no recipe.'],
    ['two recipes', Port, { value: 1, create: () => 2 }, 'bind(Port) has value and create.'],
    ['a scope that is none', Port, { create: () => 1, scope: 'request' }, 'The scope of Port is "request".'],
    ['a `create` that is no function', Port, { create: 1 }, '`create` of Port is 1. Pass a function.'],
    ['a `use` that is no function', Port, { use: 'x' }, '`use` of Port is "x". Pass a generator function.'],
    ['a class without `params`', Server, { class: Server }, 'bind(Server, { class: Server }) has no `params`.'],
    ['an alias of text', Port, { alias: 'Host' }, 'The alias of Port is "Host". Use a token or a class.'],
  ]

  it.each(refused)('refuses %s', async (_title, key, spec, message) => {
    expect(() => bindAnything(key, spec)).toThrow(ConfigError)
    expect(() => bindAnything(key, spec)).toThrow(message)
    expect(await codeOf(() => bindAnything(key, spec))).toBe('KIQ_CONFIG_INVALID')
  })

  it('takes `undefined` as a value', async () => {
    const Nothing = token<undefined>('Nothing')
    const container = createContainer({ providers: [bind(Nothing, { value: undefined })] })

    expect(container.has(Nothing)).toBe(true)
    expect(await container.get(Nothing)).toBeUndefined()
  })

  it('takes a class as a key', async () => {
    const container = createContainer({
      providers: [
        bind(Host, { value: 'localhost' }),
        bind(Port, { create: async () => 8080 }),
        bind(Server, { class: Server, params: [Host, Port] }),
      ],
    })

    const server = await container.get(Server)

    expect(server).toBeInstanceOf(Server)
    expect(server).toEqual({ host: 'localhost', port: 8080 })
  })

  it('passes more than ten values to a constructor in their order', async () => {
    class Wide {
      readonly values: readonly number[]
      constructor(...values: readonly number[]) {
        this.values = values
      }
    }
    const keys = Array.from({ length: 12 }, (_, i) => token<number>(`Value${i}`))
    const container = createContainer({
      providers: [...keys.map((key, i) => bind(key, { value: i })), bindAnything(Wide, { class: Wide, params: keys })],
    })

    expect((await container.get(Wide)).values).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  })

  it('takes optional(), lazy() and all() as parameters of a class', async () => {
    class Holder {
      readonly host: string | undefined
      readonly port: () => Promise<number>
      readonly ports: readonly number[]
      constructor(host: string | undefined, port: () => Promise<number>, ports: readonly number[]) {
        this.host = host
        this.port = port
        this.ports = ports
      }
    }
    const container = createContainer({
      providers: [
        bind(Port, { value: 80 }),
        bind(Holder, { class: Holder, params: [optional(Host), lazy(Port), all(Port)] }),
      ],
    })

    const holder = await container.get(Holder)

    expect(holder.host).toBeUndefined()
    expect(await holder.port()).toBe(80)
    expect(holder.ports).toEqual([80])
  })

  it('calls no `then` of what a class makes', async () => {
    class Query {
      readonly sql = 'select 1'
      then(): never {
        throw new Error('It was called.')
      }
    }
    const Holder = token<{ readonly query: Query }>('Holder')
    const container = createContainer({
      providers: [
        bind(Query, { class: Query, params: [] }),
        bind(Holder, { deps: { query: Query }, create: ({ query }) => ({ query }) }),
      ],
    })

    expect((await container.get(Holder)).query.sql).toBe('select 1')
  })
})

describe('dependencies', () => {
  it('that are no keys are refused when they are looked at, and the message names thunks', () => {
    const container = createContainer({
      providers: [bind(Port, { deps: { host: undefined as never }, create: () => 1 })],
    })

    expect(() => container.validate()).toThrow('The dependency "host" of Port is undefined.')
    expect(() => container.validate()).toThrow('deps: () => ({ … })')
  })

  it('may be a thunk, which is called when they are looked at', async () => {
    let called = 0
    const provider = bind(Port, {
      deps: () => {
        called += 1
        return { host: Host }
      },
      create: ({ host }) => host.length,
    })
    const container = createContainer({ providers: [provider, bind(Host, { value: 'abc' })] })

    expect(called).toBe(0)
    expect(await container.get(Port)).toBe(3)
    expect(called).toBe(1)
  })
})

describe('token()', () => {
  it('makes a new key each time', async () => {
    const one = token<number>('Same')
    const other = token<number>('Same')
    const container = createContainer({ providers: [bind(one, { value: 1 }), bind(other, { value: 2 })] })

    expect([await container.get(one), await container.get(other)]).toEqual([1, 2])
    expect(outlineOf(container)).toEqual(['KIQ_DI_SAME_NAME Same'])
  })

  it('refuses what is no name', async () => {
    expect(await codeOf(() => token(''))).toBe('KIQ_CONFIG_INVALID')
    expect(await codeOf(() => token(undefined as never))).toBe('KIQ_CONFIG_INVALID')
  })
})

describe('keys that are bound twice', () => {
  const make = (text: string) => ({ create: () => text }) as const

  it('are an error that names both modules', () => {
    const container = createContainer({
      modules: [module('one', [bind(Host, make('one'))]), module('two', [bind(Host, make('two'))])],
    })

    expect(container.validate()).toEqual([
      {
        code: 'KIQ_DI_DUPLICATE',
        severity: 'error',
        path: ['Host'],
        message: 'Host is bound 2 times: in module "one", in module "two".',
        hint:
          'Remove one; or mark the one that is to win with `override: true`; or mark all with `multi: true` and ask for ' +
          'all(Host).',
      },
    ])
  })

  it('are none when the later one overrides', async () => {
    const container = createContainer({
      providers: [bind(Host, make('first')), bind(Host, { ...make('second'), override: true })],
    })

    expect(container.validate()).toEqual([])
    expect(await container.get(Host)).toBe('second')
  })

  it('are that of the one that overrides, wherever it stands', async () => {
    const container = createContainer({
      providers: [bind(Host, { ...make('first'), override: true }), bind(Host, make('second'))],
    })

    expect(outlineOf(container)).toEqual([])
    expect(await container.get(Host)).toBe('first')
  })

  it('are all given by all() when each is one of several, in their order', async () => {
    const Holder = token<readonly string[]>('Holder')
    const container = createContainer({
      modules: [module('one', [bind(Host, { value: 'one', multi: true })])],
      providers: [
        bind(Host, { create: async () => 'two', multi: true }),
        bind(Host, { ...make('three'), multi: true }),
        bind(Holder, { deps: { hosts: all(Host) }, create: ({ hosts }) => hosts }),
      ],
    })

    expect(container.validate()).toEqual([])
    expect(await container.get(Holder)).toEqual(['one', 'two', 'three'])
  })

  it('are an error when only some are one of several', () => {
    const multi = bind(Host, { value: 'multi', multi: true })
    const single = bind(Host, make('single'))

    expect(outlineOf(createContainer({ providers: [multi, single] }))).toEqual(['KIQ_DI_DUPLICATE Host'])
    expect(outlineOf(createContainer({ providers: [single, multi] }))).toEqual(['KIQ_DI_DUPLICATE Host'])
  })

  it('are an error where one of several is asked for', async () => {
    const Holder = token<string>('Holder')
    const container = createContainer({
      providers: [
        bind(Host, { value: 'one', multi: true }),
        bind(Host, { value: 'two', multi: true }),
        bind(Holder, { deps: { host: Host }, create: ({ host }) => host }),
      ],
    })

    expect(container.validate()).toMatchObject([
      {
        code: 'KIQ_DI_DUPLICATE',
        message: 'Host has 2 values where one is asked for: Holder > Host.',
        hint: 'Ask for all(Host).',
      },
    ])
    expect(await codeOf(() => container.get(Host))).toBe('KIQ_DI_DUPLICATE')
  })

  it('give an empty list to all() when nothing is bound', async () => {
    const Holder = token<readonly string[]>('Holder')
    const container = createContainer({
      providers: [bind(Holder, { deps: { hosts: all(Host) }, create: ({ hosts }) => hosts })],
    })

    expect(await container.get(Holder)).toEqual([])
  })
})
