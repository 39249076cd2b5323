import { joinPath } from './origin.ts'
import { isNull } from './reader.ts'
import type { Reader } from './reader.ts'
import { BAD } from './reading.ts'
import type { Bad, Reading } from './reading.ts'
import { plain } from './tree.ts'
import type { Tree } from './tree.ts'

/** A reader of single values: they fit or not, and there is nothing more to say about it. */
export interface Leaf<T> extends Reader<T> {
  parse(value: Tree): T | Bad
}

function leaf<T>(expected: string, parse: (value: Tree) => T | Bad): Leaf<T> {
  return {
    expected,
    parse,
    read(value, path, reading) {
      const found = parse(value)
      return found === BAD ? reading.bad(value, path, expected) : found
    },
  }
}

/** What may be switched off with `null`. */
export function orNull<T>(inner: Leaf<T>): Leaf<T | null> {
  return leaf<T | null>(`${inner.expected}, or null`, (value) => (isNull(value) ? null : inner.parse(value)))
}

/** A text. Numbers and words of YAML are taken as they were written, so that `tag: 1.10` stays `1.10`. */
export function text(options: { readonly empty?: 'allowed' } = {}): Leaf<string> {
  const mayBeEmpty = options.empty === 'allowed'
  return leaf(mayBeEmpty ? 'text' : 'text that is not empty', (value) => {
    const found = textOf(value)
    return found !== undefined && (mayBeEmpty || found.trim() !== '') ? found : BAD
  })
}

function textOf(value: Tree): string | undefined {
  if (value.kind !== 'scalar') return value.text
  if (typeof value.value === 'string') return value.value
  return value.value === null ? undefined : value.text
}

export const headerName: Leaf<string> = leaf('the name of an HTTP header', (value) => {
  const name = textOf(value)?.trim() ?? ''
  return /^[\w!#$%&'*+.^`|~-]+$/.test(name) ? name.toLowerCase() : BAD
})

interface Bounds {
  readonly min: number
  readonly max?: number
}

export function integer(bounds: Bounds): Leaf<number> {
  return numeric(
    `a whole number ${boundsText(bounds)}`,
    (value) => Number.isSafeInteger(value) && isWithin(value, bounds),
  )
}

/** Whole or not. */
export function decimal(bounds: Bounds): Leaf<number> {
  return numeric(`a number ${boundsText(bounds)}`, (value) => isWithin(value, bounds))
}

/** More than nothing: a limit of 0 seconds would refuse everything. */
export const seconds: Leaf<number> = numeric('a number of seconds greater than 0', (value) => value > 0)

function numeric(expected: string, isFit: (value: number) => boolean): Leaf<number> {
  return leaf(expected, (value) => {
    const found = value.kind === 'scalar' ? numberOf(value.value) : undefined
    return found !== undefined && Number.isFinite(found) && isFit(found) ? found : BAD
  })
}

/** Digits in quotes are a number for ModalKit, too. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && /^\s*[+-]?\d+(\.\d+)?\s*$/.test(value) ? Number(value) : undefined
}

function isWithin(value: number, { min, max = Infinity }: Bounds): boolean {
  return value >= min && value <= max
}

function boundsText({ min, max }: Bounds): string {
  return max === undefined ? `of at least ${min}` : `from ${min} to ${max}`
}

// YAML 1.1, which ModalKit reads, has more words than the YAML of today.
const WORDS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
  ['yes', true],
  ['no', false],
  ['on', true],
  ['off', false],
])

export const flag: Leaf<boolean> = leaf('true or false', (value) => {
  if (value.kind === 'scalar' && typeof value.value === 'boolean') return value.value
  return WORDS.get(textOf(value)?.trim().toLowerCase() ?? '') ?? BAD
})

export function oneOf<T extends string>(...names: readonly T[]): Leaf<T> {
  return leaf(names.join(' or '), (value) => names.find((name) => name === textOf(value)) ?? BAD)
}

/** A list of texts; one text is a list of one, null an empty one. */
export const texts: Reader<readonly string[]> = {
  expected: 'text or a list of texts',
  read(value, path, reading) {
    if (isNull(value)) return []
    const one = text()
    if (value.kind === 'map') return reading.bad(value, path, this.expected)
    if (value.kind === 'scalar') return listOf(one.read(value, path, reading))
    return value.items.flatMap((item, index) => listOf(one.read(item, joinPath(path, index), reading)))
  },
}

function listOf(found: string | Bad): readonly string[] {
  return found === BAD ? [] : [found]
}

/** A map of texts under names of the user's. */
export const textMap: Reader<Readonly<Record<string, string>>> = {
  expected: 'a map of texts',
  read(value, path, reading) {
    if (isNull(value)) return {}
    if (value.kind !== 'map') return reading.bad(value, path, this.expected)
    const reader = text({ empty: 'allowed' })
    const all: [string, string][] = []
    for (const [key, entry] of value.entries) {
      const at = joinPath(path, key)
      reading.origins.set(at, entry.value.origin)
      const found = reader.read(entry.value, at, reading)
      if (found !== BAD) all.push([key, found])
    }
    return Object.fromEntries(all)
  },
}

/** A map in which everything is the user's: keys and values stay as they are. */
export const freeMap: Reader<Readonly<Record<string, unknown>>> = {
  expected: 'a map',
  read(value, path, reading) {
    if (isNull(value)) return {}
    if (value.kind !== 'map') return reading.bad(value, path, this.expected)
    noteOrigins(value, path, reading)
    return Object.fromEntries([...value.entries].map(([key, entry]) => [key, plain(entry.value)]))
  },
}

function noteOrigins(value: Tree, path: string, reading: Reading): void {
  reading.origins.set(path, value.origin)
  if (value.kind !== 'map') return
  for (const [key, entry] of value.entries) noteOrigins(entry.value, joinPath(path, key), reading)
}

const REFERENCE = /^\$\{(\w+)\}$/

/**
 * API keys: one, or a list. `${NAME}` stands for a variable of the environment. An empty key is refused: whoever sends none
 * would be let in.
 */
export const apiKeys: Reader<readonly string[]> = {
  expected: 'a key or a list of keys, each text that is not empty, or ${NAME} for a variable of the environment',
  secret: true,
  read(value, path, reading) {
    if (isNull(value)) return []
    const items = value.kind === 'list' ? value.items : [value]
    return [...new Set(items.flatMap((item) => listOf(apiKey(item, path, reading))))]
  },
}

function apiKey(value: Tree, path: string, reading: Reading): string | Bad {
  const written = textOf(value)?.trim()
  if (written === undefined || written === '') return reading.badSecret(value, path, apiKeys.expected)
  const name = REFERENCE.exec(written)?.[1]
  if (name === undefined) return written
  const found = reading.variable(name)?.trim()
  if (found !== undefined && found !== '') return found
  reading.problem(path, value.origin, `is \${${name}}, and no variable ${name} is set. Set it, or name another one.`)
  return BAD
}
