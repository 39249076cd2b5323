import { expect } from 'vitest'

import { KiqError } from '../../contract/index.ts'
import type { Body, Formatter, MaybePromise, TaskMessage } from '../../contract/index.ts'
import { bytesOf } from './bytes.ts'
import { deepFreeze } from './freeze.ts'
import type { Contract, Subject } from './suite.ts'
import { describeContract } from './suite.ts'

/** How to exercise one formatter of Taskiq's message format; see {@link describeFormatter}. */
export interface FormatterSubject extends Subject {
  readonly create: () => MaybePromise<Formatter>
  /**
   * Writes a value in the format that the formatter's serializer reads.
   *
   * @defaultValue JSON text
   */
  readonly encode?: ((value: unknown) => Body) | undefined
}

interface FormatterRig {
  readonly formatter: Formatter
  readonly encode: (value: unknown) => Body
}

/** Registers the formatter contract, and Taskiq's rules for messages, as vitest cases. */
export function describeFormatter(subject: FormatterSubject): void {
  describeContract<FormatterRig>(subject, {
    open: async () => ({ formatter: await subject.create(), encode: subject.encode ?? JSON.stringify }),
    register: (contract) => {
      registerRoundTrips(contract)
      registerLabels(contract)
      registerReading(contract)
      registerBroken(contract)
      registerUnsendable(contract)
    },
  })
}

const MESSAGE: TaskMessage = deepFreeze({
  taskId: 'id-1',
  taskName: 'app.tasks:add',
  labels: { queue_name: 'low' },
  args: [1, 'two', null, true, -0.5, [3, { four: [] }], 'héllo 😀', ''],
  kwargs: { name: 'ä', nested: { list: [1, { deep: 'yes' }] }, none: null, '': 'empty key' },
})

/** A message as Python writes it, decoded from its serializer. */
const WIRE: Readonly<Record<string, unknown>> = deepFreeze({
  task_id: 'id-1',
  task_name: 'app.tasks:add',
  labels: {},
  labels_types: {},
  args: [1, 'two'],
  kwargs: { c: 3 },
})

const BARE: TaskMessage = { taskId: 'id', taskName: 'name', labels: {}, args: [], kwargs: {} }

const LABELS: Readonly<Record<string, readonly unknown[]>> = {
  'a text label': ['text', '', '5', 'True', 'héllo 😀', 'a,b "c"'],
  'a boolean label': [true, false],
  'an integer label': [0, 5, -5, 2 ** 31, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER],
  'a fraction as label': [0.5, -0.1, 1e-7, 1e21, -1e300, 2 ** 53],
  'a bigint label': [2n ** 60n + 1n, -(2n ** 70n)],
  'a bytes label': [Uint8Array.of(), Uint8Array.of(0), Uint8Array.from({ length: 256 }, (_, index) => index)],
}

const BROKEN: Readonly<Record<string, unknown>> = {
  'an array': [],
  text: 'text',
  'a number': 5,
  null: null,
  'an empty object': {},
  'no task_id': without('task_id'),
  'no task_name': without('task_name'),
  'no labels': without('labels'),
  'no args': without('args'),
  'no kwargs': without('kwargs'),
  'a numeric task_id': { ...WIRE, task_id: 5 },
  'a task_id of null': { ...WIRE, task_id: null },
  'a numeric task_name': { ...WIRE, task_name: 5 },
  'labels that are an array': { ...WIRE, labels: [] },
  'labels that are text': { ...WIRE, labels: 'a' },
  'labels of null': { ...WIRE, labels: null },
  'args that are an object': { ...WIRE, args: {} },
  'args that are text': { ...WIRE, args: 'ab' },
  'args of null': { ...WIRE, args: null },
  'kwargs that are an array': { ...WIRE, kwargs: [] },
  'kwargs of null': { ...WIRE, kwargs: null },
  'labels_types that are an array': { ...WIRE, labels_types: [1] },
  'labels_types that are text': { ...WIRE, labels_types: 'a' },
  'an unknown label type': labelled('5', 7),
  'label type 0': labelled('5', 0),
  'a label type that is no number': labelled('5', 'int'),
  'an integer label without digits': labelled('x', 2),
  'an integer label with a fraction': labelled('1.0', 2),
  'an integer label with an exponent': labelled('1e+21', 2),
  'an empty integer label': labelled('', 2),
  'a float label without digits': labelled('x', 4),
  'a bytes label with broken Base64': labelled('QUI', 6),
}

function registerRoundTrips(contract: Contract<FormatterRig>): void {
  contract('reads a message as written', async ({ formatter }) => {
    expect(formatter.loads(formatter.dumps(MESSAGE).body)).toEqual(MESSAGE)
  })

  contract('reads the least message as written', async ({ formatter }) => {
    expect(formatter.loads(formatter.dumps(BARE).body)).toEqual(BARE)
  })

  contract('reads text also when it comes as bytes', async ({ formatter }) => {
    expect(formatter.loads(bytesOf(formatter.dumps(MESSAGE).body))).toEqual(MESSAGE)
  })

  contract('reads a message with a thousand arguments', async ({ formatter }) => {
    const message = { ...BARE, args: Array.from({ length: 1_000 }, (_, index) => ({ index })) }

    expect(formatter.loads(formatter.dumps(message).body)).toEqual(message)
  })

  contract('takes no prototype from a key of the message', async ({ formatter, encode }) => {
    const wire: unknown = JSON.parse(
      JSON.stringify({ ...WIRE, kwargs: 0, labels: 0 }).replaceAll(':0', ':{"__proto__":{"polluted":"yes"}}'),
    )

    const read = attempt(() => formatter.loads(encode(wire)))

    if (KiqError.is(read)) return
    const { kwargs, labels } = read as TaskMessage
    expect([kwargs['polluted'], labels['polluted'], 'polluted' in {}]).toEqual([undefined, undefined, false])
  })
}

function registerLabels(contract: Contract<FormatterRig>): void {
  for (const [what, values] of Object.entries(LABELS)) {
    contract(`brings ${what} across as it was`, async ({ formatter }) => {
      for (const label of values) {
        const { labels } = formatter.loads(formatter.dumps({ ...BARE, labels: { label } }).body)
        expect(labels['label']).toEqual(label)
        expect(typeof labels['label']).toBe(typeof label)
      }
    })
  }

  contract('brings other labels across as text', async ({ formatter }) => {
    const labels = { list: [1, 'a'], record: { a: 1 }, date: new Date(0) }

    const read = formatter.loads(formatter.dumps({ ...BARE, labels }).body)

    expect(Object.values(read.labels).map((value) => typeof value)).toEqual(['string', 'string', 'string'])
  })

  contract('drops labels that are null or undefined', async ({ formatter }) => {
    const labels = { none: null, missing: undefined, kept: 'yes' }

    const { body, labels: encoded } = formatter.dumps({ ...BARE, labels })

    expect(formatter.loads(body).labels).toEqual({ kept: 'yes' })
    expect(Object.keys(encoded)).toEqual(['kept'])
  })

  contract('brings labels with unusual names across', async ({ formatter }) => {
    const labels = { 'with space': 1, 'ünï 😀': 2, 'X-Taskiq-requeue': '1', '': 'empty' }

    expect(formatter.loads(formatter.dumps({ ...BARE, labels }).body).labels).toEqual(labels)
  })
}

function registerReading(contract: Contract<FormatterRig>): void {
  const read = { taskId: 'id-1', taskName: 'app.tasks:add', labels: {}, args: [1, 'two'], kwargs: { c: 3 } }

  contract('reads what Python writes', async ({ formatter, encode }) => {
    expect(formatter.loads(encode(WIRE))).toEqual(read)
  })

  contract('ignores fields that it does not know', async ({ formatter, encode }) => {
    expect(formatter.loads(encode({ ...WIRE, version: 2, extra: { a: 1 } }))).toEqual(read)
  })

  contract('reads a message without labels_types', async ({ formatter, encode }) => {
    const wire = { ...without('labels_types'), labels: { a: '5', b: 5, c: true } }

    expect(formatter.loads(encode(wire)).labels).toEqual({ a: '5', b: 5, c: true })
  })

  contract('reads a message with labels_types of null', async ({ formatter, encode }) => {
    expect(formatter.loads(encode({ ...WIRE, labels_types: null, labels: { a: '5' } })).labels).toEqual({ a: '5' })
  })

  contract('reads labels of every type that Python writes', async ({ formatter, encode }) => {
    const labels = { any: "[1, 'a']", int: '5', str: '5', float: '2.0', bool: 'True', not: 'False', bytes: 'AP8=' }
    const types = { any: 1, int: 2, str: 3, float: 4, bool: 5, not: 5, bytes: 6 }

    expect(formatter.loads(encode({ ...WIRE, labels, labels_types: types })).labels).toEqual({
      any: "[1, 'a']",
      int: 5,
      str: '5',
      float: 2,
      bool: true,
      not: false,
      bytes: Uint8Array.of(0, 255),
    })
  })

  contract('leaves labels without a type as they are', async ({ formatter, encode }) => {
    const labels = { typed: '1', traceparent: '00-1', _taskiq_queue_time: 1_700_000_000.5, list: [1], none: null }

    const wire = { ...WIRE, labels, labels_types: { typed: 2, absent: 2 } }

    expect(formatter.loads(encode(wire)).labels).toEqual({ ...labels, typed: 1 })
  })

  contract('reads typed labels whose value is decoded already, as a Python requeue sends them', async (rig) => {
    const labels = { int: 1, float: 1.5, bool: true, str: 'a' }
    const wire = { ...WIRE, labels, labels_types: { int: 2, float: 4, bool: 5, str: 3 } }

    expect(rig.formatter.loads(rig.encode(wire)).labels).toEqual(labels)
  })

  contract('reads label types given as digits', async ({ formatter, encode }) => {
    expect(formatter.loads(encode(labelled('5', '2'))).labels).toEqual({ label: 5 })
  })
}

function registerBroken(contract: Contract<FormatterRig>): void {
  contract('rejects bytes that the serializer cannot read', async ({ formatter }) => {
    for (const garbage of [Uint8Array.of(), Uint8Array.of(0xff, 0xfe, 0xfd, 0xc1)]) {
      expectUndecodable(attempt(() => formatter.loads(garbage)))
    }
  })

  contract('rejects a truncated message', async ({ formatter }) => {
    const bytes = bytesOf(formatter.dumps(MESSAGE).body)

    expectUndecodable(attempt(() => formatter.loads(bytes.subarray(0, bytes.length - 1))))
  })

  for (const [what, wire] of Object.entries(BROKEN)) {
    contract(`rejects a message that is or has ${what}`, async ({ formatter, encode }) => {
      expectUndecodable(attempt(() => formatter.loads(encode(wire))))
    })
  }
}

function registerUnsendable(contract: Contract<FormatterRig>): void {
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  const unsendable = { 'a function': () => 1, 'a symbol': Symbol('s'), 'a cycle': cycle }

  for (const [what, value] of Object.entries(unsendable)) {
    contract(`refuses ${what} among the arguments, and says where`, async ({ formatter }) => {
      const inArgs = attempt(() => formatter.dumps({ ...BARE, args: [1, { here: [value] }] }))
      const inKwargs = attempt(() => formatter.dumps({ ...BARE, kwargs: { there: { deeper: value } } }))

      for (const [error, key] of [
        [inArgs, 'here'],
        [inKwargs, 'deeper'],
      ] as const) {
        expect(KiqError.is(error, 'KIQ_ARGUMENTS_UNSERIALIZABLE'), String(error)).toBe(true)
        expect(String(error)).toContain(key)
      }
    })
  }

  contract('refuses a label that cannot travel, and says which', async ({ formatter }) => {
    const error = attempt(() => formatter.dumps({ ...BARE, labels: { callback: () => 1 } }))

    expect(KiqError.is(error, 'KIQ_LABEL_INVALID'), String(error)).toBe(true)
    expect(String(error)).toContain('callback')
  })
}

function expectUndecodable(error: unknown): void {
  expect(KiqError.is(error, 'KIQ_MESSAGE_UNDECODABLE'), `not rejected so, but: ${String(error)}`).toBe(true)
}

function without(field: string): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(WIRE).filter(([key]) => key !== field))
}

function labelled(label: string, type: unknown): Readonly<Record<string, unknown>> {
  return { ...WIRE, labels: { label }, labels_types: { label: type } }
}

/** What `run` gives, or throws. */
function attempt(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}
