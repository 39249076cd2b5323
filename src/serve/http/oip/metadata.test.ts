import { type } from 'arktype'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import type { StandardSchema } from '../../../contract/index.ts'
import { jsonSchemaOf } from '../openapi/json-schema.ts'
import { encodeInfer } from './encode.ts'
import { modelMetadata, serverMetadata } from './metadata.ts'

const json = { content_type: 'application/json' }

function metadataOf(input: StandardSchema, output: StandardSchema) {
  return modelMetadata({ name: 'm', input: jsonSchemaOf(input, 'input'), output: jsonSchemaOf(output, 'output') })
}

describe('what is told of a model', () => {
  it('has a tensor for each field', () => {
    const Point = z.object({ x: z.number() }).meta({ id: 'Point' })
    const Score = z.number().meta({ id: 'Score' })
    const input = z.object({
      text: z.string(),
      language: z.enum(['en', 'de']).optional(),
      top: z.int().default(3),
      threshold: Score,
      exact: z.boolean(),
      samples: z.array(z.number()),
      image: z.array(z.array(z.int())),
      tags: z.array(z.string()),
      point: Point,
      either: z.union([z.string(), z.number()]),
    })
    expect(metadataOf(input, z.object({}))).toEqual({
      name: 'm',
      versions: ['1'],
      platform: 'kiq',
      inputs: [
        { name: 'text', datatype: 'BYTES', shape: [-1] },
        { name: 'language', datatype: 'BYTES', shape: [-1] },
        { name: 'top', datatype: 'INT64', shape: [-1] },
        { name: 'threshold', datatype: 'FP64', shape: [-1] },
        { name: 'exact', datatype: 'BOOL', shape: [-1] },
        { name: 'samples', datatype: 'FP64', shape: [-1, -1] },
        { name: 'image', datatype: 'INT64', shape: [-1, -1, -1] },
        { name: 'tags', datatype: 'BYTES', shape: [-1, -1] },
        { name: 'point', datatype: 'BYTES', shape: [-1], parameters: json },
        { name: 'either', datatype: 'BYTES', shape: [-1], parameters: json },
      ],
      outputs: [],
    })
  })

  it('describes outputs as they are encoded', () => {
    const output = z.object({
      status: z.string(),
      label: z.string(),
      count: z.int(),
      sure: z.boolean(),
      vector: z.array(z.number()),
      tags: z.array(z.string()),
      box: z.object({ x: z.number() }),
    })
    const value = { status: 'success', label: 'a', count: 2, sure: true, vector: [1], tags: ['t'], box: { x: 1 } }
    const { outputs } = encodeInfer({ modelName: 'm', envelopes: [value] })
    const told = metadataOf(z.object({}), output).outputs
    expect(told.map(({ shape, ...rest }) => ({ ...rest, rank: shape.length }))).toEqual(
      outputs.map(({ shape, data: _, ...rest }) => ({ ...rest, rank: shape.length })),
    )
    expect(told.map((tensor) => tensor.name)).toEqual(['label', 'count', 'sure', 'vector', 'tags', 'box'])
  })

  it('reads schemas of arktype, and those behind a reference', () => {
    const own = type({ text: 'string', kind: "'a'|'b'", mark: "'x'" })
    expect(metadataOf(own, own).inputs.map(({ name, datatype, parameters }) => [name, datatype, parameters])).toEqual(
      expect.arrayContaining([
        ['text', 'BYTES', undefined],
        ['kind', 'BYTES', undefined],
        ['mark', 'BYTES', undefined],
      ]),
    )
    const named = z.object({ text: z.string() }).meta({ id: 'Named' })
    expect(metadataOf(named, named)).toMatchObject({ inputs: [{ name: 'text' }], outputs: [{ name: 'text' }] })
  })

  it('has no tensors where a schema allows anything or refers to itself for ever', () => {
    const endless = { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } }
    expect(modelMetadata({ name: 'm', input: {}, output: {} })).toMatchObject({ inputs: [], outputs: [] })
    expect(modelMetadata({ name: 'm', input: endless, output: endless })).toMatchObject({ inputs: [], outputs: [] })
  })
})

describe('what is told of the server', () => {
  it('is its name and version', () => {
    expect(serverMetadata({ name: 'shop', version: '1.2.3' })).toEqual({
      name: 'shop',
      version: '1.2.3',
      extensions: [],
    })
  })
})
