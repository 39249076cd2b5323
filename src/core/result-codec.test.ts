import { describe, expect, it } from 'vitest'

import type { Serializer, TaskResult } from '../contract/index.ts'
import { JsonSerializer } from '../serializers/json-serializer.ts'
import { decodeProgress, decodeResult, encodeProgress, encodeResult } from './result-codec.ts'

const json = new JsonSerializer()

const success = (returnValue: unknown, labels = {}): TaskResult => ({
  isErr: false,
  returnValue,
  executionTime: 0.25,
  labels,
})
const failure = (args: readonly unknown[]): TaskResult => ({
  isErr: true,
  error: { name: 'RangeError', message: args.join(', '), args, module: 'javascript' },
  executionTime: 0,
  labels: {},
})
const wireOf = (result: TaskResult): unknown => JSON.parse(encodeResult(result, json) as string)

describe('encodeResult', () => {
  it('writes the six fields of Taskiq for a success', () => {
    expect(wireOf(success({ x: [1] }, { a: 1, b: 'x', c: true }))).toEqual({
      is_err: false,
      log: null,
      return_value: { x: [1] },
      execution_time: 0.25,
      labels: { a: 1, b: 'x', c: true },
      error: null,
    })
  })

  it('writes the six fields of Taskiq for a failure', () => {
    expect(wireOf(failure(['x']))).toEqual({
      is_err: true,
      log: null,
      return_value: null,
      execution_time: 0,
      labels: {},
      error: {
        exc_type: 'RangeError',
        exc_message: ['x'],
        exc_module: 'javascript',
        exc_cause: null,
        exc_context: null,
        exc_suppress_context: false,
      },
    })
  })

  it('writes null for a task that returns nothing', () => {
    expect(wireOf(success(undefined))).toHaveProperty('return_value', null)
  })

  it('writes labels as JSON can hold them', () => {
    const labels = { bytes: new Uint8Array([0, 1, 255]), gone: undefined, none: null, nan: NaN, fn: Symbol('x') }

    expect(wireOf(success(1, labels))).toHaveProperty('labels', {
      bytes: 'AAH/',
      none: null,
      nan: null,
      fn: 'Symbol(x)',
    })
  })

  it('keeps bigints', () => {
    expect(encodeResult(success(2n ** 70n + 1n), json)).toContain('"return_value":1180591620717411303425,')
  })

  const circular: Record<string, unknown> = {}
  circular['self'] = circular

  it.each([
    ['a function', () => {}, '`return value` is a function'],
    ['a cycle', circular, '`return value.self` refers to itself'],
    ['a symbol inside', { a: [Symbol('x')] }, '`return value.a[0]` is a symbol'],
  ])('refuses %s', (_what, value, message) => {
    expect(() => encodeResult(success(value), json)).toThrow(
      expect.objectContaining({
        code: 'KIQ_RESULT_UNSERIALIZABLE',
        message: expect.stringContaining(message) as string,
      }),
    )
  })

  it('names the serializer that refuses', () => {
    const refusing: Serializer = {
      name: 'refusing',
      dumpb: () => {
        throw new RangeError('too large')
      },
      loadb: () => undefined,
    }

    expect(() => encodeResult(success(1), refusing)).toThrow(
      expect.objectContaining({
        code: 'KIQ_RESULT_UNSERIALIZABLE',
        message: expect.stringContaining('the serializer "refusing": RangeError: too large') as string,
      }),
    )
  })
})

describe('decodeResult', () => {
  it.each([
    ['a success', success({ x: [1, null, 'é'] }, { a: 1 })],
    ['a failure', failure(['a', 1])],
    ['a success with a bigint', success([2n ** 70n + 1n])],
  ])('gives back %s', (_what, result) => {
    expect(decodeResult(encodeResult(result, json), json, 'id')).toEqual(result)
  })

  it('reads a result with the fewest fields', () => {
    const body = '{"is_err":false,"return_value":1,"execution_time":0}'

    expect(decodeResult(body, json, 'id')).toEqual({ isErr: false, returnValue: 1, executionTime: 0, labels: {} })
  })

  it.each([
    '{"is_err":true,"log":null,"return_value":null,"execution_time":0,"labels":{},"error":null}',
    '{"is_err":true,"return_value":null,"execution_time":0}',
  ])('reads a failure whose error was not stored: %s', (body) => {
    expect(decodeResult(body, json, 'id')).toMatchObject({
      isErr: true,
      error: { message: 'The task failed; its error was not stored.' },
    })
  })

  it.each([
    ['no JSON', 'nope', 'it is not json'],
    ['pickle', new Uint8Array([0x80, 0x04, 0x95]), 'it is not json'],
    ['a list', '[]', 'it is not an object'],
    ['null', 'null', 'it is not an object'],
    ['no is_err', '{"return_value":1,"execution_time":0}', 'no `is_err`'],
    ['is_err that is text', '{"is_err":"true","execution_time":0}', 'no `is_err`'],
    ['an error of another shape', '{"is_err":true,"error":"boom","execution_time":0}', 'another shape'],
    ['an error without arguments', '{"is_err":true,"error":{"exc_type":"X"},"execution_time":0}', 'another shape'],
  ])('refuses %s and names the task', (_what, body, why) => {
    expect(() => decodeResult(body, json, 'id-7')).toThrow(
      expect.objectContaining({
        name: 'ResultError',
        code: 'KIQ_RESULT_UNREADABLE',
        message: expect.stringMatching(new RegExp(`result of task id-7 .*${why}`)) as string,
      }),
    )
  })
})

describe('encodeProgress', () => {
  it.each([
    [{ state: 'STARTED', meta: { pct: 50 } }, '{"state":"STARTED","meta":{"pct":50}}'],
    [{ state: 'custom' }, '{"state":"custom","meta":null}'],
    [{ state: 'x', meta: new Date(0) }, '{"state":"x","meta":"1970-01-01T00:00:00.000Z"}'],
  ])('writes %j as Taskiq does', (progress, body) => {
    expect(encodeProgress(progress, json)).toBe(body)
  })

  it('refuses meta that cannot be stored', () => {
    expect(() => encodeProgress({ state: 'x', meta: { a: () => {} } }, json)).toThrow('`progress meta.a` is a function')
  })
})

describe('decodeProgress', () => {
  it.each([
    ['{"state":"STARTED","meta":{"pct":50}}', { state: 'STARTED', meta: { pct: 50 } }],
    ['{"state":"custom","meta":null}', { state: 'custom', meta: undefined }],
    ['{"state":"custom"}', { state: 'custom', meta: undefined }],
  ])('reads %s', (body, progress) => {
    expect(decodeProgress(body, json, 'id')).toEqual(progress)
  })

  it.each(['[]', '{"meta":1}', '{"state":5}', 'nope'])('refuses %s', (body) => {
    expect(() => decodeProgress(body, json, 'id-7')).toThrow(
      expect.objectContaining({
        code: 'KIQ_RESULT_UNREADABLE',
        message: expect.stringContaining('progress of task id-7') as string,
      }),
    )
  })
})
