import type { Key } from '../contract/index.ts'
import type { Binding } from './binding.ts'
import { BUILT_IN } from './find-problems.ts'
import type { Root } from './find-problems.ts'
import type { Edge } from './keys.ts'
import { nameOf } from './keys.ts'
import type { Lifetime, Recipe } from './provider.ts'
import type { Registry } from './registry.ts'

export interface GraphNode {
  /** Unique in this graph; the name, with a number where it is not. */
  readonly id: string
  readonly name: string
  /** A `task`, a key to which nothing is bound (`missing`), or how its value is made. */
  readonly kind: 'task' | 'missing' | Recipe['kind']
  readonly scope?: Lifetime | undefined
  readonly module?: string | undefined
}

export interface GraphEdge {
  readonly from: string
  readonly to: string
  /** As the one that needs it calls it. */
  readonly name: string
  readonly mode: Edge['mode']
}

/** Who needs what: tasks and bindings, and the dependencies between them. Built-in keys are shown where they are used. */
export class Graph {
  readonly nodes: readonly GraphNode[]
  readonly edges: readonly GraphEdge[]

  /** @internal Use `container.graph()`. */
  constructor(registry: Registry, roots: readonly Root[]) {
    const builder = new Builder(registry)
    for (const root of roots) builder.addRoot(root)
    for (const binding of registry.all) if (binding.moduleName !== BUILT_IN) builder.addBinding(binding)
    this.nodes = builder.nodes
    this.edges = builder.edges
  }

  /** Mermaid's `flowchart`. */
  toMermaid(): string {
    const ids = new Map(this.nodes.map(({ id }, i) => [id, `n${i}`]))
    const lines = this.nodes.map((node) => {
      const text = `"${captionOf(node).map(escapeMermaid).join('<br>')}"`
      const [open, close] = SHAPES[node.kind === 'task' ? 'task' : (node.scope ?? 'missing')]
      return `  ${ids.get(node.id)}${open}${text}${close}`
    })
    const arrows = this.edges.map(({ from, to, mode }) => {
      const arrow = modeText(mode) === '' ? '-->' : `-. ${mode} .->`
      return `  ${ids.get(from)} ${arrow} ${ids.get(to)}`
    })
    return ['flowchart LR', ...lines, ...arrows, ''].join('\n')
  }

  /** Graphviz. */
  toDot(): string {
    const lines = this.nodes.map((node) => {
      const shape = node.kind === 'task' ? 'ellipse' : node.kind === 'missing' ? 'octagon' : 'box'
      return `  ${quote(node.id)} [label=${quote(captionOf(node).join('\n'))}, shape=${shape}];`
    })
    const arrows = this.edges.map(({ from, to, mode }) => {
      const style = modeText(mode) === '' ? '' : ` [style=dashed, label=${quote(mode)}]`
      return `  ${quote(from)} -> ${quote(to)}${style};`
    })
    return ['digraph kiq {', '  rankdir=LR;', ...lines, ...arrows, '}', ''].join('\n')
  }

  toJSON(): { readonly nodes: readonly GraphNode[]; readonly edges: readonly GraphEdge[] } {
    return { nodes: this.nodes, edges: this.edges }
  }

  /**
   * What a key is, all that it needs, and who needs it, as text.
   *
   * @param key - A key, or a name: of a key, or `task:` and that of a task.
   */
  explain(key: Key | string): string {
    const name = typeof key === 'string' ? key : nameOf(key)
    const found = this.nodes.filter((node) => node.name === name)
    if (found.length === 0) return `${name}: nothing is bound to it, and nobody needs it.\n`
    return found.map((node) => this.#explain(node)).join('\n')
  }

  #explain(node: GraphNode): string {
    const users = this.edges.filter(({ to }) => to === node.id).map(({ from, mode }) => from + modeText(mode))
    const needs = [captionOf(node).join(', '), ...this.#needs(node.id, '  ', new Set([node.id]))]
    if (node.kind === 'task') return [...needs, ''].join('\n')
    return [...needs, users.length === 0 ? 'needed by nobody' : `needed by ${[...new Set(users)].join(', ')}`, ''].join(
      '\n',
    )
  }

  /** @param shown - Whose needs were told already: once is enough, and in a net it would not end soon. */
  #needs(id: string, indent: string, shown: Set<string>): readonly string[] {
    return this.edges
      .filter(({ from }) => from === id)
      .flatMap(({ to, name, mode }) => {
        const node = this.nodes.find((one) => one.id === to) as GraphNode
        const label = name === '' || name === node.name ? '' : `${name}: `
        const line = `${indent}${label}${captionOf(node).join(', ')}${modeText(mode)}`
        const needs = shown.has(to) ? [] : this.#needs(to, `${indent}  `, shown.add(to))
        const isTold = needs.length === 0 && this.edges.some(({ from }) => from === to)
        return [isTold ? `${line} (see above)` : line, ...needs]
      })
  }
}

const SHAPES = {
  task: ['([', '])'],
  singleton: ['[', ']'],
  scoped: ['(', ')'],
  transient: ['>', ']'],
  missing: ['{{', '}}'],
} as const

class Builder {
  readonly nodes: GraphNode[] = []
  readonly edges: GraphEdge[] = []
  readonly #registry: Registry
  readonly #ids = new Map<Binding | Key, string>()
  readonly #taken = new Set<string>()

  constructor(registry: Registry) {
    this.#registry = registry
  }

  addRoot({ label, edges }: Root): void {
    const id = this.#add({ name: label ?? '', kind: 'task' })
    this.#follow(id, edges)
  }

  addBinding(binding: Binding): string {
    const known = this.#ids.get(binding)
    if (known !== undefined) return known
    const { name, recipe, scope, moduleName } = binding
    const id = this.#add({
      name,
      kind: recipe.kind,
      scope,
      ...(moduleName === undefined ? {} : { module: moduleName }),
    })
    this.#ids.set(binding, id)
    const isClass = recipe.kind === 'class'
    this.#follow(id, isClass ? binding.edges.map(asParameter) : binding.edges)
    return id
  }

  #follow(from: string, edges: readonly Edge[]): void {
    for (const { name, mode, key } of edges) {
      const targets = this.#registry.find(key)
      for (const target of targets) this.edges.push({ from, to: this.addBinding(target), name, mode })
      if (targets.length === 0) this.edges.push({ from, to: this.#missing(key), name, mode })
    }
  }

  #missing(key: Key): string {
    const known = this.#ids.get(key)
    if (known !== undefined) return known
    const id = this.#add({ name: nameOf(key), kind: 'missing' })
    this.#ids.set(key, id)
    return id
  }

  #add(node: Omit<GraphNode, 'id'>): string {
    let id = node.name
    for (let n = 2; this.#taken.has(id); n += 1) id = `${node.name} ${n}`
    this.#taken.add(id)
    this.nodes.push({ id, ...node })
    return id
  }
}

/** The names of a constructor's dependencies are their positions. */
function asParameter(edge: Edge): Edge {
  return { ...edge, name: `parameter ${Number(edge.name) + 1}` }
}

function captionOf({ name, kind, scope, module }: GraphNode): readonly string[] {
  if (kind === 'task') return [name]
  if (kind === 'missing') return [name, 'nothing is bound to it']
  const how = kind === 'alias' ? 'alias' : kind === 'ambient' ? 'built in' : `${scope ?? ''} ${kind}`
  return [name, how, ...(module === undefined || module === BUILT_IN ? [] : [`module ${module}`])]
}

function modeText(mode: Edge['mode']): string {
  return mode === 'one' || mode === 'alias' ? '' : ` (${mode})`
}

function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`
}

/** Mermaid reads entity codes in quoted texts. */
function escapeMermaid(text: string): string {
  return text.replaceAll('"', '#quot;').replaceAll('<', '#lt;').replaceAll('>', '#gt;')
}
