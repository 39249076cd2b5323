import type { StandardSchema } from '../../../contract/index.ts'
import { isSchema, mapSubschemas } from './schema-walk.ts'
import type { JsonSchema } from './types.ts'

const TARGET = 'draft-2020-12'

/** Zod's words for "leave out what JSON Schema cannot say". Other libraries pass over options that they do not know. */
const LENIENT: Readonly<Record<string, unknown>> = { unrepresentable: 'any' }

/** Of the Standard JSON Schema interface. */
type Convert = (options: {
  readonly target: string
  readonly libraryOptions?: Readonly<Record<string, unknown>>
}) => unknown

/**
 * The JSON Schema (draft 2020-12) of a Standard Schema, through the Standard JSON Schema interface.
 *
 * Parts that JSON Schema cannot express, such as the result of a transform, become `{}`; so does the whole of a schema whose
 * library does not offer the interface. `$schema` is left out. References in it are local: `#` and `#/$defs/…`.
 *
 * @param direction - `input` for what the schema takes, `output` for what it makes of it.
 */
export function jsonSchemaOf(schema: StandardSchema, direction: 'input' | 'output'): JsonSchema {
  const convert = converterOf(schema, direction)
  if (convert === undefined) return {}
  const found = attempt(convert, { target: TARGET }) ?? attempt(convert, { target: TARGET, libraryOptions: LENIENT })
  return found === undefined ? {} : withoutDialect(found)
}

function converterOf(schema: StandardSchema, direction: 'input' | 'output'): Convert | undefined {
  const converters = (schema['~standard'] as { readonly jsonSchema?: unknown }).jsonSchema
  if (typeof converters !== 'object' || converters === null || !(direction in converters)) return undefined
  const convert = (converters as Readonly<Record<string, unknown>>)[direction]
  // Called on its owner: a library may write it as a method.
  return typeof convert === 'function' ? (options) => convert.call(converters, options) as unknown : undefined
}

function attempt(convert: Convert, options: Parameters<Convert>[0]): JsonSchema | undefined {
  try {
    // A copy: what the library returned is its own, and may hold what JSON does not know.
    const copy: unknown = JSON.parse(JSON.stringify(convert(options)))
    return isSchema(copy) ? copy : undefined
  } catch {
    return undefined
  }
}

function withoutDialect(schema: JsonSchema): JsonSchema {
  const { $schema: _, ...rest } = schema
  return mapSubschemas(rest, withoutDialect)
}
