import type { JsonSchema } from './types.ts'

/** Keywords whose value is a schema. */
const SINGLE: ReadonlySet<string> = new Set([
  'additionalItems',
  'additionalProperties',
  'contains',
  'contentSchema',
  'else',
  'if',
  'items',
  'not',
  'propertyNames',
  'then',
  'unevaluatedItems',
  'unevaluatedProperties',
])

/** Keywords whose value is a list of schemas. */
const LISTS: ReadonlySet<string> = new Set(['allOf', 'anyOf', 'items', 'oneOf', 'prefixItems'])

/** Keywords whose value has a schema under each key. */
const MAPS: ReadonlySet<string> = new Set([
  '$defs',
  'definitions',
  'dependentSchemas',
  'patternProperties',
  'properties',
])

/**
 * A copy of a schema with its direct subschemas changed. Knows which keywords hold schemas: a property that is called
 * `$ref`, or a default that has such a key, is left alone.
 */
export function mapSubschemas(schema: JsonSchema, change: (subschema: JsonSchema) => JsonSchema): JsonSchema {
  const entries = Object.entries(schema).map(([keyword, value]): [string, unknown] => {
    if (LISTS.has(keyword) && Array.isArray(value)) return [keyword, value.map((one) => changed(one, change))]
    if (SINGLE.has(keyword)) return [keyword, changed(value, change)]
    if (MAPS.has(keyword) && isSchema(value)) return [keyword, mapValues(value, (one) => changed(one, change))]
    return [keyword, value]
  })
  return Object.fromEntries(entries)
}

/** Whether a value is a schema with keywords, and not `true`, `false` or something else. */
export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function changed(value: unknown, change: (subschema: JsonSchema) => JsonSchema): unknown {
  return isSchema(value) ? change(value) : value
}

function mapValues(map: JsonSchema, change: (value: unknown) => unknown): JsonSchema {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]))
}
