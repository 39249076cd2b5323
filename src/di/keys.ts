import { ConfigError } from '../contract/index.ts'
import type { AllKey, Dependency, Key, LazyKey, OptionalKey, Token } from '../contract/index.ts'
import { show } from '../util/show.ts'

/**
 * Makes a key for an interface, a function type or a plain value. Two tokens are two keys, also when they have one name:
 * make each once, and export it.
 *
 * @param name - For messages and graphs.
 */
export function token<T>(name: string): Token<T> {
  if (typeof name !== 'string' || name === '') {
    throw new ConfigError('KIQ_CONFIG_INVALID', `The name of a token is ${show(name)}. Give it a name, as text.`)
  }
  return Object.freeze({ tokenName: name }) as Token<T>
}

/** `undefined` where nothing is bound to the key. */
export function optional<T>(key: Key<T>): OptionalKey<T> {
  return { mode: 'optional', key }
}

/**
 * A function that gets the value when it is called; breaks cycles. It may be called from when its holder is made until
 * the scope closes.
 */
export function lazy<T>(key: Key<T>): LazyKey<T> {
  return { mode: 'lazy', key }
}

/** All values bound to a key with `multi: true`, in the order of registration; empty when there is none. */
export function all<T>(key: Key<T>): AllKey<T> {
  return { mode: 'all', key }
}

/** As messages name a key. */
export function nameOf(key: Key): string {
  return 'tokenName' in key ? key.tokenName : key.name === '' ? '(anonymous class)' : key.name
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` for what is no key: `undefined` is what a circle of imports makes of one. */
export function assertKey(value: unknown): asserts value is Key {
  if (isKey(value)) return
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `The key is ${show(value)}. Use a token or a class. If two modules import each other, it may not be there yet.`,
  )
}

export function isKey(value: unknown): value is Key {
  return (
    typeof value === 'function' ||
    (typeof value === 'object' && value !== null && 'tokenName' in value && typeof value.tokenName === 'string')
  )
}

/** `alias`: as whoever asks for the alias. */
export type DependencyMode = 'one' | 'optional' | 'lazy' | 'all' | 'alias'

/** A dependency taken apart. */
export interface Edge {
  /** As its holder calls it. */
  readonly name: string
  readonly mode: DependencyMode
  readonly key: Key
}

/**
 * @param holder - Who has this dependency, for the message.
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when it is no key: `undefined` is what a circle of imports makes of one.
 */
export function toEdge(name: string, dependency: Dependency, holder: string): Edge {
  if (isKey(dependency)) return { name, mode: 'one', key: dependency }
  const marker: unknown = dependency
  if (typeof marker === 'object' && marker !== null && 'mode' in marker && 'key' in marker && isKey(marker.key)) {
    return { name, mode: (dependency as OptionalKey<unknown>).mode, key: marker.key }
  }
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `The dependency "${name}" of ${holder} is ${show(marker)}. Use a token, a class, or optional(), lazy() or all() of ` +
      'one. If two modules import each other, write `deps: () => ({ … })`.',
  )
}
