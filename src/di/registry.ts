import type { Key } from '../contract/index.ts'
import type { Link } from './binding.ts'
import { Binding } from './binding.ts'
import type { Edge } from './keys.ts'
import type { Registered } from './module.ts'
import type { Problem } from './problems.ts'

const NONE: readonly Binding[] = []

export interface SingletonOwner {
  /** The value, or a {@link Pending} of it. */
  singleton(binding: Binding): unknown
}

/** What is bound to which key in one container. */
export class Registry {
  readonly #bindings = new Map<Key, readonly Binding[]>()
  /** Of the registration itself. */
  readonly problems: Problem[] = []
  /** Who makes and closes the singletons that are bound here. */
  owner: SingletonOwner | undefined

  static of(registered: readonly Registered[]): Registry {
    const registry = new Registry()
    registry.#add(registered)
    return registry
  }

  /** The bindings of that key, aliases not followed. */
  find(key: Key): readonly Binding[] {
    return this.#bindings.get(key) ?? NONE
  }

  get all(): readonly Binding[] {
    return [...this.#bindings.values()].flat()
  }

  get keys(): Iterable<Key> {
    return this.#bindings.keys()
  }

  /** Where the key leads to, behind all aliases; nothing where they form a circle. */
  leaves(key: Key): readonly Binding[] {
    const seen = new Set([key])
    const leaves: Binding[] = []
    for (const one of seen) {
      for (const binding of this.find(one)) {
        if (binding.recipe.kind === 'alias') seen.add(binding.recipe.target)
        else leaves.push(binding)
      }
    }
    return leaves
  }

  link(edges: readonly Edge[]): readonly Link[] {
    return edges.map(({ name, mode, key }) => {
      const targets = this.leaves(key)
      return { name, mode, key, targets, target: mode === 'lazy' || mode === 'all' ? undefined : targets[0] }
    })
  }

  /**
   * The same with other providers for some keys. Bindings that reach none of those keys are the same objects, and so are
   * the singletons they hold.
   */
  fork(overrides: readonly Registered[]): Registry {
    const fork = new Registry()
    fork.problems.push(...this.problems)
    const affected = this.#reaching(overrides.map(({ provider }) => provider.key))
    const replaced = new Set(overrides.map(({ provider }) => provider.key))
    for (const [key, bindings] of this.#bindings) {
      if (replaced.has(key)) continue
      fork.#bindings.set(key, affected.has(key) ? bindings.map((one) => fork.#binding(one.source)) : bindings)
    }
    fork.#add(overrides)
    return fork
  }

  /** The same providers and some more, of which nothing is made yet. */
  copy(more: readonly Registered[]): Registry {
    const copy = Registry.of([...this.all.map(({ source }) => source), ...more])
    copy.problems.unshift(...this.problems)
    return copy
  }

  #binding(source: Registered): Binding {
    return new Binding(source, this)
  }

  /** Of several for one key those with `override` win, wherever they stand. */
  #add(registered: readonly Registered[]): void {
    const byKey = new Map<Key, Binding[]>()
    for (const source of registered) {
      const known = byKey.get(source.provider.key)
      if (known) known.push(this.#binding(source))
      else byKey.set(source.provider.key, [this.#binding(source)])
    }
    for (const [key, bindings] of byKey) {
      const overrides = bindings.filter(({ isOverride }) => isOverride)
      const candidates = overrides.length > 0 ? overrides : bindings
      const isUnique = candidates.length === 1 || candidates.every(({ isMulti }) => isMulti)
      this.#bindings.set(key, isUnique ? candidates : candidates.slice(-1))
      if (!isUnique && overrides.length === 0) this.problems.push(duplicate(candidates))
    }
  }

  /** The keys from which one of those can be reached, these included. */
  #reaching(keys: readonly Key[]): ReadonlySet<Key> {
    const holders = new Map<Key, Key[]>()
    for (const binding of this.all) {
      for (const { key } of binding.edges) {
        const known = holders.get(key)
        if (known) known.push(binding.key)
        else holders.set(key, [binding.key])
      }
    }
    const reached = new Set(keys)
    for (const key of reached) {
      for (const holder of holders.get(key) ?? []) reached.add(holder)
    }
    return reached
  }
}

function duplicate(bindings: readonly Binding[]): Problem {
  const name = bindings.map((binding) => binding.name).at(0) ?? ''
  const places = bindings.map(({ moduleName }) =>
    moduleName === undefined ? 'the container itself' : `module "${moduleName}"`,
  )
  const [place, ...others] = places
  const isTwice = place !== 'the container itself' && others.every((other) => other === place)
  return {
    code: 'KIQ_DI_DUPLICATE',
    severity: 'error',
    path: [name],
    message: `${name} is bound ${places.length} times: in ${places.join(', in ')}.`,
    hint:
      'Remove one; or mark the one that is to win with `override: true`; or mark all with `multi: true` and ask for ' +
      `all(${name}).` +
      (isTwice ? ' Was the module made twice, with settings of its own each time?' : ''),
  }
}
