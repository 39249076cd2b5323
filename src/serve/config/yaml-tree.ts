import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, Scalar } from 'yaml'
import type { Document, Pair, YAMLMap } from 'yaml'

import type { ConfigFinding } from './finding.ts'
import { originText } from './origin.ts'
import type { ConfigOrigin } from './origin.ts'
import { mapTree } from './tree.ts'
import type { Tree, TreeEntry, TreeMap } from './tree.ts'

export interface YamlFile {
  /** Undefined when there are problems. */
  readonly tree: TreeMap | undefined
  readonly problems: readonly ConfigFinding[]
  readonly warnings: readonly ConfigFinding[]
}

/** Reads a YAML file: one document, a map or nothing at all. Anchors, aliases and `<<` are resolved. */
export function readYaml(text: string, file: string): YamlFile {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const originAt = (offset: number): ConfigOrigin => {
    const { line, col } = lines.linePos(offset)
    return { from: 'file', file, line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  const finding = (origin: ConfigOrigin, message: string): ConfigFinding => ({
    path: '',
    origin,
    message: `${originText(origin)}: ${message}`,
  })
  const warnings = document.warnings.map((warning) => finding(originAt(warning.pos[0]), `${warning.message}.`))
  const problems = document.errors.map((error) =>
    finding(originAt(error.pos[0]), `not YAML: ${error.message.replace(/\.$/, '')}.`),
  )
  if (problems.length > 0) return { tree: undefined, problems, warnings }

  const start = originAt(0)
  const reader = new NodeReader(document, originAt, (origin, message) => problems.push(finding(origin, message)))
  const tree = document.contents === null ? mapTree([], start) : reader.read(document.contents)
  if (tree.kind === 'map') return { tree: problems.length > 0 ? undefined : tree, problems, warnings }
  // A file with nothing but comments or `---` is an empty one.
  if (tree.kind === 'scalar' && tree.value === null) return { tree: mapTree([], start), problems, warnings }
  problems.push(finding(tree.origin, 'the file is not a map. Write settings as `key: value`, from `app_settings:` on.'))
  return { tree: undefined, problems, warnings }
}

/**
 * Reads a variable of the environment. Numbers, words such as `true`, quoted text and flow values (`[a, b]`, `{a: 1}`) are
 * YAML; all else is taken as the text that it is, so that keys and URLs need no quotes.
 */
export function readYamlValue(text: string, origin: ConfigOrigin): Tree {
  const raw: Tree = { kind: 'scalar', value: text, origin }
  const document = parseDocument(text, { prettyErrors: false })
  const { contents } = document
  if (document.errors.length > 0 || document.warnings.length > 0 || contents === null) return raw
  const failures: string[] = []
  const reader = new NodeReader(
    document,
    () => origin,
    (_origin, message) => failures.push(message),
  )
  if (isMap(contents) || isSeq(contents)) {
    if (contents.flow !== true) return raw
    const tree = reader.read(contents)
    return failures.length === 0 ? { ...tree, text } : raw
  }
  if (!isScalar(contents)) return raw
  const isQuoted = contents.type === Scalar.QUOTE_DOUBLE || contents.type === Scalar.QUOTE_SINGLE
  if (isQuoted) return { kind: 'scalar', value: contents.value, origin }
  const isWord = contents.type === Scalar.PLAIN && typeof contents.value !== 'string' && !text.trim().startsWith('#')
  return isWord ? { kind: 'scalar', value: contents.value, text: text.trim(), origin } : raw
}

class NodeReader {
  readonly #document: Document
  readonly #originAt: (offset: number) => ConfigOrigin
  readonly #fail: (origin: ConfigOrigin, message: string) => void
  /** What is being read: an alias to one of these would never end. */
  readonly #open = new Set<unknown>()
  /** Read once, however many aliases there are. */
  readonly #done = new Map<unknown, Tree>()

  constructor(
    document: Document,
    originAt: (offset: number) => ConfigOrigin,
    fail: (origin: ConfigOrigin, message: string) => void,
  ) {
    this.#document = document
    this.#originAt = originAt
    this.#fail = fail
  }

  read(node: unknown): Tree {
    const done = this.#done.get(node)
    if (done !== undefined) return done
    this.#open.add(node)
    const tree = this.#readNew(node)
    this.#open.delete(node)
    this.#done.set(node, tree)
    return tree
  }

  #readNew(node: unknown): Tree {
    const origin = this.#origin(node)
    if (isAlias(node)) {
      const target = node.resolve(this.#document)
      if (target !== undefined && !this.#open.has(target)) return this.read(target)
      const what = target === undefined ? 'stands for nothing' : 'contains itself'
      this.#fail(
        origin,
        `the alias *${node.source} ${what}. Name an anchor (&${node.source}) that is complete before it.`,
      )
    } else if (isMap(node)) {
      return this.#readMap(node, origin)
    } else if (isSeq(node)) {
      return { kind: 'list', items: node.items.map((item) => this.read(item)), origin }
    } else if (isScalar(node)) {
      const text = node.type === Scalar.PLAIN && typeof node.value !== 'string' ? node.source : undefined
      return { kind: 'scalar', value: node.value, text, origin }
    }
    return { kind: 'scalar', value: null, origin }
  }

  #readMap(node: YAMLMap, origin: ConfigOrigin): Tree {
    const entries = new Map<string, TreeEntry>()
    const merged: Tree[] = []
    for (const pair of node.items) {
      const key = this.#keyOf(pair)
      if (key === undefined) continue
      // A key without a value stands for the value as well.
      const value: Tree =
        pair.value === null || pair.value === undefined
          ? { kind: 'scalar', value: null, origin: this.#origin(pair.key) }
          : this.read(pair.value)
      if (key === '<<') merged.push(value)
      else entries.set(key, { origin: this.#origin(pair.key), value })
    }
    for (const source of merged.flatMap((value) => (value.kind === 'list' ? value.items : [value]))) {
      if (source.kind !== 'map')
        this.#fail(source.origin, '`<<` merges maps only. Name the anchor of a map, or several.')
      else for (const [key, entry] of source.entries) if (!entries.has(key)) entries.set(key, entry)
    }
    return mapTree(entries, origin)
  }

  #keyOf({ key }: Pair): string | undefined {
    if (isScalar(key)) return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value))
    this.#fail(this.#origin(key), 'a key is a map or a list. Write it as text.')
    return undefined
  }

  #origin(node: unknown): ConfigOrigin {
    const range = isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range : undefined
    return this.#originAt(range?.[0] ?? 0)
  }
}
