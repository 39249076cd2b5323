import { ConfigError } from '../contract/index.ts'
import type { Provider } from '../contract/index.ts'
import { show } from '../util/show.ts'
import type { ProviderRecord } from './provider.ts'

/** Providers that belong together. A container that is given one twice, by whatever way, has it once. */
export interface Module {
  readonly moduleName: string
  readonly providers: readonly Provider[]
  readonly imports: readonly Module[]
}

export interface ModuleOptions {
  /** Modules that this one needs. */
  readonly imports?: readonly Module[] | undefined
}

/** Makes a module. */
export function module(name: string, providers: readonly Provider[], options?: ModuleOptions): Module
/**
 * Makes a module that is configured: a function that makes the module. Called with one object twice it gives one module.
 */
export function module<C>(
  name: string,
  providers: (config: C) => readonly Provider[],
  options?: ModuleOptions,
): (config: C) => Module
export function module(
  name: string,
  providers: readonly Provider[] | ((config: unknown) => readonly Provider[]),
  { imports = [] }: ModuleOptions = {},
): Module | ((config: unknown) => Module) {
  if (typeof name !== 'string' || name === '') {
    throw new ConfigError('KIQ_CONFIG_INVALID', `The name of a module is ${show(name)}. Give it a name, as text.`)
  }
  if (typeof providers !== 'function') {
    assertProviders(name, providers)
    return { moduleName: name, providers, imports }
  }
  const made = new WeakMap<object, Module>()
  return (config) => {
    const isObject = typeof config === 'object' && config !== null
    const known = isObject ? made.get(config) : undefined
    if (known) return known
    const fresh: Module = { moduleName: name, providers: providers(config), imports }
    assertProviders(name, fresh.providers)
    if (isObject) made.set(config, fresh)
    return fresh
  }
}

/** A provider, and the name of its module. */
export interface Registered {
  readonly provider: ProviderRecord
  readonly moduleName: string | undefined
}

/** All providers in their order: imports before those who import them, each module once. */
export function flatten(modules: readonly Module[], providers: readonly Provider[]): readonly Registered[] {
  const seen = new Set<Module>()
  const registered: Registered[] = []
  const visit = (one: Module): void => {
    if (seen.has(one)) return
    assertModule(one)
    seen.add(one)
    for (const imported of one.imports) visit(imported)
    for (const provider of one.providers) register(provider, one.moduleName)
  }
  const register = (provider: Provider, moduleName: string | undefined): void => {
    if (!isRecord(provider)) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `${moduleName === undefined ? 'A container' : `Module "${moduleName}"`} was given ${show(provider)} as a ` +
          'provider. Use what bind() returns.',
      )
    }
    registered.push({ provider, moduleName })
  }
  for (const one of modules) visit(one)
  for (const provider of providers) register(provider, undefined)
  return registered
}

function assertModule(value: unknown): void {
  if (typeof value === 'object' && value !== null && 'moduleName' in value) return
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `A module is ${show(value)}. Use what module() returns; a configured one has to be called. If two files import each ` +
      'other, it may not be there yet.',
  )
}

function assertProviders(name: string, value: unknown): void {
  if (Array.isArray(value)) return
  throw new ConfigError('KIQ_CONFIG_INVALID', `The providers of "${name}" are ${show(value)}. Pass a list.`)
}

function isRecord(provider: Provider): provider is ProviderRecord {
  return typeof provider === 'object' && (provider as unknown) !== null && 'recipe' in provider
}
