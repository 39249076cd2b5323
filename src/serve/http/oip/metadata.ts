import { resolveLocal } from '../openapi/hoist.ts'
import { outputFields } from '../openapi/output-fields.ts'
import { isSchema } from '../openapi/schema-walk.ts'
import type { JsonSchema } from '../openapi/types.ts'
import type { Datatype } from './datatype.ts'
import { JSON_CONTENT, MAX_RANK } from './tensor.ts'

export interface TensorMetadata {
  readonly name: string
  readonly datatype: Datatype
  /** -1 where the size is free. */
  readonly shape: readonly number[]
  readonly parameters?: Readonly<Record<string, unknown>>
}

export interface ModelMetadata {
  readonly name: string
  readonly versions: readonly ['1']
  readonly platform: 'kiq'
  readonly inputs: readonly TensorMetadata[]
  readonly outputs: readonly TensorMetadata[]
}

export interface ServerMetadata {
  readonly name: string
  readonly version: string
  readonly extensions: readonly string[]
}

/** The answer to `GET /v2`. */
export function serverMetadata(server: { readonly name: string; readonly version: string }): ServerMetadata {
  return { name: server.name, version: server.version, extensions: [] }
}

/**
 * The tensors that a model takes and returns, as far as its schemas tell: one for each field. Fields that are neither
 * scalars nor lists of them are `BYTES` with JSON. A schema that allows anything gives none.
 */
export function modelMetadata(model: {
  readonly name: string
  readonly input: JsonSchema
  readonly output: JsonSchema
}): ModelMetadata {
  return {
    name: model.name,
    versions: ['1'],
    platform: 'kiq',
    inputs: tensorsOf(model.input, inputTensor),
    outputs: tensorsOf(outputFields(model.output), outputTensor),
  }
}

type Simple = Pick<TensorMetadata, 'datatype' | 'shape'>

function tensorsOf(schema: JsonSchema, read: (field: Simple | undefined) => Simple | undefined): TensorMetadata[] {
  const properties = followed(schema, schema)['properties']
  if (!isSchema(properties)) return []
  return Object.entries(properties).map(([name, field]) => {
    const simple = read(isSchema(field) ? simpleOf(field, schema) : undefined)
    const parameters = { content_type: JSON_CONTENT }
    return simple === undefined ? { name, datatype: 'BYTES', shape: [-1], parameters } : { name, ...simple }
  })
}

function inputTensor(field: Simple | undefined): Simple | undefined {
  return field
}

/** As outputs are encoded: every number as `FP64`, and no lists but of numbers. */
function outputTensor(field: Simple | undefined): Simple | undefined {
  if (field?.datatype === 'INT64' || field?.datatype === 'FP64') return { ...field, datatype: 'FP64' }
  return field?.shape.length === 1 ? field : undefined
}

/** Of a scalar or of lists of them; undefined for all else. */
function simpleOf(field: JsonSchema, root: JsonSchema): Simple | undefined {
  const shape = [-1]
  let schema = followed(field, root)
  while (schema['type'] === 'array' && isSchema(schema['items']) && shape.length < MAX_RANK) {
    shape.push(-1)
    schema = followed(schema['items'], root)
  }
  const datatype = datatypeOf(schema)
  return datatype === undefined ? undefined : { datatype, shape }
}

function datatypeOf(schema: JsonSchema): Datatype | undefined {
  const { type, enum: choices } = schema
  if (type === 'string') return 'BYTES'
  if (type === 'number') return 'FP64'
  if (type === 'integer') return 'INT64'
  if (type === 'boolean') return 'BOOL'
  // Some libraries write the choices without their type.
  const isText = type === undefined && Array.isArray(choices) && choices.every((choice) => typeof choice === 'string')
  return isText || (type === undefined && typeof schema['const'] === 'string') ? 'BYTES' : undefined
}

function followed(schema: JsonSchema, root: JsonSchema): JsonSchema {
  const seen = new Set<string>()
  let at = schema
  for (let ref = at['$ref']; typeof ref === 'string'; ref = at['$ref']) {
    const target = seen.has(ref) ? undefined : resolveLocal(root, ref)
    if (!isSchema(target)) return {}
    seen.add(ref)
    at = target
  }
  return at
}
