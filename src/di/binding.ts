import type { Deps, DepsOrThunk, Key } from '../contract/index.ts'
import type { Edge } from './keys.ts'
import { nameOf, toEdge } from './keys.ts'
import type { Registered } from './module.ts'
import type { Pending } from './pending.ts'
import type { Lifetime, Recipe } from './provider.ts'
import type { Registry } from './registry.ts'

/** Stands for "not made yet", since every value is possible, `undefined` too. */
export const UNSET: unique symbol = Symbol('unset')

/** A dependency with what it leads to. */
export interface Link {
  readonly name: string
  readonly mode: Edge['mode']
  readonly key: Key
  /** Without aliases; more than one only for `all`. */
  readonly targets: readonly Binding[]
  /** The one whose value it is; `undefined` for `lazy` and `all`, and where nothing is bound. */
  readonly target: Binding | undefined
}

/** One provider in one container; of a singleton, also its value. */
export class Binding {
  readonly key: Key
  readonly name: string
  readonly moduleName: string | undefined
  readonly recipe: Recipe
  readonly scope: Lifetime
  readonly eager: boolean
  readonly isMulti: boolean
  readonly isOverride: boolean
  readonly dispose: ((value: never) => unknown) | false | undefined
  readonly registry: Registry
  readonly source: Registered
  /** Of a singleton: the value, or {@link UNSET}. */
  value: unknown = UNSET
  /** Of a singleton: its making, while that goes on. */
  pending: Pending | undefined
  #edges: readonly Edge[] | undefined
  #links: readonly Link[] | undefined
  #hasLazy: boolean | undefined

  constructor(source: Registered, registry: Registry) {
    const { provider, moduleName } = source
    this.key = provider.key
    this.name = nameOf(provider.key)
    this.moduleName = moduleName
    this.recipe = provider.recipe
    this.scope = provider.scope
    this.eager = provider.eager
    this.isMulti = provider.multi
    this.isOverride = provider.override
    this.dispose = provider.dispose
    this.registry = registry
    this.source = source
    if (provider.recipe.kind === 'value') this.value = provider.recipe.value
  }

  get edges(): readonly Edge[] {
    return (this.#edges ??=
      this.recipe.kind === 'alias'
        ? [{ name: '', mode: 'alias', key: this.recipe.target }]
        : edgesOf(this.source.provider.deps, this.name))
  }

  /** Only of what was checked: every edge leads somewhere. */
  get links(): readonly Link[] {
    return (this.#links ??= this.registry.link(this.edges))
  }

  get hasLazy(): boolean {
    return (this.#hasLazy ??= this.edges.some(({ mode }) => mode === 'lazy'))
  }

  /** Whether something of it has to be closed, as far as its provider says. */
  get hasCloser(): boolean {
    return this.recipe.kind === 'use' || typeof this.dispose === 'function'
  }
}

/** The record, or what its thunk returns. */
function depsOf(deps: DepsOrThunk | undefined): Deps {
  if (deps === undefined) return {}
  return typeof deps === 'function' ? deps() : deps
}

export function edgesOf(deps: DepsOrThunk | undefined, holder: string): readonly Edge[] {
  return Object.entries(depsOf(deps)).map(([name, dependency]) => toEdge(name, dependency, holder))
}
