import type { ConfigOrigin } from './origin.ts'
import type { Reader } from './reader.ts'
import { isPlainObject, mapTree } from './tree.ts'
import type { Tree, TreeEntry, TreeMap } from './tree.ts'

const ORIGIN: ConfigOrigin = { from: 'overrides' }

/** Overrides of the program as a tree. Keys of settings may be in camel case; what is `undefined` was not given. */
export function overridesTree(overrides: object, schema: Reader<unknown>): TreeMap {
  const tree = valueTree({ ...overrides }, schema)
  return tree.kind === 'map' ? tree : mapTree([], ORIGIN)
}

function valueTree(value: unknown, schema: Reader<unknown> | undefined): Tree {
  if (Array.isArray(value)) {
    return { kind: 'list', items: value.map((item) => valueTree(item, schema?.element)), origin: ORIGIN }
  }
  if (!isPlainObject(value)) return { kind: 'scalar', value, origin: ORIGIN }
  const entries: [string, TreeEntry][] = []
  for (const [given, inner] of Object.entries(value)) {
    if (inner === undefined) continue
    const snake = snakeCase(given)
    const key = schema?.fields?.has(snake) === true ? snake : given
    entries.push([key, { origin: ORIGIN, value: valueTree(inner, schema?.fields?.get(key)) }])
  }
  return mapTree(entries, ORIGIN)
}

/** `maxBatchSize` → `max_batch_size`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
