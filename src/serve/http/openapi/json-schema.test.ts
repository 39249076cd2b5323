import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import type { StandardSchema } from '../../../contract/index.ts'
import { jsonSchemaOf } from './json-schema.ts'

function withConverter(convert: (options: { target: string }) => unknown): StandardSchema {
  const standard = { version: 1, vendor: 'own', validate: (value: unknown) => ({ value }) } as const
  return { '~standard': { ...standard, jsonSchema: { input: convert, output: convert } } } as StandardSchema
}

describe('the JSON Schema of a Standard Schema', () => {
  it('is what zod says, for each direction, without the dialect', () => {
    const schema = z.object({ text: z.string(), language: z.enum(['en', 'de']).optional(), top: z.int().default(3) })
    const input = jsonSchemaOf(schema, 'input')
    expect(input).toMatchObject({
      type: 'object',
      properties: { text: { type: 'string' }, language: { type: 'string', enum: ['en', 'de'] }, top: { default: 3 } },
      required: ['text'],
    })
    expect(input).not.toHaveProperty('$schema')
    expect(jsonSchemaOf(schema, 'output')['required']).toEqual(['text', 'top'])
  })

  it('is what arktype says, for each direction', () => {
    const schema = type({ text: 'string', 'n?': 'string.numeric.parse' })
    expect(jsonSchemaOf(schema, 'input')).toMatchObject({
      properties: { text: { type: 'string' }, n: { type: 'string' } },
      required: ['text'],
    })
    expect(jsonSchemaOf(schema, 'output')).toMatchObject({ properties: { n: { type: 'number' } } })
  })

  it('allows anything where the library offers none, as valibot by itself', () => {
    expect(jsonSchemaOf(v.object({ text: v.string() }), 'input')).toEqual({})
  })

  it('keeps local references, which resolve within it', () => {
    const address = z.object({ street: z.string() }).meta({ id: 'Address' })
    expect(jsonSchemaOf(z.object({ home: address, work: address }), 'input')).toMatchObject({
      properties: { home: { $ref: '#/$defs/Address' }, work: { $ref: '#/$defs/Address' } },
      $defs: { Address: { type: 'object' } },
    })
  })

  it('allows anything only where a transform or a date stands', () => {
    const schema = z.object({ at: z.date(), size: z.string().transform((text) => text.length), name: z.string() })
    expect(jsonSchemaOf(schema, 'output')).toMatchObject({
      properties: { at: {}, size: {}, name: { type: 'string' } },
      required: ['at', 'size', 'name'],
    })
    expect(jsonSchemaOf(z.string().transform(Number), 'output')).toEqual({})
  })

  it('leaves properties alone that are called like keywords', () => {
    const schema = z.object({ $schema: z.string(), $ref: z.string(), properties: z.object({ $schema: z.int() }) })
    expect(jsonSchemaOf(schema, 'input')).toMatchObject({
      properties: { $schema: { type: 'string' }, $ref: { type: 'string' }, properties: { required: ['$schema'] } },
    })
  })

  it('removes the dialect of subschemas', () => {
    const $schema = 'https://json-schema.org/draft/2020-12/schema'
    const own = withConverter(() => ({ $schema, anyOf: [{ $schema, type: 'string' }], default: { $schema } }))
    expect(jsonSchemaOf(own, 'input')).toEqual({ anyOf: [{ type: 'string' }], default: { $schema } })
  })

  it('asks for draft 2020-12', () => {
    expect(
      jsonSchemaOf(
        withConverter((options) => ({ title: options.target })),
        'output',
      ),
    ).toEqual({
      title: 'draft-2020-12',
    })
  })

  it.each([
    ['throws', () => assertNever()],
    ['returns no object', () => true],
    ['returns a list', () => []],
    ['returns nothing', () => undefined],
    ['returns what JSON cannot hold', () => ({ const: 1n })],
  ])('allows anything when the library %s', (_, convert: () => unknown) => {
    expect(jsonSchemaOf(withConverter(convert), 'input')).toEqual({})
  })
})

function assertNever(): never {
  throw new Error('cannot be expressed')
}
