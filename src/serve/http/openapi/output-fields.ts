import { resolveLocal } from './hoist.ts'
import { isSchema } from './schema-walk.ts'
import type { JsonSchema } from './types.ts'

/** Fields of every envelope. Outputs of ModalKit declare them themselves. */
export const ENVELOPE_FIELDS: ReadonlySet<string> = new Set(['status', 'error', 'meta'])

/**
 * The fields that an output adds to its envelope: its schema without those of the envelope, and open for them. Without that
 * an output that allows no other fields would contradict the envelope.
 */
export function outputFields(schema: JsonSchema): JsonSchema {
  const { $defs, definitions, ...fields } = opened(schema, schema, new Set())
  return {
    ...fields,
    ...($defs === undefined ? {} : { $defs }),
    ...(definitions === undefined ? {} : { definitions }),
  }
}

function opened(schema: JsonSchema, root: JsonSchema, seen: ReadonlySet<string>): JsonSchema {
  const { $ref, ...own } = schema
  if (typeof $ref === 'string') {
    const target = resolveLocal(root, $ref)
    if (seen.has($ref) || !isSchema(target)) return own
    return opened({ ...target, ...own }, root, new Set([...seen, $ref]))
  }
  const { properties, required, additionalProperties, unevaluatedProperties, oneOf, ...rest } = own
  const result: Record<string, unknown> = rest
  if (additionalProperties !== undefined && additionalProperties !== false) {
    result['additionalProperties'] = additionalProperties
  }
  if (unevaluatedProperties !== undefined && unevaluatedProperties !== false) {
    result['unevaluatedProperties'] = unevaluatedProperties
  }
  if (isSchema(properties)) {
    result['properties'] = Object.fromEntries(Object.entries(properties).filter(([name]) => !ENVELOPE_FIELDS.has(name)))
  }
  if (Array.isArray(required)) {
    result['required'] = required.filter((name) => typeof name !== 'string' || !ENVELOPE_FIELDS.has(name))
  }
  for (const keyword of ['allOf', 'anyOf']) {
    const branches = result[keyword]
    if (Array.isArray(branches)) result[keyword] = openedAll(branches, root, seen)
  }
  // Open branches may both fit, which `oneOf` would refuse.
  if (Array.isArray(oneOf)) addBranches(result, openedAll(oneOf, root, seen))
  return result
}

function openedAll(branches: readonly unknown[], root: JsonSchema, seen: ReadonlySet<string>): readonly unknown[] {
  return branches.map((branch) => (isSchema(branch) ? opened(branch, root, seen) : branch))
}

function addBranches(result: Record<string, unknown>, branches: readonly unknown[]): void {
  if (result['anyOf'] === undefined) {
    result['anyOf'] = branches
    return
  }
  const all = Array.isArray(result['allOf']) ? (result['allOf'] as readonly unknown[]) : []
  result['allOf'] = [...all, { anyOf: branches }]
}
