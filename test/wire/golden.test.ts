import { readdirSync, readFileSync } from 'node:fs'

import { describe, expect, it } from 'vitest'

import { Broker, JsonSerializer, silentLogger, TaskiqFormatter, Worker } from '../../src/index.ts'
import type { Labels, TaskResult } from '../../src/index.ts'
import { decodeProgress, decodeResult, encodeProgress, encodeResult } from '../../src/core/result-codec.ts'
import { isPickle, PickleSerializer } from '../../src/serializers/pickle.ts'
import { until } from '../../src/testing/until.ts'
import { FakeResults } from '../support/fake-results.ts'
import { FakeTransport } from '../support/fake-transport.ts'

const folder = new URL('../fixtures/golden/', import.meta.url)
const json = new JsonSerializer()
const pickle = new PickleSerializer()
const formatter = new TaskiqFormatter(json)

interface Wire {
  readonly task_id: string
  readonly task_name: string
  readonly labels: Record<string, unknown>
  readonly labels_types: Record<string, unknown>
  readonly args: unknown[]
  readonly kwargs: Record<string, unknown>
}

interface Vector {
  readonly case: string
  readonly task_id: string
  readonly message_raw: string
  readonly result_raw: string | null
}

/** One call as Python made it, in our words. */
interface Call {
  readonly task: string
  readonly args?: readonly unknown[]
  readonly kwargs?: Record<string, unknown>
  readonly labels?: Labels
}

interface Case extends Call {
  /** What our worker sees, where that is not what Python's caller wrote. */
  readonly received?: Partial<Call>
  /** Why our message cannot be the recorded one, and the fields in which it is another. */
  readonly differs?: { readonly reason: string; readonly message: Partial<Wire> }
  /** Why the recorded result is not decoded and encoded, or not what our worker stores. */
  readonly result?: { readonly reason: string; readonly stored: Record<string, unknown> }
}

const text = 'héllo 世界 😀 \u2028 \x00 \x7f " \\ /'
const nested = { a: { b: { c: [1, { d: null }] } }, '': 0, é: 1 }

/** File of the vector → the call. */
const CASES: Readonly<Record<string, Case>> = {
  add_ints: { task: 'add', args: [1, 2] },
  add_kwargs: { task: 'add', kwargs: { a: 1, b: 2 } },
  add_missing_arg: { task: 'add', args: [1] },
  add_mixed: { task: 'add', args: [1], kwargs: { b: 2 } },
  add_wrong_type: { task: 'add', args: ['x', null] },
  fail: { task: 'fail' },
  fail_cause: { task: 'fail_cause' },
  fail_custom: { task: 'fail_custom' },
  fail_nested: { task: 'fail_nested' },
  kwargs_all: {
    task: 'echo',
    args: [1, 'two', 3.5, null, true, [1]],
    kwargs: { key: 'v', nested: { a: [1, { b: null }] }, flag: false, nothing: null },
  },
  label_bool_true: { task: 'one', args: [1], labels: { lab: true } },
  label_bytes: {
    task: 'one',
    args: [1],
    labels: { lab: new Uint8Array([0, 1, 255]) },
    result: {
      reason: 'Python cannot store bytes that are not UTF-8 and loses the result; ours has the Base64 text',
      stored: { return_value: 1, labels: { lab: 'AAH/' } },
    },
  },
  label_float: { task: 'one', args: [1], labels: { lab: 2.5 } },
  label_float_exp: { task: 'one', args: [1], labels: { lab: 1e21 } },
  label_int: { task: 'one', args: [1], labels: { lab: 7 } },
  label_list: {
    task: 'one',
    args: [1],
    labels: { lab: [1, 'a'] },
    received: { labels: { lab: "[1, 'a']" } },
    differs: { reason: 'a list has no text but that of its language', message: { labels: { lab: '[1,"a"]' } } },
  },
  label_none: {
    task: 'one',
    args: [1],
    labels: { lab: null },
    received: { labels: { lab: 'None' } },
    differs: { reason: 'null labels are not sent', message: { labels: {}, labels_types: {} } },
  },
  label_str: { task: 'one', args: [1], labels: { lab: 's' } },
  labels_from_decorator: {
    task: 'labelled',
    args: [1],
    labels: {
      an_int: 1,
      a_float: 1.5,
      a_str: 'x',
      a_bool: true,
      a_bytes: new Uint8Array([0, 255, 104, 105]),
      a_list: [1, 2],
      a_none: null,
      a_dict: { k: 1 },
    },
    received: {
      labels: {
        an_int: 1,
        a_float: 1.5,
        a_str: 'x',
        a_bool: true,
        a_bytes: new Uint8Array([0, 255, 104, 105]),
        a_list: '[1, 2]',
        a_none: 'None',
        a_dict: "{'k': 1}",
      },
    },
    differs: {
      reason: 'lists and dicts have no text but that of their language; null labels are not sent',
      message: {
        labels: {
          an_int: '1',
          a_float: '1.5',
          a_str: 'x',
          a_bool: 'True',
          a_bytes: 'AP9oaQ==',
          a_list: '[1,2]',
          a_dict: '{"k":1}',
        },
        labels_types: { an_int: 2, a_float: 4, a_str: 3, a_bool: 5, a_bytes: 6, a_list: 1, a_dict: 1 },
      },
    },
    result: {
      reason: 'Python cannot store bytes that are not UTF-8 and loses the result; ours has the Base64 text',
      stored: {
        return_value: 1,
        labels: {
          an_int: 1,
          a_float: 1.5,
          a_str: 'x',
          a_bool: true,
          a_bytes: 'AP9oaQ==',
          a_list: '[1, 2]',
          a_none: 'None',
          a_dict: "{'k': 1}",
        },
      },
    },
  },
  labels_queue_name_other: {
    task: 'one',
    args: [1],
    labels: { priority: 5, retry_on_error: true, max_retries: 3, delay: 1.5, schedule_id: 'abc' },
  },
  no_args: { task: 'echo' },
  one_bytes_utf8: { task: 'one', args: [new TextEncoder().encode('abc')], received: { args: ['abc'] } },
  one_datetime_utc: {
    task: 'one',
    args: [new Date('2026-01-02T03:04:05Z')],
    received: { args: ['2026-01-02T03:04:05Z'] },
    differs: {
      reason: 'a Date has milliseconds; the instant is the same',
      message: { args: ['2026-01-02T03:04:05.000Z'] },
    },
  },
  one_dict_nested: { task: 'one', args: [nested] },
  one_false: { task: 'one', args: [false] },
  // JavaScript has one kind of number: 1.0 is 1, and is compared as a number.
  one_float_1: { task: 'one', args: [1] },
  one_float_frac: { task: 'one', args: [0.1] },
  one_int_0: { task: 'one', args: [0] },
  one_int_big: { task: 'one', args: [9007199254740993n] },
  one_int_neg: { task: 'one', args: [-5] },
  one_list_nested: { task: 'one', args: [[1, [2, [3, [null, true, 'x', 1.5]]], []]] },
  one_nan: { task: 'one', args: [NaN], received: { args: [null] } },
  one_none: { task: 'one', args: [null] },
  // JavaScript has no such class; a plain object is what a model becomes.
  one_pydantic_model: { task: 'one', args: [{ x: 1, y: 'd' }] },
  one_string: { task: 'one', args: ['hello'] },
  one_string_unicode: { task: 'one', args: [text] },
  // JavaScript has neither durations nor UUIDs of its own; their texts are what Python's become.
  one_timedelta: { task: 'one', args: ['PT1M30.5S'] },
  one_uuid: { task: 'one', args: ['00000000-0000-0000-0000-000000000001'] },
  unknown_task: { task: 'no_such_task', args: [1] },
}

const files = readdirSync(folder)
  .filter((file) => !file.startsWith('_') && file.endsWith('.json'))
  .map((file) => file.replace('.json', ''))

function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as T
}

function caseOf(file: string): Case {
  const found = CASES[file]
  if (found === undefined) throw new Error(`The vector ${file} has no call here. Add it to CASES.`)
  return found
}

/** The message our producer makes of a call. */
async function produce({ task, args = [], kwargs = {}, labels = {} }: Call, taskId: string): Promise<Wire> {
  const transport = new FakeTransport()
  const broker = new Broker(transport)
  await broker.startup()
  await broker
    .externalTask(task, { labels })
    .kicker()
    .withTaskId(taskId)
    .withKwargs(kwargs)
    .kiq(...args)
  await broker.shutdown()
  return json.loadb(transport.sent[0]?.body ?? '') as Wire
}

describe('golden vectors', () => {
  it('are all known here, and none is missing', () => {
    expect(files.toSorted()).toEqual(Object.keys(CASES).toSorted())
  })
})

describe.each(files)('golden vector %s', (file) => {
  const vector = readFixture<Vector>(file)
  const call = caseOf(file)

  it('is read as the call it is', () => {
    expect(formatter.loads(vector.message_raw)).toEqual({
      taskId: vector.task_id,
      taskName: call.task,
      labels: call.received?.labels ?? call.labels ?? {},
      args: call.received?.args ?? call.args ?? [],
      kwargs: call.kwargs ?? {},
    })
  })

  it('is read from bytes as well', () => {
    expect(formatter.loads(Buffer.from(vector.message_raw))).toEqual(formatter.loads(vector.message_raw))
  })

  const title = call.differs ? `is what we send, but: ${call.differs.reason}` : 'is what we send'
  it(title, async () => {
    const recorded = json.loadb(vector.message_raw) as Wire

    expect(await produce(call, vector.task_id)).toEqual({ ...recorded, ...call.differs?.message })
  })

  const raw = vector.result_raw
  // Python stored none for an unknown task, and for labels of bytes that it could not write.
  if (raw === null) return
  it('has a result that is decoded and encoded again', () => {
    const recorded = json.loadb(raw) as Record<string, unknown>
    const result = decodeResult(raw, json, vector.task_id)

    expect(withoutOwnKeys(json.loadb(encodeResult(result, json)))).toEqual(recorded)
    expect(withoutOwnKeys(pickle.loadb(encodeResult(result, pickle)))).toEqual(recorded)
  })
})

describe('our worker', () => {
  /** The tasks of the recording, for what needs no Python. */
  const broker = (transport: FakeTransport, results: FakeResults): Broker => {
    const made = new Broker(transport, { resultBackend: results, logger: silentLogger })
    made.task('add', (a: number, b: number) => a + b, { params: ['a', 'b'] })
    made.task('one', (value: unknown) => value)
    made.task('labelled', (value: unknown) => value)
    // Keywords beside positions are Python's alone: a record has no positions, and positions have names.
    made.task('echo', (...args: unknown[]) => ({ args, kwargs: {} }))
    return made
  }
  const succeeding = files.filter((file) => {
    const { result_raw: raw } = readFixture<Vector>(file)
    return file !== 'kwargs_all' && (raw?.includes('"is_err": false') || caseOf(file).result !== undefined)
  })

  it.each(succeeding)('stores for %s what Python stored', async (file) => {
    const vector = readFixture<Vector>(file)
    const transport = new FakeTransport()
    const results = new FakeResults()
    const worker = new Worker(broker(transport, results))
    await worker.start()

    transport.deliver(vector.message_raw)
    await until(() => transport.settled.length > 0, { timeoutMs: 5_000 })
    await worker.stop()

    const expected = caseOf(file).result?.stored ?? (json.loadb(vector.result_raw ?? 'null') as Record<string, unknown>)
    const stored = json.loadb(results.saved[0]?.body ?? 'null')
    expect(stored).toEqual({
      is_err: false,
      log: null,
      error: null,
      ...expected,
      execution_time: expect.any(Number) as number,
    })
    expect(transport.settled).toEqual([`ack ${vector.task_id}`])
  })

  it.each([
    ['add_missing_arg', 'NaN is no JSON number', { is_err: false, return_value: null }],
    ['add_wrong_type', 'JavaScript adds text and null', { is_err: false, return_value: 'xnull' }],
  ])('stores for %s something else, as %s', async (file, _why, stored) => {
    const transport = new FakeTransport()
    const results = new FakeResults()
    const worker = new Worker(broker(transport, results))
    await worker.start()

    transport.deliver(readFixture<Vector>(file).message_raw)
    await until(() => transport.settled.length > 0, { timeoutMs: 5_000 })
    await worker.stop()

    expect(json.loadb(results.saved[0]?.body ?? 'null')).toMatchObject(stored)
  })
})

describe('failures of Python', () => {
  const failureOf = (file: string): TaskResult => decodeResult(readFixture<Vector>(file).result_raw ?? '', json, 'id')

  it('are read with their arguments', () => {
    expect(failureOf('fail_custom')).toEqual({
      isErr: true,
      executionTime: 0,
      labels: {},
      error: {
        name: 'CustomError',
        message: `custom, 42, {"k":[1,null]}, <class 'object'>`,
        args: ['custom', 42, { k: [1, null] }, "<class 'object'>"],
        module: 'broker',
      },
    })
  })

  it('are read with all their causes', () => {
    expect(failureOf('fail_nested')).toMatchObject({
      error: {
        name: 'RuntimeError',
        message: 'top',
        cause: {
          name: 'CustomError',
          message: 'middle',
          cause: { name: 'FileNotFoundError', message: '2, No such file', args: [2, 'No such file'] },
        },
      },
    })
  })
})

describe('other recordings', () => {
  it('of the JSON formatter are read', () => {
    const recorded = readFixture<Record<string, string>>('_json_formatter')

    expect(formatter.loads(recorded['JSONFormatter.dumps.message'] ?? '')).toEqual({
      taskId: 'tid',
      taskName: 'mod:fn',
      labels: { a: 1 },
      args: [1, 1, 'é', null, true, [1], { k: 'v' }],
      kwargs: { x: 1 },
    })
    expect(formatter.loads(recorded['no_label_types'] ?? '')).toEqual({
      taskId: 'tid',
      taskName: 'mod:fn',
      labels: {},
      args: [],
      kwargs: {},
    })
  })

  it('of the in-memory broker are read', () => {
    const recorded = readFixture<{ kicked: { message: string }[]; result_json: object }>('_inmemory')

    expect(formatter.loads(recorded.kicked[0]?.message ?? '')).toMatchObject({ labels: { lab: 1 }, args: ['2'] })
    expect(decodeResult(JSON.stringify(recorded.result_json), json, 'id')).toEqual({
      isErr: false,
      returnValue: 3,
      executionTime: 0,
      labels: { lab: 1 },
    })
  })

  it('of lists and channels are read', () => {
    const recorded = readFixture<{
      list_and_other: Record<string, { value: string[] }>
      pubsub_payload: string
    }>('_list_pubsub_brokers')
    const payloads = [...Object.values(recorded.list_and_other).flatMap(({ value }) => value), recorded.pubsub_payload]

    expect(payloads.map((payload) => formatter.loads(payload))).toMatchObject([
      { taskName: 'add', labels: {}, args: [1], kwargs: { b: 2 } },
      { taskName: 'add', labels: { queue_name: 'otherq' }, args: [3, 4], kwargs: {} },
      { taskName: 'add', labels: {}, args: [1], kwargs: { b: 2 } },
    ])
  })

  it('of results and progress are read, and written alike', () => {
    const recorded = readFixture<{ json_serializer: Record<string, { value: string }> }>(
      '_results_progress_serializers',
    ).json_serializer
    const result = decodeResult(recorded['pfx:tid1']?.value ?? '', json, 'tid1')
    const progress = decodeProgress(recorded['pfx:tid1__progress']?.value ?? '', json, 'tid1')
    const custom = decodeProgress(recorded['pfx:tid2__progress']?.value ?? '', json, 'tid2')

    expect(result).toEqual({ isErr: false, returnValue: { x: 1 }, executionTime: 0.12, labels: { a: 1 } })
    expect(progress).toEqual({ state: 'STARTED', meta: { pct: 50 } })
    expect(custom).toEqual({ state: 'custom', meta: undefined })
    expect(json.loadb(encodeResult(result, json))).toEqual(json.loadb(recorded['pfx:tid1']?.value ?? ''))
    expect(json.loadb(encodeProgress(progress, json))).toEqual({ state: 'STARTED', meta: { pct: 50 } })
    expect(json.loadb(encodeProgress(custom, json))).toEqual({ state: 'custom', meta: null })
  })

  const { default_serializer_is_pickle_base64: pickledResult, pickle: pickled } = readFixture<{
    default_serializer_is_pickle_base64: string
    pickle: { message_hex: string }
  }>('_results_progress_serializers')

  it('of a result in pickle is read, and written with the same content', () => {
    const body = Buffer.from(pickledResult, 'base64')
    const result = decodeResult(body, pickle, 'id')

    expect(isPickle(body)).toBe(true)
    expect(result).toEqual({ isErr: false, returnValue: { x: 1 }, executionTime: 0.12, labels: { a: 1 } })
    expect(pickle.loadb(encodeResult(result, pickle))).toEqual(pickle.loadb(body))
  })

  it('of a message in pickle is read, and written with the same content', () => {
    const body = Buffer.from(pickled.message_hex, 'hex')
    const inPickle = new TaskiqFormatter(pickle)
    const message = inPickle.loads(body)

    expect(message).toEqual({
      taskId: 'tid',
      taskName: 'add',
      labels: { n: 1 },
      args: [1, 2.5, 'é', null, true],
      kwargs: { k: [1] },
    })
    expect(pickle.loadb(inPickle.dumps(message).body)).toEqual(pickle.loadb(body))
  })

  it('of a result in pickle is refused with the reason by who expects JSON', () => {
    const body = Buffer.from(pickledResult, 'base64')

    expect(() => decodeResult(body, json, 'id')).toThrow(expect.objectContaining({ code: 'KIQ_RESULT_UNREADABLE' }))
  })
})

/** Without the keys that only we write into errors. */
function withoutOwnKeys(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const entries = Object.entries(value)
    .filter(([key]) => !('exc_type' in value) || !['name', 'stack', 'code'].includes(key))
    .map(([key, item]): [string, unknown] => [key, withoutOwnKeys(item)])
  return Object.fromEntries(entries)
}
