import type { ErrorCode, InjectedTask, Key } from '../contract/index.ts'
import { edgesOf } from './binding.ts'
import type { Binding } from './binding.ts'
import type { Edge } from './keys.ts'
import { nameOf } from './keys.ts'
import { nearest } from '../util/nearest.ts'
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

export function rootOfTask({ name, deps }: Pick<InjectedTask, 'name' | 'deps'>): Root {
  const label = `task:${name}`
  return { label, edges: edgesOf(deps, label) }
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

/** Who is being looked at, and which of the bindings it needs comes next. */
interface Frame {
  /** `undefined`: a root. */
  readonly binding: Binding | undefined
  readonly targets: readonly Binding[]
  next: number
}

/** The next step on the way from a binding to a scoped one that it would hold. */
type ScopedWays = ReadonlyMap<Binding, Binding | undefined>

/** A depth-first walk, with a stack of its own: what is on it when it is met again closes a cycle. */
class Search {
  readonly #registry: Registry
  readonly #problems: Problem[] = []
  readonly #state = new Map<Binding, 'open' | 'done'>()
  readonly #waysToScoped: ScopedWays
  /** Behind `lazy()`: they are looked at later, as no cycle goes through them. */
  readonly #later: { readonly binding: Binding; readonly path: readonly string[] }[] = []
  readonly #keysByName = new Map<string, Set<Key>>()

  constructor(registry: Registry) {
    this.#registry = registry
    this.#waysToScoped = waysToScoped(registry)
  }

  run(roots: readonly Root[]): readonly Problem[] {
    for (const { label, edges, outlivesScope } of roots) {
      const path = label === undefined ? [] : [label]
      this.#walk(undefined, edges, path)
      if (outlivesScope) this.#checkHooks(edges, path)
    }
    for (const { binding, path } of this.#later) {
      if (!this.#state.has(binding)) this.#walk(binding, binding.edges, path)
    }
    this.#checkNames()
    return this.#problems
  }

  hasSeen(binding: Binding): boolean {
    return this.#state.has(binding)
  }

  /** @param path - Names that lead there. */
  #walk(start: Binding | undefined, edges: readonly Edge[], path: readonly string[]): void {
    const stack: Frame[] = []
    const enter = (binding: Binding | undefined, its: readonly Edge[]): void => {
      if (binding) this.#state.set(binding, 'open')
      const frame = { binding, targets: [] as Binding[], next: 0 }
      stack.push(frame)
      frame.targets.push(...this.#targets(its, () => [...path, ...namesOf(stack)]))
    }
    enter(start, edges)
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const target = frame.targets[frame.next]
      frame.next += 1
      if (target === undefined) {
        const { binding } = frame
        if (binding) this.#leave(binding, () => [...path, ...namesOf(stack)])
        stack.pop()
      } else if (this.#state.get(target) === 'open') {
        const cycle = stack.slice(stack.findIndex(({ binding }) => binding === target))
        this.#cycle([...namesOf(cycle), target.name], frame.binding ?? target)
      } else if (!this.#state.has(target)) {
        enter(target, target.edges)
      }
    }
  }

  #leave(binding: Binding, path: () => readonly string[]): void {
    this.#state.set(binding, 'done')
    if (binding.scope === 'singleton' && binding.recipe.kind !== 'alias') this.#checkSingleton(binding, path)
  }

  /** Checks the edges themselves. @returns What has to be made before the one that has them. */
  #targets(edges: readonly Edge[], path: () => readonly string[]): readonly Binding[] {
    return edges.flatMap(({ key, mode }) => {
      this.#noteName(key)
      const targets = this.#registry.find(key)
      if (targets.length === 0 && mode !== 'optional' && mode !== 'all') this.#missing(key, path())
      if (mode === 'one' || mode === 'optional' || mode === 'lazy') {
        const count = this.#registry.leaves(key).length
        if (count > 1) this.#several(key, path(), count)
      }
      if (mode !== 'lazy') return targets
      for (const binding of targets) this.#later.push({ binding, path: path() })
      return []
    })
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

  #cycle(cycle: readonly string[], holder: Binding): void {
    const hint = `Ask for lazy(${cycle.at(-1)}) in ${holder.name}, or take out what both need.`
    this.#report('KIQ_DI_CYCLE', cycle, 'These need each other to be made', hint)
  }

  #checkSingleton(binding: Binding, path: () => readonly string[]): void {
    for (const { key } of binding.edges) {
      for (const target of this.#registry.find(key)) {
        const via = this.#pathToScoped(target)
        if (via) {
          const hint =
            `Make ${binding.name} scoped, or pass the value as an argument of its methods. What lives as long as the ` +
            'container cannot hold what ends with a task.'
          const what = `The singleton ${binding.name} would keep ${via.at(-1)} of one task for ever`
          this.#report('KIQ_DI_CAPTIVE', [...path(), ...via], what, hint)
        }
      }
      for (const held of this.#registry.leaves(key)) {
        if (held.scope === 'transient' && held.hasCloser) this.#heldTransient(held, path())
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

  /** Names from this binding to a scoped one that it would hold; singletons in between answer for themselves. */
  #pathToScoped(binding: Binding): readonly string[] | undefined {
    if (!this.#waysToScoped.has(binding)) return undefined
    const names: string[] = []
    for (let at: Binding | undefined = binding; at; at = this.#waysToScoped.get(at)) names.push(at.name)
    return names
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

function namesOf(stack: readonly Frame[]): readonly string[] {
  return stack.flatMap(({ binding }) => (binding ? [binding.name] : []))
}

/** From the scoped ones backwards, through transients and aliases. */
function waysToScoped(registry: Registry): ScopedWays {
  const holders = new Map<Key, Binding[]>()
  const ways = new Map<Binding, Binding | undefined>()
  for (const binding of registry.all) {
    const isAlias = binding.recipe.kind === 'alias'
    if (binding.scope === 'scoped' && !isAlias) ways.set(binding, undefined)
    if (binding.scope !== 'transient' && !isAlias) continue
    for (const { key } of binding.edges) {
      const known = holders.get(key)
      if (known) known.push(binding)
      else holders.set(key, [binding])
    }
  }
  // Grows while it is gone through.
  for (const [binding] of ways) {
    for (const holder of holders.get(binding.key) ?? []) if (!ways.has(holder)) ways.set(holder, binding)
  }
  return ways
}
