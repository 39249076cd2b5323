import { describe, expect, it } from 'vitest'

import type { Provider } from '../../src/di/index.ts'
import { InjectionError, TaskInfo, all, bind, createContainer, lazy, optional, token } from '../../src/di/index.ts'
import { InMemoryBroker } from '../../src/index.ts'
import { codeOf, outline, outlineOf, thrownBy } from './kit.ts'

const A = token<string>('A')
const B = token<string>('B')
const C = token<string>('C')
const make = (): string => 'made'

function outlineOfProviders(...providers: readonly Provider[]): readonly string[] {
  return outlineOf(createContainer({ providers }))
}

describe('what is bound to nothing', () => {
  it('is found with the path from the task, and with the name that was probably meant', () => {
    const Mailer = token<string>('Mailer')
    const Mailler = token<string>('Mailler')
    const Welcome = token<string>('Welcome')
    const container = createContainer({
      providers: [
        bind(Mailer, { value: 'smtp' }),
        bind(Welcome, { deps: { mailer: Mailler }, create: ({ mailer }) => mailer }),
      ],
    })
    const task = new InMemoryBroker().task({
      name: 'email.welcome',
      deps: { welcome: Welcome },
      run: (_args: { id: number }, { welcome }) => welcome,
    })

    expect(container.validate([task])).toEqual([
      {
        code: 'KIQ_DI_MISSING',
        severity: 'error',
        path: ['task:email.welcome', 'Welcome', 'Mailler'],
        message: 'Nothing is bound to Mailler: task:email.welcome > Welcome > Mailler.',
        hint: 'Bind it in a module of the container, or ask for optional(Mailler). Did you mean Mailer?',
      },
    ])
  })

  it('is told from another key of the same name', () => {
    const copy = token<string>('A')
    const container = createContainer({
      providers: [bind(A, { value: 'a' }), bind(B, { deps: { copy }, create: make })],
    })

    expect(container.validate()).toEqual([
      expect.objectContaining({
        code: 'KIQ_DI_MISSING',
        path: ['B', 'A'],
        hint: 'Another key named A is bound: was it made twice, or is its module installed twice?',
      }),
      expect.objectContaining({ code: 'KIQ_DI_SAME_NAME', severity: 'warning', path: ['A'] }),
    ])
  })

  it('is found behind lazy() and an alias, and is no problem behind optional() and all()', () => {
    expect(outlineOfProviders(bind(A, { deps: { b: lazy(B) }, create: make }))).toEqual(['KIQ_DI_MISSING A > B'])
    expect(outlineOfProviders(bind(A, { alias: B }))).toEqual(['KIQ_DI_MISSING A > B'])
    expect(outlineOfProviders(bind(A, { deps: { b: optional(B), c: all(C) }, create: make }))).toEqual([])
  })

  it('is refused by get() and getSync(), whatever else is bound', async () => {
    const container = createContainer({
      providers: [bind(A, { deps: { b: B }, create: make }), bind(C, { value: 'c' })],
    })

    const error = await thrownBy(() => container.get(A))

    expect(error).toBeInstanceOf(InjectionError)
    expect(error).toMatchObject({ code: 'KIQ_DI_MISSING', problems: [{ path: ['A', 'B'] }] })
    expect(await codeOf(() => container.getSync(A))).toBe('KIQ_DI_MISSING')
    expect(await codeOf(() => container.scope().get(A))).toBe('KIQ_DI_MISSING')
    expect(await container.get(C)).toBe('c')
  })

  it('is reported once for each key, and all of it together', async () => {
    const container = createContainer({ providers: [bind(A, { deps: { b: B, c: C }, create: make })] })

    const error = await thrownBy(() => container.get(A))

    expect(error).toMatchObject({ code: 'KIQ_DI_INVALID', problems: [{ path: ['A', 'B'] }, { path: ['A', 'C'] }] })
    expect((error as InjectionError).message).toContain('2 problems')
    expect((error as InjectionError).message).toContain('A > B')
    expect((error as InjectionError).message).toContain('A > C')
  })
})

describe('a cycle', () => {
  const cycles: readonly [title: string, providers: readonly Provider[], found: string][] = [
    ['of one with itself', [bind(A, { deps: { a: A }, create: make })], 'A > A'],
    ['of two', [bind(A, { deps: { b: B }, create: make }), bind(B, { deps: { a: A }, create: make })], 'A > B > A'],
    ['through an alias', [bind(A, { deps: { b: B }, create: make }), bind(B, { alias: A })], 'A > B > A'],
    ['of aliases alone', [bind(A, { alias: B }), bind(B, { alias: A })], 'A > B > A'],
    [
      'of three',
      [
        bind(A, { deps: { b: B }, create: make }),
        bind(B, { deps: { c: C }, create: make }),
        bind(C, { deps: { a: A }, create: make }),
      ],
      'A > B > C > A',
    ],
    [
      'through optional() and all()',
      [bind(A, { deps: { b: optional(B) }, create: make }), bind(B, { deps: { a: all(A) }, create: make })],
      'A > B > A',
    ],
    [
      'of scoped and transient values',
      [
        bind(A, { scope: 'scoped', deps: { b: B }, create: make }),
        bind(B, { scope: 'transient', deps: { a: A }, create: make }),
      ],
      'A > B > A',
    ],
  ]

  it.each(cycles)('%s is found', (_title, providers, found) => {
    expect(outlineOfProviders(...providers)).toEqual([`KIQ_DI_CYCLE ${found}`])
  })

  it('is shown without what only leads to it, and says where lazy() would break it', () => {
    const Top = token<string>('Top')
    const container = createContainer({
      providers: [
        bind(Top, { deps: { a: A }, create: make }),
        bind(A, { deps: { b: B }, create: make }),
        bind(B, { deps: { a: A }, create: make }),
      ],
    })

    expect(container.validate()).toEqual([
      {
        code: 'KIQ_DI_CYCLE',
        severity: 'error',
        path: ['A', 'B', 'A'],
        message: 'These need each other to be made: A > B > A.',
        hint: 'Ask for lazy(A) in B, or take out what both need.',
      },
    ])
  })

  it('that two roots enter from opposite ends is reported once, and makes nobody wait', async () => {
    const container = createContainer({
      providers: [
        bind(A, { deps: { b: B }, create: async () => 'a' }),
        bind(B, { deps: { a: A }, create: async () => 'b' }),
      ],
    })
    const broker = new InMemoryBroker()
    const one = broker.task({ name: 'one', deps: { a: A }, run: (_args: object, { a }) => a })
    const two = broker.task({ name: 'two', deps: { b: B }, run: (_args: object, { b }) => b })

    expect(outline(container.validate([one, two]))).toEqual(['KIQ_DI_CYCLE A > B > A'])
    const codes = await Promise.all([codeOf(() => container.get(A)), codeOf(() => container.get(B))])
    expect(codes).toEqual(['KIQ_DI_CYCLE', 'KIQ_DI_CYCLE'])
  })

  it('is none where one side is lazy()', async () => {
    interface Node {
      readonly name: string
      peer(): Promise<Node>
    }
    const Left = token<Node>('Left')
    const Right = token<Node>('Right')
    const container = createContainer({
      providers: [
        bind(Left, { deps: { right: Right }, create: ({ right }) => ({ name: 'left', peer: async () => right }) }),
        bind(Right, { deps: { left: lazy(Left) }, create: ({ left }) => ({ name: 'right', peer: left }) }),
      ],
    })

    expect(container.validate()).toEqual([])
    const right = await container.get(Right)
    const left = await right.peer()
    expect(left.name).toBe('left')
    expect(await left.peer()).toBe(right)
  })
})

describe('a singleton that would keep a scoped value', () => {
  const scoped = bind(C, { scope: 'scoped', create: make })
  const captives: readonly [title: string, providers: readonly Provider[], found: string][] = [
    ['directly', [bind(A, { deps: { c: C }, create: make })], 'A > C'],
    [
      'through a transient',
      [bind(A, { deps: { b: B }, create: make }), bind(B, { scope: 'transient', deps: { c: C }, create: make })],
      'A > B > C',
    ],
    ['through an alias', [bind(A, { deps: { b: B }, create: make }), bind(B, { alias: C })], 'A > B > C'],
    ['through optional()', [bind(A, { deps: { c: optional(C) }, create: make })], 'A > C'],
    ['through lazy()', [bind(A, { deps: { c: lazy(C) }, create: make })], 'A > C'],
    ['through all()', [bind(A, { deps: { c: all(C) }, create: make })], 'A > C'],
    ['that every scope has', [bind(A, { deps: { info: TaskInfo }, create: make })], 'A > TaskInfo'],
    [
      'in a class or a generator, as well',
      [
        bind(A, {
          deps: { c: C },
          *use() {
            yield 'a'
          },
        }),
      ],
      'A > C',
    ],
  ]

  it.each(captives)('%s is found', (_title, providers, found) => {
    expect(outlineOfProviders(scoped, ...providers)).toEqual([`KIQ_DI_CAPTIVE ${found}`])
  })

  it('is the only one to blame for it', () => {
    const Top = token<string>('Top')
    const container = createContainer({
      providers: [bind(Top, { deps: { a: A }, create: make }), bind(A, { deps: { c: C }, create: make }), scoped],
    })

    const [problem, ...others] = container.validate()

    expect(others).toEqual([])
    expect(problem).toMatchObject({
      severity: 'error',
      path: ['Top', 'A', 'C'],
      message: 'The singleton A would keep C of one task for ever: Top > A > C.',
    })
    expect(problem?.hint).toContain('Make A scoped')
  })

  it('is none when it is scoped itself', () => {
    expect(outlineOfProviders(scoped, bind(A, { scope: 'scoped', deps: { c: C }, create: make }))).toEqual([])
    expect(outlineOfProviders(scoped, bind(A, { scope: 'transient', deps: { c: C }, create: make }))).toEqual([])
  })
})

describe('the other findings', () => {
  it('warn of a transient that a singleton keeps from being closed', () => {
    const container = createContainer({
      providers: [
        bind(A, { deps: { b: B }, create: make }),
        bind(B, { scope: 'transient', create: make, dispose: () => {} }),
      ],
    })

    expect(container.validate()).toMatchObject([
      { code: 'KIQ_DI_TRANSIENT_HELD', severity: 'warning', path: ['A', 'B'] },
    ])
  })

  it('tell what no task reaches, when they are asked to', () => {
    const container = createContainer({
      providers: [bind(A, { value: 'a' }), bind(B, { deps: { c: lazy(C) }, create: make }), bind(C, { value: 'c' })],
    })
    const task = new InMemoryBroker().task({ name: 'b', deps: { b: B }, run: (_args: object, { b }) => b })

    expect(container.validate([task])).toEqual([])
    expect(container.validate([task], { unused: true })).toMatchObject([
      { code: 'KIQ_DI_UNUSED', severity: 'info', path: ['A'] },
    ])
  })

  it('do not keep a container from working when they are only warnings', async () => {
    const container = createContainer({
      providers: [
        bind(A, { deps: { b: B }, create: ({ b }) => b }),
        bind(B, { scope: 'transient', create: make, dispose: () => {} }),
      ],
    })

    expect(await container.get(A)).toBe('made')
  })
})

describe('validate()', () => {
  it('makes nothing', async () => {
    let made = 0
    const container = createContainer({ providers: [bind(A, { create: () => `made ${(made += 1)}` })] })

    container.validate()

    expect(made).toBe(0)
    expect(await container.get(A)).toBe('made 1')
  })

  it('refuses what is no task', () => {
    expect(() => createContainer().validate([{} as never])).toThrow('validate() was given {} as a task')
  })

  it('finds nothing in 2,000 providers that fit', () => {
    const keys = Array.from({ length: 2_000 }, (_, i) => token<number>(`Key${i}`))
    const providers = keys.map((key, i) => {
      const half = keys[(i - 1) >> 1]
      if (half === undefined) return bind(key, { scope: 'scoped', create: () => 0 })
      return bind(key, { scope: 'scoped', deps: { half }, create: (deps) => deps.half + 1 })
    })
    const container = createContainer({ providers })

    expect(container.validate()).toEqual([])
    expect(container.scope().getSync(keys.at(-1) ?? token('none'))).toBe(10)
  })

  it('goes down a chain of 500, and finds what is wrong at its end', () => {
    const keys = Array.from({ length: 501 }, (_, i) => token<number>(`Key${i}`))
    const providers = keys.slice(0, -1).map((key, i) => {
      const next = keys[i + 1] ?? key
      return bind(key, { scope: 'transient', deps: { next }, create: (deps) => deps.next })
    })
    const end = keys.at(-1) ?? token<number>('end')
    const scopedEnd = bind(end, { scope: 'scoped', create: () => 0 })
    const holder = bind(A, { deps: { first: keys[0] ?? end }, create: make })

    expect(outlineOfProviders(...providers, scopedEnd)).toEqual([])
    const [captive, ...others] = createContainer({ providers: [holder, ...providers, scopedEnd] }).validate()
    expect(captive?.code).toBe('KIQ_DI_CAPTIVE')
    expect(captive?.path).toHaveLength(502)
    expect(others).toEqual([])
    expect(outlineOfProviders(...providers)).toHaveLength(1)
  })
})
