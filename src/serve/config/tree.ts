import type { ConfigOrigin } from './origin.ts'

/** A value with the place of each of its parts, before anything is known about what it should be. */
export type Tree = TreeScalar | TreeList | TreeMap

export interface TreeScalar {
  readonly kind: 'scalar'
  readonly value: unknown
  /** As it was written, where that is more than the value: `1.10` is also the number 1.1. */
  readonly text?: string | undefined
  readonly origin: ConfigOrigin
}

export interface TreeList {
  readonly kind: 'list'
  readonly items: readonly Tree[]
  readonly text?: string | undefined
  readonly origin: ConfigOrigin
}

export interface TreeMap {
  readonly kind: 'map'
  readonly entries: ReadonlyMap<string, TreeEntry>
  readonly text?: string | undefined
  readonly origin: ConfigOrigin
}

export interface TreeEntry {
  /** Where the key stands. */
  readonly origin: ConfigOrigin
  readonly value: Tree
}

export function mapTree(entries: Iterable<readonly [string, TreeEntry]>, origin: ConfigOrigin): TreeMap {
  return { kind: 'map', entries: new Map(entries), origin }
}

/** The later value wins. Maps are merged key by key; everything else, lists too, is replaced. */
function mergeTrees(base: Tree, later: Tree): Tree {
  return base.kind === 'map' && later.kind === 'map' ? mergeMaps(base, later) : later
}

export function mergeMaps(base: TreeMap, later: TreeMap): TreeMap {
  const entries = new Map(base.entries)
  for (const [key, entry] of later.entries) {
    const before = entries.get(key)
    entries.set(key, before === undefined ? entry : { ...entry, value: mergeTrees(before.value, entry.value) })
  }
  // The first place is the one to add something that is missing.
  return mapTree(entries, base.origin.from === 'default' ? later.origin : base.origin)
}

/** The value alone. Every map and list of it is new. */
export function plain(tree: Tree): unknown {
  switch (tree.kind) {
    case 'scalar':
      return tree.value
    case 'list':
      return tree.items.map(plain)
    case 'map':
      // `fromEntries` defines its properties, so that a key `__proto__` is one like any other.
      return Object.fromEntries([...tree.entries].map(([key, entry]) => [key, plain(entry.value)]))
  }
}

export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Freezes maps and lists all the way down. Instances of classes are somebody's own, and stay as they are. */
export function deepFreeze<T>(value: T): T {
  if (Array.isArray(value)) value.forEach(deepFreeze)
  else if (isPlainObject(value)) Object.values(value).forEach(deepFreeze)
  else return value
  return Object.freeze(value)
}
