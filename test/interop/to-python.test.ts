import { beforeAll, describe, expect, it } from 'vitest'

import type { RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import { until } from '../../src/testing/until.ts'
import type { PythonWorker } from '../support/python.ts'
import type { PythonSettings } from './kit.ts'
import { interop, SOON, WAIT } from './kit.ts'

class Point {
  readonly x = 1
  readonly #hidden = 2
  get y(): number {
    return this.#hidden
  }
}

/** Values of ours, Python's `repr` of what its task gets, and what the task returns when it returns that. */
const OURS: readonly (readonly [value: unknown, repr: string, back: unknown])[] = [
  [null, 'None', null],
  [true, 'True', true],
  [false, 'False', false],
  [0, '0', 0],
  [-42, '-42', -42],
  [Number.MAX_SAFE_INTEGER, '9007199254740991', Number.MAX_SAFE_INTEGER],
  [2n ** 53n + 1n, '9007199254740993', 2n ** 53n + 1n],
  [-(2n ** 70n), '-1180591620717411303424', -(2n ** 70n)],
  [5n, '5', 5],
  [1.5, '1.5', 1.5],
  [0.1, '0.1', 0.1],
  [1e20, '1e+20', 1e20],
  [2 ** 53, '9007199254740992.0', 2 ** 53],
  [-1e300, '-1e+300', -1e300],
  [5e-324, '5e-324', 5e-324],
  [Number.MAX_VALUE, '1.7976931348623157e+308', Number.MAX_VALUE],
  // JavaScript has one kind of number: whole ones become integers, and lose the sign of their zero.
  [2.0, '2', 2],
  [-0, '0', 0],
  [NaN, 'None', null],
  [-Infinity, 'None', null],
  [undefined, 'None', null],
  ['', "''", ''],
  ['"quotes" \\ \n\t', `'"quotes" \\\\ \\n\\t'`, '"quotes" \\ \n\t'],
  ['é 日本 😀', "'é 日本 😀'", 'é 日本 😀'],
  ['\u0000', "'\\x00'", '\u0000'],
  ['\ud800', "'\\ud800'", '\ud800'],
  [[], '[]', []],
  [{}, '{}', {}],
  [[[], {}, [[null]]], '[[], {}, [[None]]]', [[], {}, [[null]]]],
  [{ a: [1, { b: null }], '': 0 }, "{'a': [1, {'b': None}], '': 0}", { a: [1, { b: null }], '': 0 }],
  [[1, undefined], '[1, None]', [1, null]],
  [{ a: undefined, b: 1 }, "{'b': 1}", { b: 1 }],
  [JSON.parse('{"__proto__": {"x": 1}}'), "{'__proto__': {'x': 1}}", JSON.parse('{"__proto__": {"x": 1}}')],
  [new Date(0), "'1970-01-01T00:00:00.000Z'", '1970-01-01T00:00:00.000Z'],
  [new Set([1, 2]), '[1, 2]', [1, 2]],
  [new Map([['a', 1]]), "{'a': 1}", { a: 1 }],
  [Buffer.from('bytes: ü'), "'bytes: ü'", 'bytes: ü'],
  [new URL('https://kiq.test/'), "'https://kiq.test/'", 'https://kiq.test/'],
  [new Point(), "{'x': 1}", { x: 1 }],
]

/** Expressions of Python, and what we read when its task returns their value. */
const PYTHONS: readonly (readonly [expression: string, value: unknown])[] = [
  ['None', null],
  ['True', true],
  ['0', 0],
  ['2**53 - 1', 2 ** 53 - 1],
  ['2**53', 2n ** 53n],
  ['2**53 + 1', 2n ** 53n + 1n],
  ['-2**70', -(2n ** 70n)],
  ['10**1000', 10n ** 1000n],
  ['1.5', 1.5],
  ['1e20', 1e20],
  ['1e16', 1e16],
  ['9007199254740993.0', 9007199254740992],
  ['5e-324', 5e-324],
  ['-0.0', -0],
  ['2.0', 2],
  ["float('nan')", null],
  ["[float('inf'), -float('inf')]", [null, null]],
  ["''", ''],
  ["'é 日本 😀'", 'é 日本 😀'],
  [String.raw`'\x00'`, '\u0000'],
  [String.raw`'\ud800'`, '\ud800'],
  ["'x' * 100_000", 'x'.repeat(100_000)],
  ['[[], {}, [[None]]]', [[], {}, [[null]]]],
  ['list(range(3000))', Array.from({ length: 3000 }, (_, n) => n)],
  ["{'a': [1, {'b': None}], '__proto__': 1}", JSON.parse('{"a": [1, {"b": null}], "__proto__": 1}')],
  ["{1: 'int', None: 'none', 2.5: 'float'}", { '1': 'int', None: 'none', '2.5': 'float' }],
  ['(1, 2)', [1, 2]],
  ['{3}', [3]],
  ['datetime(2025, 1, 1, 12, tzinfo=timezone.utc)', '2025-01-01T12:00:00Z'],
  ['datetime(2025, 1, 1)', '2025-01-01T00:00:00'],
  ['datetime(2025, 1, 1, 12, 0, 5, 123, timezone(timedelta(hours=3)))', '2025-01-01T12:00:05.000123+03:00'],
  ['date(2025, 1, 1)', '2025-01-01'],
  ['timedelta(seconds=90)', 'PT1M30S'],
  ['timedelta(days=1)', 'P1D'],
  ["UUID('12345678-1234-5678-1234-567812345678')", '12345678-1234-5678-1234-567812345678'],
  ["Decimal('1.10')", '1.10'],
  ['Color.RED', 'red'],
  ["'bytes: ü'.encode()", 'bytes: ü'],
  ['Model(a=1, b=datetime(2025, 1, 1))', { a: 1, b: '2025-01-01T00:00:00' }],
  ['Point(1, 2.5)', { x: 1, y: 2.5 }],
]

interop('tasks that Kiq sends and Python executes', (kit) => {
  describe.each(['json', 'default'] as const)('with results as %s', (results) => {
    let broker: RedisStreamBroker
    let settings: PythonSettings
    let worker: PythonWorker
    beforeAll(async () => {
      settings = { queue: kit.queue(), results }
      worker = await kit.python(settings)
      // One that says nothing of the format.
      broker = await kit.broker({ queue: settings.queue })
    })
    const external = <R>(name: string) => broker.externalTask<readonly unknown[], R>(name)

    it('get positions, keywords and both', async () => {
      const show = external<string>('py:show')

      const sent = [
        await show.kiq(1, 'two'),
        await show
          .kicker()
          .withKwargs({ name: 'Ada', tags: ['x'] })
          .kiq(),
        await show.kicker().withKwargs({ last: null }).kiq([1], { b: 2 }),
        await show.kiq(),
      ]

      expect(await Promise.all(sent.map((task) => task.result(WAIT)))).toEqual([
        "((1, 'two'), {})",
        "((), {'name': 'Ada', 'tags': ['x']})",
        "(([1], {'b': 2}), {'last': None})",
        '((), {})',
      ])
    })

    it('get values of every kind, which come back', async () => {
      const show = external<string>('py:show')
      const echo = external('py:echo')

      const rows = await Promise.all(
        OURS.map(async ([value]) => {
          const [shown, back] = await Promise.all([show.kiq(value, value), echo.kiq(value)])
          return [value, await shown.result(WAIT), await back.result(WAIT)]
        }),
      )

      expect(rows).toEqual(OURS.map(([value, repr, back]) => [value, `((${repr}, ${repr}), {})`, back]))
    })

    it('return values of every kind', async () => {
      const make = external('py:make')

      const rows = await Promise.all(
        PYTHONS.map(async ([expression]) => [expression, await (await make.kiq(expression)).result(WAIT)]),
      )

      expect(rows).toEqual(PYTHONS)
    })

    it('have the facts of their results', async () => {
      const sent = await external('py:sleep').kiq(0.05)

      const result = await sent.waitResult(WAIT)

      expect(result).toEqual({ isErr: false, returnValue: 'slept', executionTime: expect.any(Number), labels: {} })
      expect(result.executionTime).toBeGreaterThanOrEqual(0.05)
      expect(await broker.hasResult(sent.taskId)).toBe(true)
    })

    it('are read by others after we have read them', async () => {
      const sent = await external('py:make').kiq('[2**64, -0.0]')
      await sent.result(WAIT)

      expect(await kit.read(settings, [sent.taskId])).toMatchObject([{ value: '[18446744073709551616, -0.0]' }])
    })

    // Such tasks are acknowledged all the same: a wait for them ends with its time.
    it.each(['object()', "b'\\xff'", 'lambda: 1'])('have no result when they return %s', async (expression) => {
      const failures = (): number => worker.output.split("Can't set result in result backend").length
      const before = failures()

      const sent = await external('py:make').kiq(expression)

      await until(() => failures() > before, SOON)
      await until(async () => (await kit.pending(settings.queue)).length === 0, SOON)
      expect(await sent.isReady()).toBe(false)
    })
  })

  it('are refused by us when their arguments would not arrive', async () => {
    const broker = await kit.broker({ queue: kit.queue() })
    const echo = broker.externalTask('py:echo')
    const cycle: unknown[] = []
    cycle.push(cycle)

    for (const value of [Buffer.from([255]), () => 1, Symbol('s'), new Error('e'), /x/, new Map([[1, 2]]), cycle]) {
      await expect(echo.kiq(value)).rejects.toMatchObject({ code: 'KIQ_ARGUMENTS_UNSERIALIZABLE' })
    }
  })
})
