import { inspect } from 'node:util'

import { beforeAll, describe, expect, it } from 'vitest'

import type { RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import type { PythonSettings } from './kit.ts'
import { interop, WAIT } from './kit.ts'

/** Expressions of Python, what our task gets, and Python's `repr` of what it reads when the task returns that. */
const PYTHONS: readonly (readonly [expression: string, value: unknown, back: string])[] = [
  ['None', null, 'None'],
  ['True', true, 'True'],
  ['False', false, 'False'],
  ['0', 0, '0'],
  ['-42', -42, '-42'],
  ['2**53 - 1', 2 ** 53 - 1, '9007199254740991'],
  ['2**53 + 1', 2n ** 53n + 1n, '9007199254740993'],
  ['-2**70', -(2n ** 70n), '-1180591620717411303424'],
  ['1.5', 1.5, '1.5'],
  ['1e20', 1e20, '1e+20'],
  ['1e16', 1e16, '1e+16'],
  ['5e-324', 5e-324, '5e-324'],
  // Both are whole numbers here, and so they are integers when they come back.
  ['2.0', 2, '2'],
  ['1e15', 1e15, '1000000000000000'],
  ["float('nan')", null, 'None'],
  ["float('inf')", null, 'None'],
  ["''", '', "''"],
  ["'é 日本 😀'", 'é 日本 😀', "'é 日本 😀'"],
  [String.raw`'\x00'`, '\u0000', String.raw`'\x00'`],
  [String.raw`'\ud800'`, '\ud800', String.raw`'\ud800'`],
  ["'x' * 20_000", 'x'.repeat(20_000), `'${'x'.repeat(20_000)}'`],
  ['[[], {}, [[None]]]', [[], {}, [[null]]], '[[], {}, [[None]]]'],
  ["{'b': [1, {'c': None}], 'a': ''}", { b: [1, { c: null }], a: '' }, "{'b': [1, {'c': None}], 'a': ''}"],
  ["{'__proto__': 1}", JSON.parse('{"__proto__": 1}'), "{'__proto__': 1}"],
  // Keys that look like indices come first in an object.
  ["{'b': 0, '2': 0, '1': 0}", { b: 0, '2': 0, '1': 0 }, "{'1': 0, '2': 0, 'b': 0}"],
  ["{1: 'int', None: 'none'}", { '1': 'int', None: 'none' }, "{'1': 'int', 'None': 'none'}"],
  ['(1, 2)', [1, 2], '[1, 2]'],
  ['datetime(2025, 1, 1, 12, tzinfo=timezone.utc)', '2025-01-01T12:00:00Z', "'2025-01-01T12:00:00Z'"],
  ['timedelta(seconds=90)', 'PT1M30S', "'PT1M30S'"],
  [
    "UUID('12345678-1234-5678-1234-567812345678')",
    '12345678-1234-5678-1234-567812345678',
    "'12345678-1234-5678-1234-567812345678'",
  ],
  ["Decimal('1.10')", '1.10', "'1.10'"],
  ['Color.RED', 'red', "'red'"],
  ["'bytes: ü'.encode()", 'bytes: ü', "'bytes: ü'"],
  ['Model(a=1, b=datetime(2025, 1, 1))', { a: 1, b: '2025-01-01T00:00:00' }, "{'a': 1, 'b': '2025-01-01T00:00:00'}"],
  ['Point(1, 2.5)', { x: 1, y: 2.5 }, "{'x': 1, 'y': 2.5}"],
]

/** Values that our tasks return, and Python's `repr` of them. */
const OURS: Readonly<Record<string, readonly [value: () => unknown, json: string, pickle?: string]>> = {
  nothing: [() => undefined, 'None'],
  'a number beyond 2^53': [() => 2 ** 60, '1.152921504606847e+18'],
  'a bigint': [() => 2n ** 60n, '1152921504606846976'],
  'a negative zero': [() => -0, '0', '-0.0'],
  NaN: [() => [NaN, Infinity], '[None, None]'],
  'a date': [() => new Date(0), "'1970-01-01T00:00:00.000Z'"],
  'bytes of text': [() => Buffer.from('ü'), "'ü'"],
  'a set': [() => new Set(['a']), "['a']"],
  'a map': [() => new Map([['a', 1]]), "{'a': 1}"],
  'a field without a value': [() => ({ a: undefined, b: [undefined] }), "{'b': [None]}"],
  'a large list': [
    () => Array.from({ length: 2500 }, (_, n) => n),
    `[${Array.from({ length: 2500 }, (_, n) => n).join(', ')}]`,
  ],
}

const FORMATS = [
  { python: 'json', ours: 'json', bytes: 'json' },
  { python: 'default', ours: 'pickle', bytes: 'pickle' },
  { python: 'default', ours: 'auto', bytes: 'pickle' },
] as const

interop('tasks that Python sends and Kiq executes', (kit) => {
  describe.each(FORMATS)('with results as $ours for a client with $python', ({ python, ours, bytes }) => {
    let broker: RedisStreamBroker
    let settings: PythonSettings
    let sum: ReturnType<typeof declare>['sum']
    beforeAll(async () => {
      settings = { queue: kit.queue(), results: python }
      broker = await kit.broker({ queue: settings.queue, results: ours })
      sum = declare(broker).sum
      await kit.work(broker)
    })

    it('get positions and keywords', async () => {
      const outcomes = await kit.call(settings, [
        { task: 'ts:sum', call: '(2, 40)' },
        { task: 'ts:sum', call: '(2, b=40)' },
        { task: 'ts:sum', call: '(b=40, a=2)' },
        { task: 'ts:optional', call: '(c=3)' },
        { task: 'ts:record', call: "(name='Ada', tags=['x'])" },
        { task: 'ts:record', call: "({'name': 'Ada'}, tags=[])" },
        { task: 'ts:record', call: '()' },
        { task: 'ts:echo', call: '()' },
      ])

      expect(outcomes.map(({ value }) => value)).toEqual([
        '42',
        '42',
        '42',
        "'undefined undefined 3'",
        `"{ name: 'Ada', tags: [ 'x' ] }"`,
        `"{ name: 'Ada', tags: [] }"`,
        "'{}'",
        'None',
      ])
    })

    it('refuse arguments that do not fit', async () => {
      const outcomes = await kit.call(settings, [
        { task: 'ts:sum', call: '(1, c=2)' },
        { task: 'ts:sum', call: '(1, a=2)' },
        { task: 'ts:echo', call: '(value=1)' },
        { task: 'ts:record', call: '(1)' },
      ])

      expect(outcomes.map(({ isErr, error }) => [isErr, error?.args])).toEqual([
        [true, expect.stringContaining('Keyword "c" sent to task "ts:sum" is not one of its parameters (a, b)')],
        [true, expect.stringContaining('Keyword "a" sent to task "ts:sum" was also given by position')],
        [true, expect.stringContaining('the names of its parameters are not known')],
        [true, expect.stringContaining('takes one record')],
      ])
    })

    it('get values of every kind, and return them', async () => {
      const calls = PYTHONS.flatMap(([expression]) => [
        { task: 'ts:show', call: `(${expression},)` },
        { task: 'ts:echo', call: `(${expression},)` },
      ])

      const outcomes = await kit.call(settings, calls)

      const rows = PYTHONS.map(([expression], i) => [expression, outcomes[i * 2]?.value, outcomes[i * 2 + 1]?.value])
      expect(rows).toEqual(PYTHONS.map(([expression, value, back]) => [expression, pythonText(shown(value)), back]))
    })

    it('return values of every kind', async () => {
      const outcomes = await kit.call(
        settings,
        Object.keys(OURS).map((name) => ({ task: 'ts:make', call: `('${name}')` })),
      )

      const rows = Object.keys(OURS).map((name, i) => [name, outcomes[i]?.value])
      const expected = ([json, pickle = json]: readonly (string | undefined)[]) => (bytes === 'json' ? json : pickle)
      expect(rows).toEqual(Object.entries(OURS).map(([name, [, ...reprs]]) => [name, expected(reprs)]))
    })

    it('tell why a result could not be stored', async () => {
      const [outcome] = await kit.call(settings, [{ task: 'ts:make', call: "('a function')" }])

      expect(outcome).toMatchObject({ isErr: true, value: 'None', error: { type: 'taskiq.exceptions.MessageError' } })
      expect(outcome?.error?.args).toContain('`return value.list[0]` is a function')
    })

    it(`are stored as ${bytes}`, async () => {
      const [taskId = ''] = await kit.send(settings, [{ task: 'ts:sum', call: '(1, 2)' }])
      expect(await broker.sentTask(taskId).result(WAIT)).toBe(3)

      expect(await kit.formatOf(taskId)).toBe(bytes)
    })

    it('have a result that both languages read when Kiq sent them', async () => {
      const sent = await sum.kiq(20, 22)
      expect(await sent.result(WAIT)).toBe(42)

      const format = ours === 'auto' ? 'json' : bytes
      expect(await kit.formatOf(sent.taskId)).toBe(format)
      const reader: PythonSettings = { ...settings, results: format === 'json' ? 'json' : 'default' }
      expect(await kit.read(reader, [sent.taskId])).toMatchObject([{ value: '42', isErr: false }])
    })
  })

  it('are not read by Python when it expects a pickle and we store JSON', async () => {
    const queue = kit.queue()
    const broker = await kit.broker({ queue })
    declare(broker)
    await kit.work(broker)

    const [outcome] = await kit.call({ queue, results: 'default' }, [{ task: 'ts:sum', call: '(1, 2)' }])

    expect(outcome?.failed).toContain('UnpicklingError')
  })
})

function declare(broker: RedisStreamBroker) {
  broker.task('ts:echo', (value: unknown) => value)
  broker.task('ts:show', shown)
  broker.task('ts:optional', (a: unknown, b: unknown, c: unknown) => `${a} ${b} ${c}`, { params: ['a', 'b', 'c'] })
  broker.task({ name: 'ts:record', run: (input: object) => shown(input) })
  broker.task('ts:make', (name: string) => (name === 'a function' ? { list: [() => 1] } : OURS[name]?.[0]()))
  return { sum: broker.task('ts:sum', (a: number, b: number) => a + b, { params: ['a', 'b'] }) }
}

function shown(value: unknown): string {
  return inspect(value, { depth: null, breakLength: Infinity, maxStringLength: null })
}

/** Python's `repr` of a text. */
function pythonText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\u0000', '\\x00').replaceAll(quote, `\\${quote}`)
  return quote + escaped + quote
}
