import type { ErrorCode, Key } from '../contract/index.ts'
import type { Binding } from './binding.ts'
import type { Edge } from './keys.ts'
import { nameOf } from './keys.ts'
import { nearest } from './nearest.ts'
import type { Problem } from './problems.ts'
import type { Registry } from './registry.ts'

/** Somebody who asks for values: a task, a middleware, a caller of `get`. */
export interface Root {
  /** `undefined`: paths begin with the key. */
  readonly label: string | undefined
  readonly edges: readonly Edge[]
  /** Whether it still uses the values when the scope is closed. */
  readonly outlivesScope?: boolean | undefined
}

/** Every problem that is reachable from these roots, each once, in linear time. */
export function findProblems(registry: Registry, roots: readonly Root[]): readonly Problem[] {
  return new Search(registry).run(roots)
}

/** Keys that are bound, and reached from none of these roots. */
export function findUnused(registry: Registry, roots: readonly Root[]): readonly Problem[] {
  const search = new Search(registry)
  search.run(roots)
  return registry.all
    .filter((binding) => binding.moduleName !== BUILT_IN && !search.hasSeen(binding))
    .map(({ name }) => ({
      code: 'KIQ_DI_UNUSED',
      severity: 'info',
      path: [name],
      message: `${name} is bound, and no task or middleware reaches it.`,
      hint: 'Remove it, unless other code asks the container for it.',
    }))
}

/** Name of the module of what every container has. */
export const BUILT_IN = 'kiq'

/** A depth-first walk: what is on the stack when it is met again closes a cycle. */
class Search {
  readonly #registry: Registry
  readonly #problems: Problem[] = []
  readonly #state = new Map<Binding, 'open' | 'done'>()
  readonly #scopedVia = new Map<Binding, readonly string[] | undefined>()
  /** Behind `lazy()`: they are looked at later, as no cycle goes through them. */
  readonly #later: { readonly binding: Binding; readonly path: readonly string[] }[] = []
  readonly #keysByName = new Map<string, Set<Key>>()

  constructor(registry: Registry) {
    this.#registry = registry
  }

  run(roots: readonly Root[]): readonly Problem[] {
    for (const { label, edges, outlivesScope } of roots) {
      const path = label === undefined ? [] : [label]
      this.#follow(edges, path, undefined)
      if (outlivesScope) this.#checkHooks(edges, path)
    }
    for (const { binding, path } of this.#later) this.#visit(binding, path)
    this.#checkNames()
    return this.#problems
  }

  hasSeen(binding: Binding): boolean {
    return this.#state.has(binding)
  }

  #visit(binding: Binding, from: readonly string[]): void {
    if (this.#state.has(binding)) return
    this.#state.set(binding, 'open')
    const path = [...from, binding.name]
    this.#follow(binding.edges, path, binding)
    this.#state.set(binding, 'done')
    if (binding.scope === 'singleton' && binding.recipe.kind !== 'alias') this.#checkSingleton(binding, path)
  }

  #follow(edges: readonly Edge[], path: readonly string[], holder: Binding | undefined): void {
    for (const { key, mode } of edges) {
      this.#noteName(key)
      const targets = this.#registry.find(key)
      if (targets.length === 0 && mode !== 'optional' && mode !== 'all') this.#missing(key, path)
      if (targets.length > 1 && mode !== 'all') this.#several(key, path, targets.length)
      for (const target of targets) {
        if (mode === 'lazy') this.#later.push({ binding: target, path })
        else if (this.#state.get(target) === 'open') this.#cycle(target, path, holder)
        else this.#visit(target, path)
      }
    }
  }

  #missing(key: Key, path: readonly string[]): void {
    const name = nameOf(key)
    const names = [...this.#registry.keys].map(nameOf)
    const close = nearest(name, names)
    const hint = names.includes(name)
      ? `Another key named ${name} is bound: was it made twice, or is its module installed twice?`
      : `Bind it in a module of the container, or ask for optional(${name}).${close === undefined ? '' : ` Did you mean ${close}?`}`
    this.#report('KIQ_DI_MISSING', [...path, name], `Nothing is bound to ${name}`, hint)
  }

  #several(key: Key, path: readonly string[], count: number): void {
    const name = nameOf(key)
    const hint = `Ask for all(${name}).`
    this.#report('KIQ_DI_DUPLICATE', [...path, name], `${name} has ${count} values where one is asked for`, hint)
  }

  #cycle(target: Binding, path: readonly string[], holder: Binding | undefined): void {
    // The stack from the target on; what comes before it only leads there.
    const cycle = [...path.slice(path.lastIndexOf(target.name)), target.name]
    const hint = `Ask for lazy(${target.name}) in ${holder?.name ?? target.name}, or take out what both need.`
    this.#report('KIQ_DI_CYCLE', cycle, 'These need each other to be made', hint)
  }

  #checkSingleton(binding: Binding, path: readonly string[]): void {
    for (const { key } of binding.edges) {
      for (const target of this.#registry.find(key)) {
        const via = this.#pathToScoped(target)
        if (via) {
          const hint =
            `Make ${binding.name} scoped, or pass the value as an argument of its methods. What lives as long as the ` +
            'container cannot hold what ends with a task.'
          const what = `The singleton ${binding.name} would keep ${via.at(-1)} of one task for ever`
          this.#report('KIQ_DI_CAPTIVE', [...path, ...via], what, hint)
        }
        if (target.scope === 'transient' && target.hasCloser) this.#heldTransient(target, path)
      }
    }
  }

  #heldTransient(target: Binding, path: readonly string[]): void {
    this.#problems.push({
      code: 'KIQ_DI_TRANSIENT_HELD',
      severity: 'warning',
      path: [...path, target.name],
      message: `${[...path, target.name].join(' > ')}: the transient is closed only when the container is.`,
      hint: `Make ${target.name} a singleton, or its holder scoped.`,
    })
  }

  /** Names from this binding to a scoped one it would hold; singletons in between answer for themselves. */
  #pathToScoped(binding: Binding): readonly string[] | undefined {
    if (binding.recipe.kind !== 'alias' && binding.scope === 'scoped') return [binding.name]
    if (binding.recipe.kind !== 'alias' && binding.scope === 'singleton') return undefined
    if (this.#scopedVia.has(binding)) return this.#scopedVia.get(binding)
    // Also what ends a circle.
    this.#scopedVia.set(binding, undefined)
    for (const { key } of binding.edges) {
      for (const target of this.#registry.find(key)) {
        const via = this.#pathToScoped(target)
        if (via) {
          const path = [binding.name, ...via]
          this.#scopedVia.set(binding, path)
          return path
        }
      }
    }
    return undefined
  }

  #checkHooks(edges: readonly Edge[], path: readonly string[]): void {
    for (const { key } of edges) {
      for (const target of this.#registry.find(key)) {
        const via = target.moduleName === BUILT_IN ? undefined : this.#pathToScoped(target)
        if (via === undefined) continue
        this.#report(
          'KIQ_DI_HOOK_SCOPED',
          [...path, ...via],
          `The hooks after the task would use ${via.at(-1)} when its scope is closed already`,
          "Give the middleware `phase: 'inside'`, so that they run before that.",
        )
      }
    }
  }

  #noteName(key: Key): void {
    if (!('tokenName' in key)) return
    const keys = this.#keysByName.get(key.tokenName)
    if (keys) keys.add(key)
    else this.#keysByName.set(key.tokenName, new Set([key]))
  }

  #checkNames(): void {
    for (const key of this.#registry.keys) this.#noteName(key)
    for (const [name, keys] of this.#keysByName) {
      if (keys.size < 2) continue
      this.#problems.push({
        code: 'KIQ_DI_SAME_NAME',
        severity: 'warning',
        path: [name],
        message: `${keys.size} different tokens are named ${name}.`,
        hint: 'Give each a name of its own; if it is meant to be one, make it once and import it.',
      })
    }
  }

  #report(code: ErrorCode, path: readonly string[], what: string, hint: string): void {
    this.#problems.push({ code, severity: 'error', path, message: `${what}: ${path.join(' > ')}.`, hint })
  }
}
