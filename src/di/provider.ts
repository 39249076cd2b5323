import { ConfigError } from '../contract/index.ts'
import type {
  AllKey,
  Deps,
  DepsOrThunk,
  Key,
  LazyKey,
  MaybePromise,
  OptionalKey,
  Provider,
  Values,
} from '../contract/index.ts'
import { show } from '../util/show.ts'
import { isKey, nameOf } from './keys.ts'
import type { ScopeStore } from './scope.ts'

/**
 * How long a value lives.
 *
 * - `singleton`: one per container, made before the worker takes its first message, closed with the container.
 * - `scoped`: one per scope, which is one execution of a task; closed at its end.
 * - `transient`: a new one wherever it is asked for; closed with the scope that asked.
 */
export type Lifetime = 'singleton' | 'scoped' | 'transient'

const LIFETIMES: readonly unknown[] = ['singleton', 'scoped', 'transient']

interface Registration {
  /** Replaces what was bound to the key before, instead of being a duplicate. */
  readonly override?: boolean | undefined
  /** One of several values of its key: `all(key)` gives them. */
  readonly multi?: boolean | undefined
}

interface Making extends Registration {
  /** @defaultValue `'singleton'` */
  readonly scope?: Lifetime | undefined
  /**
   * Whether a singleton is made before the first message, or when it is first asked for.
   *
   * @defaultValue `true`
   */
  readonly eager?: boolean | undefined
}

/** What stands where no dependencies are declared. */
export type NoDeps = Readonly<Record<string, never>>

/** A value that exists already. Never closed. */
export interface ValueSpec<T> extends Registration {
  readonly value: T
}

/** A function makes it, sync or async. */
export interface CreateSpec<T, D extends Deps> extends Making {
  readonly deps?: DepsOrThunk<D> | undefined
  readonly create: (deps: Values<D>) => MaybePromise<T>
  /**
   * Closes the value; without it `Symbol.asyncDispose` or `Symbol.dispose` of the value does, if it has one. `false` = it
   * is not ours to close.
   */
  readonly dispose?: ((value: T) => MaybePromise<void>) | false | undefined
}

/** A key for each parameter of a constructor. */
export type ParamKeys<A extends readonly unknown[]> = { readonly [N in keyof A]: ParamKey<A[N]> }
type ParamKey<P> =
  | Key<P>
  | (undefined extends P ? OptionalKey<Exclude<P, undefined>> : never)
  | (P extends () => Promise<infer T> ? LazyKey<T> : never)
  | (P extends readonly (infer T)[] ? AllKey<T> : never)

/** A class makes it; `params` has a key for each parameter of the constructor. */
export interface ClassSpec<T, C extends new (...args: never[]) => T> extends Making {
  readonly class: C
  readonly params: ParamKeys<ConstructorParameters<C>>
  readonly dispose?: ((value: T) => MaybePromise<void>) | false | undefined
}

/**
 * A generator makes it, and sees how things ended: what follows its one `yield` runs at the end of the scope, or the error
 * of the task is thrown there.
 */
export interface UseSpec<T, D extends Deps> extends Making {
  readonly deps?: DepsOrThunk<D> | undefined
  readonly use: (deps: Values<D>) => Generator<T, void, void> | AsyncGenerator<T, void, void>
}

/** Another name of another key. */
export interface AliasSpec<T> extends Registration {
  readonly alias: Key<T>
}

/** How a value is made, whatever the form it was written in. */
export type Recipe =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'create'; readonly create: (deps: never) => unknown }
  | { readonly kind: 'class'; readonly class: new (...args: never[]) => unknown }
  | { readonly kind: 'use'; readonly use: (deps: never) => Generator | AsyncGenerator }
  | { readonly kind: 'alias'; readonly target: Key }
  /** Part of every scope: nothing is made. */
  | { readonly kind: 'ambient'; readonly read: (scope: ScopeStore) => unknown }

/** A provider as the container reads it. */
export interface ProviderRecord extends Provider {
  readonly recipe: Recipe
  readonly scope: Lifetime
  readonly deps: DepsOrThunk
  readonly dispose: ((value: never) => unknown) | false | undefined
  readonly eager: boolean
  readonly override: boolean
  readonly multi: boolean
}

/**
 * Says what a key stands for: exactly one of `value`, `create`, `class`, `use` and `alias`. The key decides the type.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when that is not so.
 */
export function bind<T>(key: Key<T>, spec: ValueSpec<NoInfer<T>> | AliasSpec<NoInfer<T>>): Provider
export function bind<T, const D extends Deps = NoDeps>(
  key: Key<T>,
  spec: CreateSpec<NoInfer<T>, D> | UseSpec<NoInfer<T>, D>,
): Provider
export function bind<T, C extends new (...args: never[]) => NoInfer<T>>(
  key: Key<T>,
  spec: ClassSpec<NoInfer<T>, C>,
): Provider
export function bind(key: Key, spec: object): Provider {
  return read(key, spec)
}

interface AnySpec extends Making {
  readonly value?: unknown
  readonly alias?: unknown
  readonly create?: unknown
  readonly class?: unknown
  readonly use?: unknown
  readonly deps?: DepsOrThunk | undefined
  readonly params?: readonly Key[] | undefined
  readonly dispose?: ((value: never) => unknown) | false | undefined
}

const FORMS = ['value', 'create', 'class', 'use', 'alias'] as const

function read(key: Key, spec: AnySpec): ProviderRecord {
  if (!isKey(key)) throw invalid(`The first argument of bind() is ${show(key)}. Pass a token or a class.`)
  const name = nameOf(key)
  if (typeof spec !== 'object' || (spec as unknown) === null) {
    throw invalid(`bind(${name}) was given ${show(spec)}. Give it one of: ${FORMS.join(', ')}.`)
  }
  const forms = FORMS.filter((form) => (form === 'value' ? form in spec : spec[form] !== undefined))
  const [form] = forms
  if (form === undefined || forms.length > 1) {
    throw invalid(`bind(${name}) has ${forms.join(' and ') || 'no recipe'}. Give it one of: ${FORMS.join(', ')}.`)
  }
  for (const flag of ['eager', 'override', 'multi'] as const) {
    const value: unknown = spec[flag]
    if (value !== undefined && typeof value !== 'boolean') {
      throw invalid(`\`${flag}\` of ${name} is ${show(value)}. Use true or false.`)
    }
  }
  const dispose: unknown = spec.dispose
  if (dispose !== undefined && dispose !== false && typeof dispose !== 'function') {
    throw invalid(`\`dispose\` of ${name} is ${show(dispose)}. Pass a function, or false.`)
  }
  const scope = spec.scope ?? 'singleton'
  if (!LIFETIMES.includes(scope)) {
    throw invalid(`The scope of ${name} is ${show(scope)}. Use one of: ${LIFETIMES.join(', ')}.`)
  }
  return {
    key,
    recipe: recipeOf(name, form, spec),
    scope,
    deps: form === 'class' ? params(name, spec) : (spec.deps ?? {}),
    dispose: spec.dispose,
    eager: spec.eager ?? true,
    override: spec.override ?? false,
    multi: spec.multi ?? false,
  }
}

function recipeOf(name: string, form: (typeof FORMS)[number], spec: AnySpec): Recipe {
  if (form === 'value') return { kind: 'value', value: spec.value }
  if (form === 'alias') {
    if (!isKey(spec.alias)) throw invalid(`The alias of ${name} is ${show(spec.alias)}. Use a token or a class.`)
    return { kind: 'alias', target: spec.alias }
  }
  const maker = spec[form]
  if (typeof maker !== 'function') throw invalid(`\`${form}\` of ${name} is ${show(maker)}. Pass a ${WANTED[form]}.`)
  return { kind: form, [form]: maker } as unknown as Recipe
}

const WANTED = { create: 'function', use: 'generator function', class: 'class' } as const

/** Positions as names, in their order. */
function params(name: string, { class: made, params: keys }: AnySpec): Deps {
  if (!Array.isArray(keys)) {
    throw invalid(`bind(${name}, { class: ${nameOf(made as Key)} }) has no \`params\`. List a key for each parameter.`)
  }
  return Object.fromEntries(keys.map((key: Key, i) => [String(i), key]))
}

function invalid(message: string): ConfigError {
  return new ConfigError('KIQ_CONFIG_INVALID', message)
}
