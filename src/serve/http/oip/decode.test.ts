import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { KiqError } from '../../../contract/index.ts'
import { decodeInfer } from './decode.ts'

function tensor(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return { name: 'x', shape: [2], datatype: 'FP32', data: [1, 2], ...changes }
}

function refusal(body: unknown): string {
  try {
    decodeInfer(body)
  } catch (error) {
    if (KiqError.is(error, 'KIQ_ARGUMENTS_INVALID')) return error.message
    throw error
  }
  return 'nothing was refused'
}

describe('a request for inference', () => {
  it('becomes an input for each item of the batch, with a field for each tensor', () => {
    const call = decodeInfer({
      id: 'r1',
      parameters: { any: 1 },
      inputs: [
        { name: 'text', shape: [2], datatype: 'BYTES', data: ['good', 'bad'] },
        { name: 'samples', shape: [2, 3], datatype: 'FP32', data: [1, 2, 3, 4, 5, 6] },
        { name: 'image', shape: [2, 2, 1], datatype: 'UINT8', data: [1, 2, 3, 4] },
        { name: 'flag', shape: [2], datatype: 'BOOL', data: [true, false] },
      ],
      outputs: [{ name: 'label' }, { name: 'score', parameters: {} }],
    })
    expect(call).toEqual({
      id: 'r1',
      items: [
        { text: 'good', samples: [1, 2, 3], image: [[1], [2]], flag: true },
        { text: 'bad', samples: [4, 5, 6], image: [[3], [4]], flag: false },
      ],
      outputs: ['label', 'score'],
    })
  })

  it('may have neither an id nor a choice of outputs', () => {
    expect(decodeInfer({ inputs: [tensor()] })).toEqual({
      id: undefined,
      items: [{ x: 1 }, { x: 2 }],
      outputs: undefined,
    })
    expect(decodeInfer({ inputs: [tensor()], outputs: [] }).outputs).toBeUndefined()
  })

  it('may have nested data', () => {
    const data = [
      [[1], [2]],
      [[3], [4]],
    ]
    const { items } = decodeInfer({ inputs: [tensor({ shape: [2, 2, 1], data })] })
    expect(items).toEqual([{ x: [[1], [2]] }, { x: [[3], [4]] }])
  })

  it('means the same with flat and with nested data', () => {
    const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(shapes, (shape) => {
        let count = 0
        const build = (depth: number): unknown =>
          depth === shape.length ? count++ : Array.from({ length: shape[depth] ?? 0 }, () => build(depth + 1))
        const nested = build(0)
        const flat = Array.from({ length: count }, (_, at) => at)
        const itemsOf = (data: unknown) => decodeInfer({ inputs: [tensor({ shape, data })] }).items
        expect(itemsOf(flat)).toEqual(itemsOf(nested))
        expect(itemsOf(flat).map((item) => item['x'])).toEqual(nested)
      }),
    )
  })

  it('may have JSON in texts, where it says so', () => {
    const data = ['{"a":[1]}', 'null']
    const json = { content_type: 'application/json' }
    const items = (parameters: object) =>
      decodeInfer({ inputs: [tensor({ datatype: 'BYTES', data, parameters })] }).items.map((item) => item['x'])
    expect(items(json)).toEqual([{ a: [1] }, null])
    expect(items({})).toEqual(data)
    expect(refusal({ inputs: [tensor({ datatype: 'BYTES', data: ['{', '1'], parameters: json })] })).toBe(
      'Tensor "x" has "{" at position 0, which is no JSON. Send JSON, or leave out the content type application/json.',
    )
  })

  it('may have a tensor with any name', () => {
    const [item] = decodeInfer({ inputs: [tensor({ name: '__proto__', shape: [1], data: [1] })] }).items
    expect(Object.entries(item ?? {})).toEqual([['__proto__', 1]])
  })

  it.each([
    ['BOOL', [true, false], [1, 'true', null]],
    ['INT8', [-128, 127], [-129, 128, 0.5, '1', true]],
    ['INT16', [-32_768, 32_767], [-32_769, 32_768]],
    ['INT32', [-(2 ** 31), 2 ** 31 - 1], [-(2 ** 31) - 1, 2 ** 31]],
    ['INT64', [-(2 ** 53) + 1, 2 ** 53 - 1], [2 ** 53, -(2 ** 53), 1e300]],
    ['UINT8', [0, 255], [-1, 256]],
    ['UINT16', [0, 65_535], [-1, 65_536]],
    ['UINT32', [0, 2 ** 32 - 1], [-1, 2 ** 32]],
    ['UINT64', [0, 2 ** 53 - 1], [-1, 2 ** 53]],
    ['FP16', [-65_504, 65_504, 0.1], [65_505, -65_505, 'NaN']],
    ['FP32', [3.4028234663852886e38, -1e-40], [3.5e38, -3.5e38, null]],
    ['FP64', [Number.MAX_VALUE, -0.5], [Infinity, NaN, '1']],
    ['BYTES', ['', 'x'], [1, null, [1]]],
  ])('checks the values of %s', (datatype, good, bad) => {
    for (const one of good) {
      expect(refusal({ inputs: [tensor({ datatype, shape: [1], data: [one] })] })).toBe('nothing was refused')
    }
    for (const one of bad) {
      const message = refusal({ inputs: [tensor({ datatype, shape: [1], data: [one] })] })
      expect(message).toMatch(
        new RegExp(`^Tensor "x" has .* at position 0, which is no ${datatype}. Send .*datatype\\.$`),
      )
    }
  })

  it.each([
    ['no object', [], 'The request is []. Send an object with `inputs`.'],
    ['no inputs', {}, 'The `inputs` are undefined. Send a list with a tensor for each field of the input.'],
    ['an id that is no text', { id: 1, inputs: [tensor()] }, 'The `id` is 1. Send text, or none.'],
    [
      'an input that is no tensor',
      { inputs: [tensor(), 5] },
      'Input 1 is 5. Send a tensor: { name, shape, datatype, data }.',
    ],
    [
      'a tensor without a name',
      { inputs: [tensor({ name: '' })] },
      'Input 0 has the name "". Give it the name of a field of the input.',
    ],
    [
      'a datatype that is not known',
      { inputs: [tensor({ datatype: 'fp32' })] },
      'Tensor "x" has the datatype "fp32". Use one of BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, ' +
        'FP16, FP32, FP64, BYTES.',
    ],
    [
      'a shape of nothing',
      { inputs: [tensor({ shape: [] })] },
      'Tensor "x" has the shape []. Send a list of whole numbers from 1 on; the first is the batch.',
    ],
    [
      'a shape with a zero, however large the rest is',
      { inputs: [tensor({ shape: [1, 1e9, 0], data: [] })] },
      'Tensor "x" has the shape [1,1000000000,0]. Send a list of whole numbers from 1 on; the first is the batch.',
    ],
    [
      'very many dimensions',
      { inputs: [tensor({ shape: Array.from({ length: 5000 }, () => 1), data: [1] })] },
      'Tensor "x" has 5000 dimensions. Send at most 16.',
    ],
    [
      'a batch that is too large',
      { inputs: [tensor({ shape: [1001] })] },
      'Tensor "x" is a batch of 1001. Send at most 1000 items in one call.',
    ],
    [
      'too few values',
      { inputs: [tensor({ shape: [2, 2] })] },
      'Tensor "x" has 2 value(s) for the shape [2,2], which has 4. Correct the shape or the data.',
    ],
    [
      'nested data of another shape',
      { inputs: [tensor({ shape: [2, 2], data: [[1, 2], [3]] })] },
      'Tensor "x" has a list of 1 in dimension 1, where its shape [2,2] has 2. Correct the shape or the data.',
    ],
    [
      'data that is nested in part',
      { inputs: [tensor({ shape: [2, 2], data: [[1, 2], 3] })] },
      'Tensor "x" has 3 in dimension 1, where its shape [2,2] has 2. Correct the shape or the data.',
    ],
    [
      'binary data',
      { inputs: [tensor({ data: undefined, parameters: { binary_data_size: 8 } })] },
      'Tensor "x" has the data undefined. Send its values as a list in the JSON; binary data is not taken.',
    ],
    ['the same name twice', { inputs: [tensor(), tensor()] }, 'The `inputs` have "x" twice. Send each name once.'],
    [
      'batches of different sizes',
      { inputs: [tensor(), tensor({ name: 'y', shape: [1], data: [1] })] },
      'Tensor "y" is a batch of 1, and "x" one of 2. Give all tensors the same first dimension.',
    ],
    [
      'outputs that are no list',
      { inputs: [tensor()], outputs: 'label' },
      'The `outputs` are "label". Send a list like [{ "name": "label" }], or none for all.',
    ],
    [
      'outputs without names',
      { inputs: [tensor()], outputs: ['label'] },
      'Output 0 is "label". Send { "name": "…" } with the name of a field of the output.',
    ],
    [
      'outputs with the same name',
      { inputs: [tensor()], outputs: [{ name: 'a' }, { name: 'a' }] },
      'The `outputs` have "a" twice. Send each name once.',
    ],
  ])('is refused with %s', (_, body, message) => {
    expect(refusal(body)).toBe(message)
  })

  it('is read or refused, whatever it holds', () => {
    const value = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<unknown>
    const parts = fc.record(
      {
        name: fc.oneof(fc.string(), value),
        shape: fc.oneof(fc.array(fc.integer({ min: 0, max: 3 })), value),
        datatype: fc.oneof(fc.constantFrom('BOOL', 'FP64', 'BYTES'), value),
        parameters: fc.oneof(fc.constant({ content_type: 'application/json' }), value),
        data: fc.oneof(fc.array(fc.oneof(fc.boolean(), fc.double(), fc.string())), value),
      },
      { requiredKeys: [] },
    )
    const body = fc.record(
      { id: value, inputs: fc.oneof(fc.array(parts), value), outputs: value },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.oneof(body, value), (request) => {
        expect(typeof refusal(request)).toBe('string')
      }),
    )
  })
})
