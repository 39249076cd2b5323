import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { decodeInfer } from './decode.ts'
import { encodeInfer } from './encode.ts'
import type { InferAnswerOptions, OutputEnvelope } from './encode.ts'

function ok(fields: object): OutputEnvelope {
  return { status: 'success', error: null, meta: {}, ...fields }
}

function encoded(envelopes: readonly OutputEnvelope[], changes: Partial<InferAnswerOptions> = {}) {
  return encodeInfer({ modelName: 'm', envelopes, ...changes })
}

const json = { content_type: 'application/json' }

describe('the answer to a request for inference', () => {
  it('has a tensor for each field of the outputs', () => {
    const envelopes = [
      ok({ label: 'a', score: 0.5, sure: true, vector: [1, 2], matrix: [[1], [2]] }),
      ok({ label: 'b', score: 1, sure: false, vector: [3, 4], matrix: [[3], [4]] }),
    ]
    expect(encoded(envelopes, { id: 'r1' })).toEqual({
      model_name: 'm',
      model_version: '1',
      id: 'r1',
      outputs: [
        { name: 'label', shape: [2], datatype: 'BYTES', data: ['a', 'b'] },
        { name: 'score', shape: [2], datatype: 'FP64', data: [0.5, 1] },
        { name: 'sure', shape: [2], datatype: 'BOOL', data: [true, false] },
        { name: 'vector', shape: [2, 2], datatype: 'FP64', data: [1, 2, 3, 4] },
        { name: 'matrix', shape: [2, 2, 1], datatype: 'FP64', data: [1, 2, 3, 4] },
      ],
    })
  })

  it('has no id when the request had none', () => {
    expect(encoded([ok({})])).toEqual({ model_name: 'm', model_version: '1', outputs: [] })
  })

  it.each([
    ['objects', [{ a: 1 }, {}], ['{"a":1}', '{}']],
    ['lists of texts', [['x'], ['y']], ['["x"]', '["y"]']],
    ['lists of different lengths', [[1], [1, 2]], ['[1]', '[1,2]']],
    ['lists within lists of different lengths', [[[1], [1, 2]]], ['[[1],[1,2]]']],
    ['empty lists', [[], []], ['[]', '[]']],
    ['values of different types', [1, 'x'], ['1', '"x"']],
    ['null', [null, 1], ['null', '1']],
    ['numbers that JSON does not have', [NaN, 1], ['null', '1']],
    ['what an item does not have', [undefined, 1], ['null', '1']],
  ])('has JSON for %s', (_, values, data) => {
    const { outputs } = encoded(values.map((x) => ok({ x })))
    expect(outputs).toEqual([{ name: 'x', shape: [values.length], datatype: 'BYTES', parameters: json, data }])
  })

  it('has the outputs that were asked for, in that order', () => {
    const envelopes = [ok({ a: 1, b: 2, c: 3 })]
    expect(encoded(envelopes, { outputs: ['c', 'a'] }).outputs.map((tensor) => tensor.name)).toEqual(['c', 'a'])
  })

  it('is refused for an output that there is not', () => {
    expect(() => encoded([ok({ a: 1, b: 2 })], { outputs: ['a', 'x'] })).toThrow(
      'The model has no output "x". Use "a", "b".',
    )
    expect(() => encoded([ok({ a: 1 })], { outputs: ['status'] })).toThrow('The model has no output "status". Use "a".')
    expect(() => encoded([ok({})], { outputs: ['a'] })).toThrow('The model has no output "a". It has none.')
  })

  it('tells which items failed, and has the outputs of the others', () => {
    const envelopes = [ok({ score: 1 }), { status: 'error', error: 'cannot read this one', meta: {} }]
    expect(encoded(envelopes)).toEqual({
      model_name: 'm',
      model_version: '1',
      parameters: { failed: [{ item: 1, status: 'error', error: 'cannot read this one' }] },
      outputs: [{ name: 'score', shape: [2], datatype: 'BYTES', parameters: json, data: ['1', 'null'] }],
    })
  })

  it('does not blame the request for outputs that are missing because items failed', () => {
    const { outputs, parameters } = encoded([{ status: 'error', error: 'no', meta: {} }], { outputs: ['score'] })
    expect(outputs).toEqual([])
    expect(parameters?.failed).toHaveLength(1)
  })

  it('holds what the outputs held', () => {
    const scalar = fc.oneof(fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.string())
    const value = fc.oneof(scalar, fc.array(fc.integer(), { minLength: 1, maxLength: 3 }), fc.jsonValue())
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 5 }), (values) => {
        const { outputs } = JSON.parse(JSON.stringify(encoded(values.map((x) => ok({ x }))))) as { outputs: unknown }
        const items = decodeInfer({ inputs: outputs }).items.map((item) => item['x'])
        expect(items).toEqual(JSON.parse(JSON.stringify(values)))
      }),
    )
  })
})
