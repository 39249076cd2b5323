import { inspect } from 'node:util'

import { beforeAll, describe, expect, it } from 'vitest'

import type { RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import type { Serializer } from '../../src/contract/index.ts'
import { context, SimpleRetryMiddleware } from '../../src/index.ts'
import { CborSerializer, MsgPackSerializer } from '../../src/serializers/index.ts'
import type { PythonSettings } from './kit.ts'
import { failureOf, interop, WAIT } from './kit.ts'

/** Values of ours, and Python's `repr` of what its task gets. */
const OURS: readonly (readonly [value: unknown, repr: string])[] = [
  [null, 'None'],
  [true, 'True'],
  [0, '0'],
  [-1, '-1'],
  [23, '23'],
  [24, '24'],
  [255, '255'],
  [-129, '-129'],
  [65_536, '65536'],
  [2 ** 31, '2147483648'],
  [2 ** 32, '4294967296'],
  [-(2 ** 32) - 1, '-4294967297'],
  [2 ** 53 - 1, '9007199254740991'],
  [-(2 ** 53) + 1, '-9007199254740991'],
  [2n ** 53n + 1n, '9007199254740993'],
  [2n ** 63n - 1n, '9223372036854775807'],
  [2n ** 64n - 1n, '18446744073709551615'],
  [-(2n ** 63n), '-9223372036854775808'],
  [5n, '5'],
  [1.5, '1.5'],
  [0.1, '0.1'],
  [1e20, '1e+20'],
  [2 ** 60, '1.152921504606847e+18'],
  [5e-324, '5e-324'],
  [NaN, 'None'],
  ['', "''"],
  ['é 日本 😀', "'é 日本 😀'"],
  ['x'.repeat(300), `'${'x'.repeat(300)}'`],
  [[], '[]'],
  [{}, '{}'],
  [{ a: [1, { b: null }], '1': 2 }, "{'1': 2, 'a': [1, {'b': None}]}"],
  [new Date(0), "'1970-01-01T00:00:00.000Z'"],
  [Buffer.from('ü'), "'ü'"],
  [Array.from({ length: 70 }, (_, n) => n), `[${Array.from({ length: 70 }, (_, n) => n).join(', ')}]`],
]

/** Expressions of Python, and what our task gets. */
const PYTHONS: readonly (readonly [expression: string, value: unknown])[] = [
  ['None', null],
  ['True', true],
  ['-1', -1],
  ['2**31', 2 ** 31],
  ['2**32', 2 ** 32],
  ['2**53 - 1', 2 ** 53 - 1],
  ['-(2**53) + 1', -(2 ** 53) + 1],
  ['2**53 + 1', 2n ** 53n + 1n],
  ['2**64 - 1', 2n ** 64n - 1n],
  ['-2**63', -(2n ** 63n)],
  ['1.5', 1.5],
  ['0.1', 0.1],
  ['2.0', 2],
  ['1e20', 1e20],
  ["float('nan')", null],
  ["''", ''],
  ["'é 日本 😀'", 'é 日本 😀'],
  ["'x' * 70_000", 'x'.repeat(70_000)],
  ['[[], {}]', [[], {}]],
  ["{'a': [1, {'b': None}], '__proto__': 1}", JSON.parse('{"a": [1, {"b": null}], "__proto__": 1}')],
  ['{1: 2}', { '1': 2 }],
  ["'bytes: ü'.encode()", 'bytes: ü'],
  ['datetime(2025, 1, 1, 12, tzinfo=timezone.utc)', '2025-01-01T12:00:00Z'],
  ["['the same text'] * 4", Array<string>(4).fill('the same text')],
  ["[{'name': 'a', 'value': 'a'}] * 40", Array<object>(40).fill({ name: 'a', value: 'a' })],
  // References of one, two and three bytes.
  ['[str(n) * 5 for n in range(300)] * 2', [...texts(300), ...texts(300)]],
]

/** Integers of more than 64 bits, which only CBOR has. */
const LARGE: readonly (readonly [value: bigint, repr: string])[] = [
  [2n ** 64n, '18446744073709551616'],
  [-(2n ** 64n), '-18446744073709551616'],
  [2n ** 70n, '1180591620717411303424'],
  [-(2n ** 100n), '-1267650600228229401496703205376'],
]

const SERIALIZERS = [
  { name: 'msgpack', serializer: new MsgPackSerializer(), large: [] },
  { name: 'cbor', serializer: new CborSerializer(), large: LARGE },
] as const

interop('serializers other than JSON', (kit) => {
  describe.each(SERIALIZERS)('$name', ({ name, serializer, large }) => {
    let settings: PythonSettings
    let broker: RedisStreamBroker
    let python: string
    beforeAll(async () => {
      python = kit.queue()
      settings = { queue: kit.queue(), messages: name, results: name }
      await kit.python({ ...settings, queue: python })
      broker = await kit.broker({ queue: settings.queue, serializer, results: serializer })
      broker.withMiddlewares(new SimpleRetryMiddleware())
      broker.task('ts:echo', (value: unknown) => value)
      broker.task('ts:show', shown)
      broker.task('ts:throw', () => {
        throw new RangeError(`attempt ${context().attempt}`)
      })
      await kit.work(broker)
    })

    it('carries what Kiq sends', async () => {
      const echo = broker.externalTask('py:echo', { queue: python })
      const show = broker.externalTask<readonly unknown[], string>('py:show', { queue: python })
      const table = [...OURS, ...large]

      const rows = await Promise.all(
        table.map(async ([value]) => [
          value,
          await (await show.kicker().withKwargs({ value }).kiq(value)).result(WAIT),
        ]),
      )

      expect(rows).toEqual(table.map(([value, repr]) => [value, `((${repr},), {'value': ${repr}})`]))
      const all = table.filter(([value]) => value !== 5n && !Number.isNaN(value)).map(([value]) => value)
      const plain = all.map((value) =>
        value instanceof Date ? value.toISOString() : value instanceof Uint8Array ? 'ü' : value,
      )
      expect(await (await echo.kiq([...all, ...all])).result(WAIT)).toEqual([...plain, ...plain])
    })

    it('carries what Python sends', async () => {
      const outcomes = await kit.call(
        settings,
        [...PYTHONS, ...large.map(([value]) => [`${value}`, value] as const)].flatMap(([expression]) => [
          { task: 'ts:show', call: `(${expression},)` },
          { task: 'ts:show', call: `([${expression}, 'text', ${expression}, 'text'],)` },
        ]),
      )

      const table = [...PYTHONS, ...large.map(([value]) => [`${value}`, value] as const)]
      const seen = await Promise.all(outcomes.map(({ taskId }) => broker.sentTask(taskId).result(WAIT)))
      expect(outcomes.filter(({ isErr }) => isErr)).toEqual([])
      expect(seen).toEqual(table.flatMap(([, value]) => [shown(value), shown([value, 'text', value, 'text'])]))
    })

    it('carries what Python returns', async () => {
      const make = broker.externalTask<[string]>('py:make', { queue: python })

      const rows = await Promise.all(
        PYTHONS.map(async ([expression]) => [expression, await (await make.kiq(expression)).result(WAIT)]),
      )

      expect(rows).toEqual(PYTHONS)
    })

    it('carries what we return', async () => {
      const table = large.map(([, repr]) => repr).concat("['same', 'same', {'same': 2**63 - 1}]", '1e+20', "'é 😀'")

      const outcomes = await kit.call(
        settings,
        table.map((expression) => ({ task: 'ts:echo', call: `(${expression},)` })),
      )

      const evaluated = (expression: string): string => expression.replace('2**63 - 1', '9223372036854775807')
      expect(outcomes.map(({ value }) => value)).toEqual(table.map(evaluated))
    })

    it('carries labels, failures and retries', async () => {
      const labels = "{'retry_on_error': True, 'max_retries': 3, 'bytes': b'\\x00\\xff', 'float': 2.5}"

      const [outcome] = await kit.call(settings, [{ task: 'ts:throw', call: '()', labels }])

      expect(outcome?.error).toMatchObject({ type: 'taskiq.exceptions.RangeError', args: "('attempt 3',)" })
      expect(outcome?.labels).toBe(
        "{'retry_on_error': True, 'max_retries': 3, 'bytes': 'AP8=', 'float': 2.5, '_retries': 2}",
      )
      const run = broker.externalTask('py:run', { queue: python })
      const sent = await run.kiq("raise ValueError('outer', 7) from KeyError('inner')")
      expect(failureOf(await sent.waitResult(WAIT))).toMatchObject({ name: 'ValueError', args: ['outer', 7] })
    })

    it('reads the results of a Python worker at its defaults', async () => {
      const queue = kit.queue()
      await kit.python({ queue, messages: name, results: 'default' })
      const make = broker.externalTask<[string]>('py:make', { queue })

      expect(await (await make.kiq("[2**70, 'text', -0.0]")).result(WAIT)).toEqual([2n ** 70n, 'text', -0])
    })
  })

  it('refuse what they cannot hold', async () => {
    const open = async (serializer: Serializer) => {
      const broker = await kit.broker({ queue: kit.queue(), serializer })
      return broker.externalTask('py:echo')
    }
    const [msgpack, cbor] = await Promise.all(SERIALIZERS.map(({ serializer }) => open(serializer)))
    const refusal = { code: 'KIQ_ARGUMENTS_UNSERIALIZABLE' }

    for (const [value] of LARGE) await expect(msgpack?.kiq(value)).rejects.toMatchObject(refusal)
    // Half a character, for which UTF-8 has no form.
    await expect(msgpack?.kiq('\ud800')).rejects.toMatchObject(refusal)
    await expect(cbor?.kiq({ '\ud800': 1 })).rejects.toMatchObject(refusal)
  })
})

function texts(count: number): string[] {
  return Array.from({ length: count }, (_, n) => String(n).repeat(5))
}

function shown(value: unknown): string {
  return inspect(value, { depth: null, maxArrayLength: null, maxStringLength: null })
}
