import { normalized } from './layer.ts'
import type { ConfigOrigin } from './origin.ts'
import type { Reader } from './reader.ts'
import { mapTree, mergeMaps } from './tree.ts'
import type { Tree, TreeMap } from './tree.ts'
import { readYamlValue } from './yaml-tree.ts'

/** Variables, of the process or of a `.env` file. */
export interface Variables {
  readonly values: Readonly<Record<string, string | undefined>>
  /** The `.env` file. */
  readonly file?: string
}

/** Weakest first. */
const PREFIXES = ['MODALKIT_', 'KIQ_'] as const

/** Name the files, and are no settings. */
const FILE_VARIABLES: ReadonlySet<string> = new Set(['KIQ_CONFIG', 'MODALKIT_CONFIG'])

/** The files that variables name, or `undefined`. */
export function filesVariable({ values }: Variables): string | undefined {
  return [...FILE_VARIABLES].map((name) => values[name]).find((value) => value !== undefined && value.trim() !== '')
}

/** What variables set, laid over `base`. An empty variable sets nothing. */
export function withVariables(base: TreeMap, variables: Variables, schema: Reader<unknown>): TreeMap {
  let tree = base
  for (const prefix of PREFIXES) {
    for (const [name, segments] of settingsOf(variables, prefix, schema)) {
      tree = withVariable(tree, { name, segments, variables, schema })
    }
  }
  return tree
}

type Setting = readonly [name: string, segments: readonly string[]]

/** The shallow ones first: what names a single setting is stronger than what gives its whole section. */
function settingsOf({ values }: Variables, prefix: string, schema: Reader<unknown>): readonly Setting[] {
  return Object.keys(values)
    .sort()
    .filter((name) => name.toUpperCase().startsWith(prefix) && !FILE_VARIABLES.has(name.toUpperCase()))
    .map((name): Setting => [name, name.slice(prefix.length).split('__')])
    .filter(([, segments]) => isSetting(segments, schema))
    .sort(([, a], [, b]) => a.length - b.length)
}

/** Other variables with the same prefix belong to others, unless they look like a section. */
function isSetting(segments: readonly string[], schema: Reader<unknown>): boolean {
  const [first = ''] = segments
  const name = first.toLowerCase()
  return schema.fields?.has(name) === true || (segments.length > 1 && /^(app|model)_?set/.test(name))
}

interface OneVariable {
  readonly name: string
  readonly segments: readonly string[]
  readonly variables: Variables
  readonly schema: Reader<unknown>
}

function withVariable(base: TreeMap, { name, segments, variables, schema }: OneVariable): TreeMap {
  const text = variables.values[name] ?? ''
  if (text.trim() === '') return base
  const { file } = variables
  const origin: ConfigOrigin = { from: 'environment', variable: name, ...(file === undefined ? {} : { file }) }
  let value = readYamlValue(text, origin)
  for (const key of keysOf(base, segments, schema).reverse()) value = mapTree([[key, { origin, value }]], origin)
  return value.kind === 'map' ? mergeMaps(base, normalized(value, schema)) : base
}

/** Variables have no small letters, and no dashes: the names are looked up in the schema, then among the user's own. */
function keysOf(base: TreeMap, segments: readonly string[], schema: Reader<unknown>): string[] {
  let level: TreeMap | undefined = base
  let reader: Reader<unknown> | undefined = schema
  const keys: string[] = []
  for (const segment of segments) {
    const key = matching(segment, reader?.fields?.keys() ?? level?.entries.keys() ?? [])
    keys.push(key)
    const below: Tree | undefined = level?.entries.get(key)?.value
    level = below?.kind === 'map' ? below : undefined
    reader = reader?.fields?.get(key)
  }
  return keys
}

function matching(segment: string, names: Iterable<string>): string {
  const all = [...names]
  const lower = segment.toLowerCase()
  return (
    all.find((name) => name === segment) ??
    all.find((name) => name.toLowerCase() === lower) ??
    all.find((name) => name.toLowerCase().replace(/\W/g, '_') === lower) ??
    lower
  )
}
