import { inspect } from 'node:util'

import { beforeAll, describe, expect, it } from 'vitest'

import type { RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import { until } from '../../src/testing/until.ts'
import { context } from '../../src/index.ts'
import type { PythonWorker } from '../support/python.ts'
import { failureOf, interop, SOON, WAIT } from './kit.ts'

const TEXT = Buffer.from('bytes: ü')

/** Labels of ours, what Python's task sees, and what we see in its result. */
const OURS: Readonly<Record<string, readonly [value: unknown, repr: string, result: unknown]>> = {
  int: [5, '5', 5],
  big: [2n ** 70n, '1180591620717411303424', 2n ** 70n],
  float: [2.5, '2.5', 2.5],
  whole: [2.0, '2', 2],
  large: [2 ** 60, '1.152921504606847e+18', 2 ** 60],
  exponent: [1e21, '1e+21', 1e21],
  nan: [NaN, 'nan', null],
  infinity: [-Infinity, '-inf', null],
  yes: [true, 'True', true],
  no: [false, 'False', false],
  text: ['é 😀 True', "'é 😀 True'", 'é 😀 True'],
  empty: ['', "''", ''],
  bytes: [TEXT, String.raw`b'bytes: \xc3\xbc'`, 'bytes: ü'],
  date: [new Date(0), "'1970-01-01T00:00:00.000Z'", '1970-01-01T00:00:00.000Z'],
  list: [[1, 'a'], `'[1,"a"]'`, '[1,"a"]'],
  object: [{ a: 1 }, `'{"a":1}'`, '{"a":1}'],
}

/** Labels of Python, what our task sees, and Python's `repr` of what it sees in the result. */
const PYTHONS: Readonly<Record<string, readonly [expression: string, value: unknown, result: string]>> = {
  int: ['5', 5, '5'],
  big: ['2**70', 2n ** 70n, '1180591620717411303424'],
  float: ['2.5', 2.5, '2.5'],
  whole: ['2.0', 2, '2'],
  exponent: ['1e20', 1e20, '1e+20'],
  nan: ["float('nan')", NaN, 'None'],
  infinity: ["-float('inf')", -Infinity, 'None'],
  yes: ['True', true, 'True'],
  no: ['False', false, 'False'],
  text: ["'é 😀 True'", 'é 😀 True', "'é 😀 True'"],
  empty: ["''", '', "''"],
  bytes: [String.raw`b'\x00\xff'`, new Uint8Array([0, 255]), "'AP8='"],
  none: ['None', 'None', "'None'"],
  list: ["[1, 'a']", "[1, 'a']", `"[1, 'a']"`],
  dict: ["{'a': None}", "{'a': None}", `"{'a': None}"`],
  date: ['date(2025, 1, 1)', '2025-01-01', "'2025-01-01'"],
  enum: ['Color.RED', 'Color.RED', "'Color.RED'"],
}

interop('labels', (kit) => {
  let python: string
  let kiq: string
  let broker: RedisStreamBroker
  let worker: PythonWorker
  beforeAll(async () => {
    python = kit.queue()
    kiq = kit.queue()
    worker = await kit.python({ queue: python })
    broker = await kit.broker({ queue: kiq })
    broker.task('ts:labels', () => inspect(context().labels))
    broker.task('ts:sleep', async () => {
      const { signal } = context()
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    })
    await kit.work(broker)
  })

  it('of every type arrive in Python, and come back with the result', async () => {
    const labels = Object.fromEntries(Object.entries(OURS).map(([name, [value]]) => [name, value]))
    const task = broker.externalTask<[], string>('py:labels', { queue: python })

    const sent = await task
      .kicker()
      .withLabels({ ...labels, nothing: null, neither: undefined })
      .kiq()

    const result = await sent.waitResult(WAIT)
    const shown = Object.entries(OURS).map(([name, [, repr]]) => `'${name}': ${repr}`)
    expect(result).toMatchObject({ returnValue: `{'queue_name': '${python}', ${shown.join(', ')}}` })
    const results = Object.entries(OURS).map(([name, [, , value]]) => [name, value])
    expect(result.labels).toEqual({ queue_name: python, ...Object.fromEntries(results) })
  })

  it('of every type arrive from Python, and come back with the result', async () => {
    const labels = Object.entries(PYTHONS).map(([name, [expression]]) => `'${name}': ${expression}`)

    const [outcome] = await kit.call({ queue: kiq }, [
      { task: 'ts:labels', call: '()', labels: `{${labels.join(', ')}}` },
    ])

    const seen = Object.fromEntries(Object.entries(PYTHONS).map(([name, [, value]]) => [name, value]))
    const results = Object.entries(PYTHONS).map(([name, [, , repr]]) => `'${name}': ${repr}`)
    expect(outcome).toMatchObject({ isErr: false, labels: `{${results.join(', ')}}` })
    expect(await broker.sentTask(outcome?.taskId ?? '').result(WAIT)).toBe(inspect(seen))
  })

  it('with bytes that are no text leave a task of Python without a result', async () => {
    const bytes = Buffer.from([255])
    const task = broker.externalTask('py:labels', { queue: python })

    const sent = await task.kicker().withLabels({ bytes }).kiq()

    await until(() => worker.output.includes("Can't set result in result backend"), SOON)
    expect(await sent.isReady()).toBe(false)
  })

  describe('that mean something', () => {
    it('end a task of Python after our timeout', async () => {
      const sleep = broker.externalTask('py:sleep', { queue: python })

      const sent = await sleep.kicker().withTimeout('100ms').kiq(30)

      const result = await sent.waitResult(WAIT)
      const context = { name: 'CancelledError', module: 'asyncio.exceptions' }
      expect(failureOf(result)).toMatchObject({ name: 'TimeoutError', args: [], module: 'builtins', context })
      expect(result.labels).toMatchObject({ timeout: 0.1 })
    })

    it.each(['0.1', "'0.1'"])("end a task of ours after Python's timeout of %s", async (timeout) => {
      const [outcome] = await kit.call({ queue: kiq }, [
        { task: 'ts:sleep', call: '()', labels: `{'timeout': ${timeout}}` },
      ])

      expect(outcome?.error).toMatchObject({ type: 'builtins.TimeoutError' })
      expect(outcome?.error?.args).toContain('ran longer than its timeout of 0.1 s')
      const result = await broker.sentTask(outcome?.taskId ?? '').waitResult(WAIT)
      expect(failureOf(result)).toMatchObject({ name: 'TimeoutError', code: 'KIQ_TASK_TIMED_OUT' })
    })

    it("choose the queue of Python's worker", async () => {
      const other = kit.queue()
      const show = broker.externalTask<[number], string>('py:show')
      // Nobody knows that queue before.
      const sent = await show.kicker().withQueue(other).kiq(1)
      await kit.python({ queue: other })

      expect(await sent.result(WAIT)).toBe('((1,), {})')
      expect(await kit.depth(kiq)).toEqual({ length: 0, pending: 0 })
    })

    it('choose the queue of our worker', async () => {
      const other = kit.queue()
      const elsewhere = await kit.broker({ queue: other })
      elsewhere.task('ts:where', () => 'elsewhere')
      const [id = ''] = await kit.send({ queue: kiq }, [
        { task: 'ts:where', call: '()', labels: `{'queue_name': '${other}'}` },
      ])

      await kit.work(elsewhere)

      expect(await elsewhere.sentTask(id).result(WAIT)).toBe('elsewhere')
      expect(await kit.depth(kiq)).toEqual({ length: 0, pending: 0 })
    })

    it('choose a queue that our broker does not name', async () => {
      const other = kit.queue()
      const serving = await kit.broker({ queue: kit.queue() })
      serving.task('ts:own', () => 'own', { queue: other })
      await kit.work(serving)

      const outcomes = await kit.call({ queue: kiq }, [
        { task: 'ts:own', call: '()', labels: `{'queue_name': '${other}'}` },
      ])

      expect(outcomes).toMatchObject([{ value: "'own'" }])
    })
  })
})

interop('progress', (kit) => {
  describe.each([
    { results: 'json', ours: 'json' },
    { results: 'default', ours: 'pickle' },
    { results: 'default', ours: 'auto' },
  ] as const)('as $ours, for Python with $results', ({ results, ours }) => {
    it('of a task of Python is read by us', async () => {
      const queue = kit.queue()
      await kit.python({ queue, results })
      const broker = await kit.broker({ queue, results: ours })
      const task = broker.externalTask<[string], string>('py:progress')

      const sent = await task.kiq("[('STARTED', {'done': 0.5, 'of': 2**60, 'what': 'é 😀'}), ('nearly', None)]")

      expect(await sent.result(WAIT)).toBe(`('nearly', {'done': 0.5, 'of': 1152921504606846976, 'what': 'é 😀'})`)
      const meta = { done: 0.5, of: 2n ** 60n, what: 'é 😀' }
      expect(await sent.getProgress()).toEqual({ state: 'nearly', meta })
      const silent = await task.kiq('[]')
      expect(await silent.result(WAIT)).toBe('None')
      expect(await silent.getProgress()).toBeUndefined()
    })

    it('of a task of ours is read by Python', async () => {
      const queue = kit.queue()
      const broker = await kit.broker({ queue, results: ours })
      broker.task('ts:progress', async (steps: readonly (readonly [state: string, meta?: unknown])[]) => {
        const { progress } = context()
        for (const [state, meta] of steps) await progress.set(state, meta)
        return await progress.get()
      })
      await kit.work(broker)

      const outcomes = await kit.call({ queue, results }, [
        { task: 'ts:progress', call: "([['STARTED', {'done': 0.5, 'of': 2**60}], ['nearly']])" },
        { task: 'ts:progress', call: "([['SUCCESS', [None, True, 'é']]])" },
        { task: 'ts:progress', call: "([['alone']])" },
        { task: 'ts:progress', call: '([])' },
      ])

      expect(outcomes.map(({ progress }) => progress)).toEqual([
        "('nearly', {'done': 0.5, 'of': 1152921504606846976})",
        "('SUCCESS', [None, True, 'é'])",
        "('alone', None)",
        'None',
      ])
      expect(outcomes[0]?.value).toBe("{'state': 'nearly', 'meta': {'done': 0.5, 'of': 1152921504606846976}}")
    })
  })
})
