import { pascal } from './names.ts'
import type { Names } from './names.ts'
import { isSchema, mapSubschemas } from './schema-walk.ts'
import type { JsonSchema } from './types.ts'

const PREFIX = '#/components/schemas/'
const DEFINITION = /^#\/(?:\$defs|definitions)\/([^/]+)(.*)$/

/** A reference to a schema of the document. */
export function schemaRef(name: string): JsonSchema {
  return { $ref: PREFIX + name }
}

/**
 * Makes components of a schema: one of the schema itself, and one of each definition that it refers to. References are
 * changed to match. One that leads nowhere is left out, which allows anything: a reference that does not resolve makes the
 * whole document unreadable for most programs.
 *
 * @param name - Of the component for the schema itself; taken already.
 * @param names - Hands out the names of the others: `name` and the name of the definition.
 */
export function hoist(schema: JsonSchema, name: string, names: Names): Readonly<Record<string, JsonSchema>> {
  return new Hoisting(schema, name, names).components()
}

class Hoisting {
  readonly #root: JsonSchema
  readonly #name: string
  readonly #names: Names
  /** Definition → its component. */
  readonly #placed = new Map<string, string>()
  readonly #waiting: { readonly name: string; readonly schema: JsonSchema }[] = []

  constructor(root: JsonSchema, name: string, names: Names) {
    this.#root = root
    this.#name = name
    this.#names = names
  }

  components(): Readonly<Record<string, JsonSchema>> {
    const { $defs: _defs, definitions: _definitions, ...root } = this.#root
    const components: Record<string, JsonSchema> = { [this.#name]: this.#relocated(root) }
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      components[next.name] = this.#relocated(next.schema)
    }
    return components
  }

  #relocated(schema: JsonSchema): JsonSchema {
    // An identifier of its own would be the base of the references below it.
    const { $ref, $id: _id, $schema: _dialect, ...rest } = schema
    const target = typeof $ref === 'string' ? this.#target($ref) : undefined
    const own = mapSubschemas(rest, (subschema) => this.#relocated(subschema))
    return target === undefined ? own : { $ref: target, ...own }
  }

  #target(ref: string): string | undefined {
    if (resolveLocal(this.#root, ref) === undefined) return undefined
    const definition = DEFINITION.exec(ref)
    if (definition === null) return PREFIX + this.#name + ref.slice(1)
    const [, key = '', rest = ''] = definition
    return PREFIX + this.#componentOf(key) + rest
  }

  #componentOf(key: string): string {
    const known = this.#placed.get(key)
    if (known !== undefined) return known
    const name = this.#names.take(this.#name + pascal(key, 'Definition'))
    this.#placed.set(key, name)
    const schema = resolveLocal(this.#root, `#/$defs/${key}`) ?? resolveLocal(this.#root, `#/definitions/${key}`)
    // `true` and `false` are schemas, too.
    this.#waiting.push({ name, schema: isSchema(schema) ? schema : schema === false ? { not: {} } : {} })
    return name
  }
}

/** What a local reference (`#`, `#/…`) points to, or undefined. */
export function resolveLocal(root: JsonSchema, ref: string): unknown {
  if (ref === '#') return root
  if (!ref.startsWith('#/')) return undefined
  let at: unknown = root
  for (const part of ref.slice(2).split('/')) {
    const key = unescaped(part)
    if (typeof at !== 'object' || at === null || key === undefined || !Object.hasOwn(at, key)) return undefined
    at = (at as Readonly<Record<string, unknown>>)[key]
  }
  return at
}

/** A part of a JSON pointer in a URI fragment. */
function unescaped(part: string): string | undefined {
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return undefined
  }
}
