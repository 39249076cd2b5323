import type { ConfigNote } from './finding.ts'
import { joinPath } from './origin.ts'
import type { ConfigOrigin } from './origin.ts'
import { BAD } from './reading.ts'
import type { Bad, Reading } from './reading.ts'
import { mapTree } from './tree.ts'
import type { Tree } from './tree.ts'
import { snakeCase } from './value-tree.ts'

/** Knows one kind of value. */
export interface Reader<T> {
  /** For messages: `a whole number of at least 1`. */
  readonly expected: string
  /** The settings below by their names in YAML; none where keys are free, or where there are none. */
  readonly fields?: ReadonlyMap<string, Reader<unknown>>
  /** Of a list of sections. */
  readonly element?: Reader<unknown>
  /** `true`: never printed. */
  readonly secret?: true
  /** @returns `BAD` after it reported why the value does not fit. */
  read(value: Tree, path: string, reading: Reading): T | Bad
}

/** One key of a section. */
export interface Field<T> {
  readonly reader: Reader<T>
  readonly note?: Note
  /** What stands there when the key is not given; `BAD` after it was reported as missing. `section` lacks it. */
  missing(path: string, reading: Reading, section: ConfigOrigin): T | Bad
}

export type Note = Pick<ConfigNote, 'effect' | 'message'>

export function field<T>(reader: Reader<T>, fallback: T, note?: Note): Field<T> {
  return { reader, missing: () => fallback, ...(note === undefined ? {} : { note }) }
}

export function required<T>(reader: Reader<T>): Field<T> {
  return { reader, missing: (path, reading, origin) => reading.lacks(path, origin, reader.expected) }
}

/** A section that may be left out: then it is an empty one. */
export function sub<T>(reader: Reader<T>): Field<T> {
  return { reader, missing: (path, reading, origin) => reader.read(mapTree([], origin), path, reading) }
}

/** Whether nothing was written: `batch_config:` alone is an empty section, and `env:` an empty map. */
export function isNull(value: Tree): boolean {
  return value.kind === 'scalar' && value.value === null
}

/** A map of settings. What it does not know is a warning. */
export function section<T extends object>(fields: { readonly [K in keyof T]: Field<T[K]> }): Reader<T> {
  const byName = new Map<string, { readonly key: string; readonly field: Field<unknown> }>()
  for (const [key, one] of Object.entries<Field<unknown>>(fields)) byName.set(snakeCase(key), { key, field: one })
  const names = [...byName.keys()]
  const expected = 'a map of settings'
  return {
    expected,
    fields: new Map([...byName].map(([name, known]) => [name, known.field.reader])),
    read(value, path, reading) {
      if (value.kind !== 'map' && !isNull(value)) return reading.bad(value, path, expected)
      const entries = value.kind === 'map' ? value.entries : new Map<string, never>()
      for (const [name, entry] of entries) {
        if (!byName.has(name)) reading.unknown(joinPath(path, name), entry.origin, { name, known: names })
      }
      const settings: [string, unknown][] = []
      for (const [name, known] of byName) {
        const at = joinPath(path, name)
        const entry = entries.get(name)
        settings.push([known.key, readField(known.field, entry?.value, { at, reading, section: value.origin })])
      }
      // The parts fit by the type of `fields`; what failed is reported, and nobody sees the whole then.
      return Object.fromEntries(settings) as T
    },
  }
}

function readField(
  one: Field<unknown>,
  value: Tree | undefined,
  where: { readonly at: string; readonly reading: Reading; readonly section: ConfigOrigin },
): unknown {
  const { at, reading } = where
  if (value === undefined) return one.missing(at, reading, where.section)
  if (one.note !== undefined) reading.note(at, value.origin, one.note)
  if (one.reader.fields === undefined) reading.origins.set(at, value.origin)
  return one.reader.read(value, at, reading)
}

/** A list of sections, such as mounts. */
export function sections<T>(reader: Reader<T>): Reader<readonly T[]> {
  const expected = 'a list of maps'
  return {
    expected,
    element: reader,
    read(value, path, reading) {
      if (isNull(value)) return []
      if (value.kind !== 'list') return reading.bad(value, path, expected)
      const all = value.items.map((item, index) => {
        const at = joinPath(path, index)
        return item.kind === 'map' ? reader.read(item, at, reading) : reading.bad(item, at, reader.expected)
      })
      return all.filter((one): one is Exclude<typeof one, Bad> => one !== BAD)
    },
  }
}
