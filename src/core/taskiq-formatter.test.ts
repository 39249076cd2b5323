import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { Serializer, TaskMessage } from '../contract/index.ts'
import { JsonSerializer } from '../serializers/json-serializer.ts'
import { TaskiqFormatter } from './taskiq-formatter.ts'

const formatter = new TaskiqFormatter(new JsonSerializer())

const message = (change: Partial<TaskMessage> = {}): TaskMessage => ({
  taskId: 'id',
  taskName: 'name',
  labels: {},
  args: [],
  kwargs: {},
  ...change,
})

const parse = (change: Partial<TaskMessage>): unknown => JSON.parse(formatter.dumps(message(change)).body as string)

describe('TaskiqFormatter', () => {
  it('writes the fields of Taskiq, and nothing else', () => {
    const change = { labels: { a: 1, b: 'x' }, args: [1, 'two', null], kwargs: { k: [true] } }

    expect(parse(change)).toEqual({
      task_id: 'id',
      task_name: 'name',
      labels: { a: '1', b: 'x' },
      labels_types: { a: 2, b: 3 },
      args: [1, 'two', null],
      kwargs: { k: [true] },
    })
  })

  it('writes labels_types also without labels', () => {
    expect(parse({})).toMatchObject({ labels: {}, labels_types: {} })
  })

  it('leaves null labels out', () => {
    expect(parse({ labels: { timeout: null, queue_name: undefined } })).toMatchObject({ labels: {}, labels_types: {} })
  })

  it('hands out the labels as encoded', () => {
    expect(formatter.dumps(message({ labels: { flag: true, n: 1.5, gone: null } })).labels).toEqual({
      flag: 'True',
      n: '1.5',
    })
  })

  it('reduces arguments to plain data', () => {
    expect(parse({ args: [new Date(0), new Set([1])], kwargs: { gone: undefined, m: new Map([['a', NaN]]) } })).toEqual(
      {
        task_id: 'id',
        task_name: 'name',
        labels: {},
        labels_types: {},
        args: ['1970-01-01T00:00:00.000Z', [1]],
        kwargs: { m: { a: null } },
      },
    )
  })

  it('names the path of an argument that cannot travel', () => {
    expect(() => formatter.dumps(message({ args: [1, { cb: () => {} }] }))).toThrow(
      expect.objectContaining({
        name: 'MessageError',
        code: 'KIQ_ARGUMENTS_UNSERIALIZABLE',
        message: expect.stringContaining('`args[1].cb`') as string,
      }),
    )
    expect(() => formatter.dumps(message({ kwargs: { a: { b: Symbol('x') } } }))).toThrow('`kwargs.a.b`')
  })

  it('says which label cannot travel', () => {
    expect(() => formatter.dumps(message({ labels: { bad: () => {} } }))).toThrow(
      expect.objectContaining({ code: 'KIQ_LABEL_INVALID', message: expect.stringContaining('"bad"') as string }),
    )
  })

  it('names task and serializer when the serializer refuses', () => {
    const refusing: Serializer = {
      name: 'refusing',
      dumpb: () => {
        throw new RangeError('too large')
      },
      loadb: () => undefined,
    }

    expect(() => new TaskiqFormatter(refusing).dumps(message())).toThrow(
      expect.objectContaining({
        code: 'KIQ_ARGUMENTS_UNSERIALIZABLE',
        message: expect.stringContaining('"name" do not fit the serializer "refusing": too large') as string,
        cause: expect.any(RangeError) as RangeError,
      }),
    )
  })

  it.each([
    ['the least Python accepts', '{"task_id":"a","task_name":"b","labels":{},"args":[],"kwargs":{}}', {}],
    [
      'types that are null',
      '{"task_id":"a","task_name":"b","labels":{"n":"1"},"labels_types":null,"args":[],"kwargs":{}}',
      { n: '1' },
    ],
    [
      'labels that are no text',
      '{"task_id":"a","task_name":"b","labels":{"t":1.5,"l":[1],"n":null},"labels_types":{},"args":[],"kwargs":{}}',
      { t: 1.5, l: [1], n: null },
    ],
    [
      'types without labels',
      '{"task_id":"a","task_name":"b","labels":{},"labels_types":{"gone":2},"args":[],"kwargs":{}}',
      {},
    ],
    ['fields it does not know', '{"task_id":"a","task_name":"b","labels":{},"args":[],"kwargs":{},"v":9}', {}],
  ])('reads %s', (_what, body, labels) => {
    expect(formatter.loads(body)).toEqual({ taskId: 'a', taskName: 'b', labels, args: [], kwargs: {} })
  })

  it.each([
    ['text', (text: string) => text],
    ['bytes', (text: string) => Buffer.from(text)],
  ])('writes the retry of a message from Python as Python does, which came as %s', (_what, body) => {
    const request = '{"task_id": "a", "task_name": "b", "labels": {}, "labels_types": {}, "args": [1], "kwargs": {}}'
    const received = formatter.loads(body(request))

    const retry = formatter.dumps({ ...received, labels: { _retries: 1 } }).body as string

    expect(retry).toMatch(/^\{"task_id": "a",/)
    expect(formatter.loads(retry)).toEqual({ ...received, labels: { _retries: 1 } })
    const ours = formatter.dumps(message({ args: [1] })).body as string
    expect(ours).toMatch(/^\{"task_id":"id",/)
    expect(formatter.dumps({ ...formatter.loads(ours), labels: {} }).body).toBe(ours)
  })

  it('reads bytes', () => {
    const body = new TextEncoder().encode('{"task_id":"é","task_name":"b","labels":{},"args":["世"],"kwargs":{}}')

    expect(formatter.loads(body)).toEqual(message({ taskId: 'é', taskName: 'b', args: ['世'] }))
  })

  const valid = { task_id: 'a', task_name: 'b', labels: {}, labels_types: {}, args: [], kwargs: {} }
  const without = (field: string): object => Object.fromEntries(Object.entries(valid).filter(([key]) => key !== field))

  it.each([
    ['no JSON', 'nope', 'it is not json'],
    ['no text', new Uint8Array([0xff, 0xfe]), 'it is not json'],
    ['nothing', '', 'it is not json'],
    ['a list', '[]', 'it is not an object'],
    ['null', 'null', 'it is not an object'],
    ['a text', '"x"', 'it is not an object'],
    ['no task_id', without('task_id'), '`task_id` is missing'],
    ['a task_id that is a number', { ...valid, task_id: 5 }, '`task_id` is a number'],
    ['no task_name', without('task_name'), '`task_name` is missing'],
    ['a task_name that is null', { ...valid, task_name: null }, '`task_name` is null'],
    ['no labels', without('labels'), '`labels` is missing'],
    ['labels that are a list', { ...valid, labels: [] }, '`labels` is an array'],
    ['labels_types that are a list', { ...valid, labels_types: [] }, '`labels_types` is an array'],
    ['labels_types that are text', { ...valid, labels_types: 'x' }, '`labels_types` is a string'],
    ['no args', without('args'), '`args` is missing'],
    ['args that are an object', { ...valid, args: {} }, '`args` is a object'],
    ['no kwargs', without('kwargs'), '`kwargs` is missing'],
    ['kwargs that are a list', { ...valid, kwargs: [] }, '`kwargs` is an array'],
    ['an INT label that is none', { ...valid, labels: { n: 'x' }, labels_types: { n: 2 } }, 'Label "n" should be'],
    ['an unknown label type', { ...valid, labels: { n: 'x' }, labels_types: { n: 7 } }, 'the type number 7'],
  ])('refuses %s', (_what, body, why) => {
    const bytes = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)

    expect(() => formatter.loads(bytes)).toThrow(
      expect.objectContaining({
        name: 'MessageError',
        code: 'KIQ_MESSAGE_UNDECODABLE',
        message: expect.stringContaining(why) as string,
      }),
    )
  })

  it('reads back what it wrote', () => {
    const plain = fc.oneof(
      fc.string(),
      fc.boolean(),
      fc.maxSafeInteger(),
      fc.constant(null),
      fc.bigInt({ min: 2n ** 64n, max: 2n ** 90n }),
    )
    const fields = fc.dictionary(fc.string(), plain, { noNullPrototype: true })

    fc.assert(
      fc.property(fc.string(), fc.string(), fc.array(plain), fields, (taskId, taskName, args, kwargs) => {
        const original = message({ taskId, taskName, args, kwargs, labels: { s: taskName, n: args.length } })

        expect(formatter.loads(formatter.dumps(original).body)).toEqual(original)
      }),
    )
  })

  it('never throws anything but KIQ_MESSAGE_UNDECODABLE for any JSON', () => {
    fc.assert(
      fc.property(fc.json(), (body) => {
        try {
          formatter.loads(body)
        } catch (error) {
          expect(error).toMatchObject({ code: 'KIQ_MESSAGE_UNDECODABLE' })
        }
      }),
    )
  })
})
