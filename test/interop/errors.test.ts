import { beforeAll, describe, expect, it } from 'vitest'

import type { RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import { rejectTask, TaskError } from '../../src/index.ts'
import type { Failure } from '../../src/index.ts'
import type { PythonSettings } from './kit.ts'
import { failureOf, interop, WAIT } from './kit.ts'
import type { PythonError } from './python-client.ts'

const builtin = (name: string, args: readonly unknown[], more: Partial<Failure> = {}): Failure => {
  return { name, message: args.join(', '), args, module: 'builtins', ...more }
}

/** Code of Python, and what we see of the exception that it raises. */
const PYTHONS: Readonly<Record<string, readonly [code: string, failure: Failure]>> = {
  'several arguments': ["raise ValueError('outer', 7)", builtin('ValueError', ['outer', 7])],
  'no argument': ['raise ValueError', builtin('ValueError', [])],
  'a cause': [
    "raise ValueError('outer') from KeyError('inner')",
    builtin('ValueError', ['outer'], { cause: builtin('KeyError', ['inner']) }),
  ],
  'a context': [
    `
try:
    1 / 0
except ZeroDivisionError:
    raise MyError('later')
`,
    {
      name: 'MyError',
      message: 'later',
      args: ['later'],
      module: 'values',
      context: builtin('ZeroDivisionError', ['division by zero']),
    },
  ],
  'a context that is not to be shown': [
    `
try:
    1 / 0
except ZeroDivisionError:
    raise ValueError('alone') from None
`,
    builtin('ValueError', ['alone']),
  ],
  'causes and contexts, three deep': [
    `
try:
    try:
        raise ValueError(1)
    except ValueError as error:
        raise KeyError(2) from error
except KeyError:
    raise OSError(3)
`,
    builtin('OSError', [3], {
      context: builtin('KeyError', [2], { cause: builtin('ValueError', [1]) }),
    }),
  ],
  'a cause that is its own': [
    `
a, b = ValueError('a'), KeyError('b')
a.__cause__, b.__cause__ = b, a
raise a
`,
    builtin('ValueError', ['a'], { cause: builtin('KeyError', ['b']) }),
  ],
  'a class in a class': [
    "raise Outer.Inner({'k': [1]}, (1, 2))",
    { name: 'Outer.Inner', message: '{"k":[1]}, [1,2]', args: [{ k: [1] }, [1, 2]], module: 'values' },
  ],
  'numbers that JSON does not hold': [
    "raise ValueError(2**70, -0.0, float('nan'))",
    builtin('ValueError', [2n ** 70n, -0, null], { message: '1180591620717411303424, 0, null' }),
  ],
  'objects as arguments': [
    "raise ValueError(b'\\xff', date(2025, 1, 1))",
    builtin('ValueError', [String.raw`b'\xff'`, 'datetime.date(2025, 1, 1)']),
  ],
  'arguments that the class drops': [
    "raise OSError(2, 'No such file', 'x.txt')",
    builtin('FileNotFoundError', [2, 'No such file']),
  ],
  'keywords alone, as Taskiq raises it': [
    'raise TaskRejectedError()',
    {
      name: 'TaskRejectedError',
      message: 'Task was rejected',
      args: ['Task was rejected'],
      module: 'taskiq.exceptions',
    },
  ],
  'keywords alone, as Pydantic raises it': [
    "Model(a='x', b=1)",
    { name: 'ValidationError', message: '', args: [], module: 'pydantic_core._pydantic_core' },
  ],
  'a group': [
    "raise ExceptionGroup('group', [ValueError(1)])",
    builtin('ExceptionGroup', ['group', '[ValueError(1)]']),
  ],
  'a text that is no Unicode': [String.raw`raise ValueError('\ud800')`, builtin('ValueError', ['\ud800'])],
}

class NamedError extends Error {
  override readonly name = 'NamedError'
}
class UnnamedError extends RangeError {}

const chicken = new Error('chicken')
const egg = new Error('egg', { cause: chicken })
chicken.cause = egg

const python = (type: string, args: string, cause: PythonError | null = null): PythonError => {
  return { type, args, cause, context: null, suppress: cause !== null }
}

/** What our tasks throw, and the exception that Python sees. */
const OURS: Readonly<Record<string, readonly [thrown: unknown, error: PythonError]>> = {
  'an error': [new Error('text'), python('builtins.Exception', "('text',)")],
  'an error without text': [new Error(), python('builtins.Exception', '()')],
  'a cause': [
    new Error('outer', { cause: new TypeError('inner') }),
    python('builtins.Exception', "('outer',)", python('builtins.TypeError', "('inner',)")),
  ],
  'causes, three deep': [
    new RangeError('1', { cause: new NamedError('2', { cause: new SyntaxError('3') }) }),
    python(
      'taskiq.exceptions.RangeError',
      "('1',)",
      python('taskiq.exceptions.NamedError', "('2',)", python('builtins.SyntaxError', "('3',)")),
    ),
  ],
  'a cause that is its own': [
    chicken,
    python('builtins.Exception', "('chicken',)", python('builtins.Exception', "('egg',)")),
  ],
  'a cause that is no error': [
    new Error('outer', { cause: { status: 503 } }),
    python('builtins.Exception', "('outer',)", python('builtins.Exception', "({'status': 503},)")),
  ],
  'a class of its own': [new NamedError('x'), python('taskiq.exceptions.NamedError', "('x',)")],
  'a class that inherits its name': [new UnnamedError('x'), python('taskiq.exceptions.UnnamedError', "('x',)")],
  'the name of an exception of Python': [
    Object.assign(new Error('x'), { name: 'ValueError' }),
    python('taskiq.exceptions.ValueError', "('x',)"),
  ],
  'a name that Python allows no class': [
    Object.assign(new Error('x'), { name: 'No\u0000\ud800Error' }),
    python('taskiq.exceptions.No\ufffd\ufffdError', "('x',)"),
  ],
  'text that is no Unicode': [new Error('\ud800 😀'), python('builtins.Exception', String.raw`('\ud800 😀',)`)],
  'several errors': [
    new AggregateError([new Error('1')], 'all'),
    python('taskiq.exceptions.AggregateError', "('all',)"),
  ],
  text: ['no error', python('builtins.Exception', "('no error',)")],
  nothing: [undefined, python('builtins.Exception', '(None,)')],
  data: [{ a: [2n ** 64n] }, python('builtins.Exception', "({'a': [18446744073709551616]},)")],
  'a function': [Math.max, python('builtins.Exception', "('[function max]',)")],
  'a rejection': [rejectTask('no use'), python('taskiq.exceptions.TaskRejectedError', "('no use',)")],
}

interop('failures of tasks', (kit) => {
  describe.each([
    { results: 'json', ours: 'json' },
    { results: 'default', ours: 'pickle' },
  ] as const)('as $ours', ({ results, ours }) => {
    let broker: RedisStreamBroker
    let settings: PythonSettings
    let python: string
    beforeAll(async () => {
      python = kit.queue()
      settings = { queue: kit.queue(), results }
      await kit.python({ ...settings, queue: python })
      broker = await kit.broker({ queue: settings.queue, results: ours })
      broker.task('ts:throw', (what: string) => {
        throw OURS[what]?.[0]
      })
      await kit.work(broker)
    })

    it('of Python are seen by us with arguments, causes and contexts', async () => {
      const run = broker.externalTask('py:run', { queue: python })

      const seen = await Promise.all(
        Object.entries(PYTHONS).map(async ([what, [code]]) => [
          what,
          failureOf(await (await run.kiq(code)).waitResult(WAIT)),
        ]),
      )

      expect(Object.fromEntries(seen)).toEqual(
        Object.fromEntries(Object.entries(PYTHONS).map(([what, [, failure]]) => [what, failure])),
      )
    })

    it('of ours are seen by Python with arguments and causes', async () => {
      const whats = Object.keys(OURS)

      const outcomes = await kit.call(
        settings,
        whats.map((what) => ({ task: 'ts:throw', call: `('${what}')` })),
      )

      expect(outcomes.filter(({ isErr, value }) => !isErr || value !== 'None')).toEqual([])
      const seen = outcomes.map(({ error }, i) => [whats[i], error])
      expect(Object.fromEntries(seen)).toEqual(
        Object.fromEntries(Object.entries(OURS).map(([what, [, error]]) => [what, error])),
      )
    })

    it('of ours are seen by us as they were, whoever asked for the task', async () => {
      const [id = ''] = await kit.send(settings, [{ task: 'ts:throw', call: "('causes, three deep')" }])

      const failure = failureOf(await broker.sentTask(id).waitResult(WAIT))

      const { stack, cause, ...facts } = failure
      expect(facts).toEqual({ name: 'RangeError', message: '1', args: ['1'], module: 'javascript' })
      expect(stack).toContain('errors.test.ts')
      expect([cause?.name, cause?.cause?.name]).toEqual(['NamedError', 'SyntaxError'])
      expect(await kit.formatOf(id)).toBe(ours)
    })

    it('of Python are thrown as data', async () => {
      const sent = await broker.externalTask('py:run', { queue: python }).kiq("raise ValueError('outer', 7)")

      const error: unknown = await sent.result(WAIT).catch((thrown: unknown) => thrown)

      expect(error).toBeInstanceOf(TaskError)
      expect(error).toMatchObject({
        code: 'KIQ_TASK_FAILED',
        message: `Task ${sent.taskId} failed: ValueError: outer, 7`,
        failure: builtin('ValueError', ['outer', 7]),
      })
    })
  })
})
