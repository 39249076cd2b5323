import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'

import { JsonSerializer } from '../../src/index.ts'
import { fake, inMemory } from '../support/brokers.ts'

describe('broker.task', () => {
  it('declares a positional task, which is still a function', async () => {
    const broker = inMemory()
    const add = broker.task('add', (a: number, b: number) => a + b)
    await broker.startup()

    expect(add(1, 2)).toBe(3)
    expect(await (await add.kiq(1, 2)).result()).toBe(3)
    expect(add.taskName).toBe('add')
  })

  it('declares an async task, which is still an async function', async () => {
    const broker = inMemory()
    const greet = broker.task('greet', async (name: string) => `Hello, ${name}`)
    await broker.startup()

    expect(greet('Bob')).toBeInstanceOf(Promise)
    expect(await greet('Bob')).toBe('Hello, Bob')
    expect(await (await greet.kiq('Ada')).result()).toBe('Hello, Ada')
  })

  it('declares a record task, whose fields travel as keywords', async () => {
    const { broker, transport } = fake()
    const add = broker.task({ name: 'add', run: (input: { a: number; b: number }) => input.a + input.b })
    await broker.startup()

    await add.kiq({ a: 1, b: 2 })

    expect(JSON.parse(String(transport.sent[0]?.body))).toMatchObject({ args: [], kwargs: { a: 1, b: 2 } })
  })

  it('runs a record task, and lets it be called in two ways', async () => {
    const broker = inMemory()
    const add = broker.task({ name: 'add', run: async (input: { a: number; b: number }) => input.a + input.b })
    await broker.startup()

    expect(await (await add.kiq({ a: 1, b: 2 })).result()).toBe(3)
    expect(await add({ a: 1, b: 2 })).toBe(3)
    expect(await add.run({ a: 1, b: 2 })).toBe(3)
  })

  it('declares tasks that take nothing, in both forms', async () => {
    const broker = inMemory()
    const positional = broker.task('positional', () => 1)
    const record = broker.task({ name: 'record', run: () => 2 })
    await broker.startup()

    expect(await (await positional.kiq()).result()).toBe(1)
    expect(await (await record.kiq()).result()).toBe(2)
  })

  it('awaits a promise that a sync function returns', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => Promise.resolve(5))
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(5)
  })

  it('takes what a sync task throws for its failure', async () => {
    const broker = inMemory()
    const task = broker.task('task', () => {
      throw new RangeError('too far')
    })
    await broker.startup()

    await expect((await task.kiq()).result()).rejects.toMatchObject({
      name: 'TaskError',
      code: 'KIQ_TASK_FAILED',
      failure: { name: 'RangeError', message: 'too far' },
    })
  })

  it('fills parameters from keywords when their names are known', async () => {
    const broker = inMemory()
    const add = broker.task('add', (a: number, b: number) => a - b, { params: ['a', 'b'] })
    await broker.startup()

    const sent = await broker.externalTask<[number], number>('add').kicker().withKwargs({ b: 2 }).kiq(5)

    expect(add(5, 2)).toBe(3)
    expect(await sent.result()).toBe(3)
  })

  it('refuses keywords when the names of parameters are not known', async () => {
    const broker = inMemory()
    broker.task('add', (a: number, b: number) => a - b)
    await broker.startup()

    const sent = await broker.externalTask('add').kicker().withKwargs({ b: 2 }).kiq(5)

    await expect(sent.result()).rejects.toMatchObject({ code: 'KIQ_ARGUMENTS_INVALID' })
  })

  it('refuses a name that is taken', () => {
    const broker = inMemory()
    broker.task('add', () => 1)

    expect(() => broker.task('add', () => 2)).toThrow(
      expect.objectContaining({ name: 'ConfigError', code: 'KIQ_TASK_DUPLICATE' }),
    )
    expect(() => broker.task({ name: 'add', run: () => 2 })).toThrow('"add" is registered already')
  })

  it('lets two brokers have tasks of one name', () => {
    inMemory().task('add', () => 1)
    inMemory().task('add', () => 2)
  })

  it.each([
    ['no function', () => inMemory().task('x', undefined as never)],
    ['no name', () => inMemory().task('', () => 1)],
    ['a negative timeout', () => inMemory().task('x', () => 1, { timeout: -1 })],
    ['a negative timeout in a record', () => inMemory().task({ name: 'x', timeout: '-5s', run: () => 1 })],
  ])('refuses %s', (_what, declare) => {
    expect(declare).toThrow(expect.objectContaining({ code: 'KIQ_CONFIG_INVALID' }))
  })

  it('lists its tasks and finds them by name', () => {
    const broker = inMemory()
    broker.task('one', () => 1)
    broker.task({ name: 'two', run: () => 2 })

    expect(broker.tasks.map((task) => task.name)).toEqual(expect.arrayContaining(['one', 'two']))
    expect(broker.findTask('two')).toMatchObject({ name: 'two', style: 'record' })
    expect(broker.findTask('three')).toBeUndefined()
  })

  it('runs a task that was declared after the start', async () => {
    const broker = inMemory()
    await broker.startup()
    const late = broker.task('late', () => 'here')

    expect(await (await late.kiq()).result({ timeout: '2s' })).toBe('here')
  })

  it('runs a task that was declared after the start and has a queue of its own', async () => {
    const broker = inMemory()
    await broker.startup()
    const late = broker.task('late', () => 'here', { queue: 'late-queue' })

    expect(await (await late.kiq()).result({ timeout: '1s' })).toBe('here')
  })

  it('serves the queues that its tasks name', async () => {
    const broker = inMemory()
    const low = broker.task('low', () => 'done', { queue: 'low' })
    await broker.startup()

    expect(await (await low.kiq()).result({ timeout: '2s' })).toBe('done')
  })
})

/** One record schema per library: text to a number, with a default. */
const recordSchemas = {
  zod: z.object({ count: z.string().transform(Number), unit: z.string().default('kg') }),
  valibot: v.object({ count: v.pipe(v.string(), v.transform(Number)), unit: v.optional(v.string(), 'kg') }),
  arktype: type({ count: 'string.numeric.parse', unit: "string = 'kg'" }),
}

describe.each(['zod', 'valibot', 'arktype'] as const)('a record task with a schema of %s', (library) => {
  const setup = async () => {
    const broker = inMemory()
    const seen: unknown[] = []
    const weigh = broker.task({
      name: 'weigh',
      input: recordSchemas[library] as typeof recordSchemas.zod,
      run: (input) => {
        seen.push(input)
        return `${input.count + 1} ${input.unit}`
      },
    })
    await broker.startup()
    return { broker, weigh, seen }
  }

  it('hands the function what the schema makes of the input', async () => {
    const { weigh, seen } = await setup()

    expect(await (await weigh.kiq({ count: '5' })).result()).toBe('6 kg')
    expect(seen).toEqual([{ count: 5, unit: 'kg' }])
  })

  it('refuses bad input before it is sent', async () => {
    const { weigh, seen } = await setup()

    await expect(weigh.kiq({ count: 5 as never })).rejects.toMatchObject({
      name: 'MessageError',
      code: 'KIQ_ARGUMENTS_INVALID',
      message: expect.stringContaining('sent to task "weigh"') as string,
    })
    expect(seen).toEqual([])
  })

  it('refuses bad input that another producer sent', async () => {
    const { broker, seen } = await setup()

    const sent = await broker.externalTask('weigh').kicker().withKwargs({ count: true }).kiq()

    await expect(sent.result()).rejects.toMatchObject({
      code: 'KIQ_ARGUMENTS_INVALID',
      message: expect.stringContaining('received by task "weigh"') as string,
    })
    expect(seen).toEqual([])
  })
})

describe('a task with a schema', () => {
  it('sends what the caller gave, not what the schema makes of it', async () => {
    const { broker, transport } = fake()
    const weigh = broker.task({ name: 'weigh', input: recordSchemas.zod, run: (input) => input.count })
    await broker.startup()

    await weigh.kiq({ count: '5' })

    expect(JSON.parse(String(transport.sent[0]?.body))).toMatchObject({ kwargs: { count: '5' } })
  })

  it('checks positions with a tuple', async () => {
    const broker = inMemory()
    const repeat = broker.task('repeat', (word: string, times: number) => word.repeat(times), {
      input: z.tuple([z.string(), z.coerce.number().int()]),
    })
    await broker.startup()

    expect(await (await repeat.kiq('ab', '2' as never)).result()).toBe('abab')
    await expect(repeat.kiq('ab', 1.5)).rejects.toMatchObject({ code: 'KIQ_ARGUMENTS_INVALID' })
  })

  it('awaits a schema that is async', async () => {
    const broker = inMemory()
    const input = z.object({ id: z.number().refine(async (id) => Promise.resolve(id > 0), 'must be positive') })
    const load = broker.task({ name: 'load', input, run: ({ id }) => id })
    await broker.startup()

    expect(await (await load.kiq({ id: 1 })).result()).toBe(1)
    await expect(load.kiq({ id: -1 })).rejects.toThrow('id: must be positive')
  })

  it('fails with what a schema throws', async () => {
    const broker = inMemory()
    const input = z.object({}).transform(() => {
      throw new Error('the schema is broken')
    })
    const task = broker.task({ name: 'task', input, run: () => 1 })
    await broker.startup()

    await expect(task.kiq({})).rejects.toThrow('the schema is broken')
  })

  it('is not checked when it is called as a function', () => {
    const broker = inMemory()
    const weigh = broker.task({ name: 'weigh', input: recordSchemas.zod, run: (input) => input.count })

    expect(weigh({ count: 'anything' })).toBe('anything')
  })
})

describe('broker.externalTask', () => {
  it('sends a task that has no body here', async () => {
    const { broker, transport } = fake()
    const add = broker.externalTask<[a: number, b: number], number>('elsewhere.add', { labels: { lang: 'py' } })
    await broker.startup()

    await add.kiq(1, 2)

    expect(JSON.parse(String(transport.sent[0]?.body))).toMatchObject({
      task_name: 'elsewhere.add',
      labels: { lang: 'py' },
      args: [1, 2],
    })
  })

  it('can name a task that is declared here', async () => {
    const broker = inMemory()
    broker.task('add', (a: number, b: number) => a + b)
    await broker.startup()

    expect(await (await broker.externalTask<[number, number], number>('add').kiq(1, 2)).result()).toBe(3)
  })

  it('is not executed by this broker', () => {
    const broker = inMemory()
    broker.externalTask('elsewhere.add')

    expect(broker.findTask('elsewhere.add')).toBeUndefined()
  })
})

// What the in-memory broker does without JSON must be what JSON does.
describe.each([
  ['in memory', undefined],
  ['through JSON', new JsonSerializer()],
])('arguments and results %s', (_what, serializer) => {
  const echo = async () => {
    const broker = inMemory({ serializer })
    const task = broker.task('echo', (...args: unknown[]) => args)
    await broker.startup()
    return async (...args: unknown[]): Promise<unknown> => await (await task.kiq(...args)).result()
  }

  it.each([
    ['plain values', [1, 'x', null, true, { a: [1.5] }], [1, 'x', null, true, { a: [1.5] }]],
    ['undefined', [undefined, { a: undefined, b: 1 }], [null, { b: 1 }]],
    ['NaN and infinities', [NaN, [Infinity], { a: -Infinity }], [null, [null], { a: null }]],
    ['a bigint', [2n ** 70n + 1n, { a: [-(2n ** 70n + 1n)] }], [2n ** 70n + 1n, { a: [-(2n ** 70n + 1n)] }]],
    ['a date', [new Date(0)], ['1970-01-01T00:00:00.000Z']],
    ['a set', [new Set([1, [2]])], [[1, [2]]]],
    ['a map', [new Map([['a', new Map([['b', 1]])]])], [{ a: { b: 1 } }]],
    ['bytes', [Buffer.from('abc'), new Uint8Array([0x68, 0x69])], ['abc', 'hi']],
    ['an instance', [new (class Point { x = 1 })()], [{ x: 1 }]], // prettier-ignore
    ['text of every kind', ['', '\u0000', '\u2028', '😀', 'é'], ['', '\u0000', '\u2028', '😀', 'é']],
    ['an empty list and object', [[], {}], [[], {}]],
    ['no prototype', [Object.assign(Object.create(null) as object, { a: 1 })], [{ a: 1 }]],
    ['a number beyond the safe integers', [1.7e18], [1.7e18]],
  ])('carry %s', async (_kind, args, received) => {
    const call = await echo()

    expect(await call(...args)).toEqual(received)
  })

  it('carry ten megabytes', async () => {
    const call = await echo()
    const text = 'abcdefghij'.repeat(1_000_000)
    const list = Array.from({ length: 100_000 }, (_, i) => ({ i }))

    expect(await call(text, list)).toEqual([text, list])
  })

  it('carry __proto__ as a plain key', async () => {
    const call = await echo()
    const [received] = (await call(JSON.parse('{"__proto__":{"admin":true}}'))) as [object]

    expect(Object.keys(received)).toEqual(['__proto__'])
    expect((received as { admin?: boolean }).admin).toBeUndefined()
  })

  it('are copies: what the task changes the caller does not see, nor the other way round', async () => {
    const broker = inMemory({ serializer })
    const task = broker.task('change', (list: number[], kept: { list: number[] }) => {
      list.push(2)
      kept.list.push(2)
      return kept
    })
    await broker.startup()
    const list = [1]
    const kept = { list: [1] }

    const sent = await task.kiq(list, kept)
    kept.list.push(99)
    const first = (await sent.result()) as { list: number[] }
    first.list.push(77)

    expect(list).toEqual([1])
    expect(first.list).toEqual([1, 2, 77])
    expect(await sent.result()).toEqual({ list: [1, 2] })
  })

  it('have labels in results as JSON can hold them', async () => {
    const broker = inMemory({ serializer }).withMiddlewares({
      preExecute: (message) => ({ ...message, labels: { ...message.labels, at: new Date(0), gone: undefined } }),
    })
    const task = broker.task('task', (fails: boolean) => {
      if (fails) throw new Error('x')
    })
    await broker.startup()
    const kicker = task.kicker().withLabels({ bytes: new Uint8Array([0, 255]), half: 0.5, list: [1] })
    const labels = { bytes: 'AP8=', half: 0.5, list: '[1]', at: '1970-01-01T00:00:00.000Z' }

    expect((await (await kicker.kiq(false)).waitResult()).labels).toEqual(labels)
    expect((await (await kicker.kiq(true)).waitResult()).labels).toEqual(labels)
  })

  it('do not see symbols as keys', async () => {
    const broker = inMemory({ serializer })
    const symbol = Symbol('secret')
    const seen: unknown[] = []
    const task = broker.task('task', (value: object) => void seen.push(Object.getOwnPropertySymbols(value).length))
    await broker.startup()

    await (await task.kiq({ [symbol]: () => {}, a: 1 })).result()

    expect(seen).toEqual([0])
  })

  const circular: Record<string, unknown> = {}
  circular['self'] = circular

  it.each([
    ['a cycle', circular, '`args[0].self` refers to itself'],
    ['a function', { cb: () => {} }, '`args[0].cb` is a function'],
    ['a symbol', Symbol('x'), '`args[0]` is a symbol'],
    ['a promise', Promise.resolve(), '`args[0]` is a Promise'],
    ['bytes that are not UTF-8', new Uint8Array([0xff]), '`args[0]` holds bytes that are not UTF-8'],
    ['an invalid date', new Date(NaN), '`args[0]` is an invalid Date'],
  ])('refuse %s before anything is sent', async (_kind, value, message) => {
    const call = await echo()

    await expect(call(value)).rejects.toMatchObject({
      name: 'MessageError',
      code: 'KIQ_ARGUMENTS_UNSERIALIZABLE',
      message: expect.stringContaining(message) as string,
    })
  })
})
