import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { ConfigError, KiqError } from '../contract/index.ts'
import { loadModule } from '../core/index.ts'
import type { Broker } from '../core/index.ts'
import { messageOf } from '../util/show.ts'
import { discoverModules } from './discover.ts'

/** `MODULE[:export]` as typed. */
export interface Target {
  readonly module: string
  readonly exportName: string | undefined
}

/** What to load, and from where. */
export interface ModuleSettings {
  readonly target: Target
  /** More modules with tasks. */
  readonly modules: readonly string[]
  /** Globs of more modules with tasks; `undefined` = do not look for any. */
  readonly patterns: readonly string[] | undefined
  /** Folder that relative modules and globs are resolved against. */
  readonly appDir: string
}

export interface LoadedBroker {
  readonly broker: Broker
  /** Absolute path of the module. */
  readonly module: string
  /** Files that the globs found; `undefined` when nobody looked. */
  readonly discovered: readonly string[] | undefined
}

export type Exports = Readonly<Record<string, unknown>>

/** The text after the last colon is an export when it could be a name; so `C:\tasks.ts` and `file:///tasks.ts` stay whole. */
export function parseTarget(text: string): Target {
  const parsed = /^(?<module>.{2,}):(?<exportName>[A-Za-z_$][\w$]*)$/.exec(text)
  return { module: parsed?.groups?.['module'] ?? text, exportName: parsed?.groups?.['exportName'] }
}

/**
 * Imports the module, takes its broker, and imports the other modules so that their tasks are declared.
 *
 * @throws {ConfigError} `KIQ_MODULE_INVALID`, or what {@link loadModule} throws.
 */
export async function loadBroker({ target, modules, patterns, appDir }: ModuleSettings): Promise<LoadedBroker> {
  const exports = await loadFrom(appDir, target.module)
  const broker = await makeBroker(selectExport(exports, target), target)
  const discovered = await loadOthers({ modules, patterns, appDir })
  return { broker, module: modulePath(appDir, target.module), discovered }
}

/** Imports the modules that were named, and those that the patterns find; returns the latter. */
export async function loadOthers({
  modules,
  patterns,
  appDir,
}: Omit<ModuleSettings, 'target'>): Promise<LoadedBroker['discovered']> {
  const discovered = patterns && (await discoverModules(patterns, appDir))
  for (const module of [...modules, ...(discovered ?? [])]) await loadFrom(appDir, module)
  return discovered
}

/** What a module exports, also one in CommonJS. */
export async function loadExports({ target, appDir }: Pick<ModuleSettings, 'target' | 'appDir'>): Promise<Exports> {
  return withCommonJs(await loadFrom(appDir, target.module))
}

/** Absolute path of a module that was named by path or file URL. */
export function modulePath(appDir: string, module: string): string {
  return module.startsWith('file:') ? fileURLToPath(module) : resolve(appDir, module)
}

async function loadFrom(appDir: string, module: string): Promise<Exports> {
  // As it was typed, where that names the same file: messages repeat it.
  return await loadModule(appDir === process.cwd() ? module : modulePath(appDir, module))
}

/** A zero-argument function that makes the broker. */
export type BrokerFactory = () => unknown

/**
 * The export to use: the named one, else the only broker.
 *
 * @throws {ConfigError} `KIQ_MODULE_INVALID` when it is not there, not a broker, or when there are several.
 */
export function selectExport(namespace: Exports, target: Target): Broker | BrokerFactory {
  const exports = withCommonJs(namespace)
  const { module, exportName } = target
  if (exportName !== undefined) return namedExport(exports, module, exportName)
  const brokers = new Map<Broker, string>()
  // A default export that has another name too goes by that one.
  for (const [name, value] of Object.entries(exports).sort(
    ([a], [b]) => Number(a === 'default') - Number(b === 'default'),
  )) {
    if (isBroker(value) && !brokers.has(value)) brokers.set(value, name)
  }
  const [first, second] = brokers.keys()
  if (first !== undefined && second === undefined) return first
  if (first === undefined) {
    throw invalid(
      `${module} exports no broker (exports: ${names(exports)}). Export one, for example ` +
        '`export const broker = new SqliteBroker({ path })`, or name the function that makes it: MODULE:createBroker.',
    )
  }
  const found = [...brokers.values()]
  throw invalid(
    `${module} exports ${found.length} brokers: ${found.join(', ')}. Name the one to use: ${module}:${found[0]}.`,
  )
}

function namedExport(exports: Exports, module: string, name: string): Broker | BrokerFactory {
  if (!Object.hasOwn(exports, name)) {
    throw invalid(
      `${module} exports nothing named "${name}" (exports: ${names(exports)}). Check the name after the colon.`,
    )
  }
  const value = exports[name]
  if (isBroker(value)) return value
  if (typeof value === 'function' && value.length === 0 && !('kiq' in value)) return value as BrokerFactory
  const kind = typeof value === 'function' ? ('kiq' in value ? 'task' : 'function with parameters') : typeof value
  throw invalid(
    `The export "${name}" of ${module} is a ${kind}. Name a broker, or a function without parameters that returns one.`,
  )
}

/** Looks at the shape: the module may import another copy of this package, where `instanceof` is false. */
export function isBroker(value: unknown): value is Broker {
  if (typeof value !== 'object' || value === null) return false
  const { task, startup, shutdown, transport } = value as Readonly<Record<string, unknown>>
  const methods = [task, startup, shutdown]
  return methods.every((method) => typeof method === 'function') && typeof transport === 'object' && transport !== null
}

async function makeBroker(selected: Broker | BrokerFactory, target: Target): Promise<Broker> {
  if (typeof selected !== 'function') return selected
  const made = await callFactory(selected, target)
  if (isBroker(made)) return made
  throw invalid(`${calledName(target)} returned ${kindOf(made)}, not a broker. Return the broker.`)
}

/** What a function of the user's module returns that makes something. */
export async function callFactory(factory: BrokerFactory, target: Target): Promise<unknown> {
  try {
    return await factory()
  } catch (error) {
    if (KiqError.is(error)) throw error
    throw new ConfigError('KIQ_MODULE_INVALID', `${calledName(target)} failed: ${messageOf(error)}`, { cause: error })
  }
}

/** As messages name a factory. */
export function calledName({ module, exportName }: Target): string {
  return `${exportName ?? 'default'}() of ${module}`
}

export function kindOf(value: unknown): string {
  return value === null ? 'null' : `a ${typeof value}`
}

/** The exports of a CommonJS module stand in `default`. */
function withCommonJs(namespace: Exports): Exports {
  const inner = namespace['default']
  if (typeof inner !== 'object' || inner === null || isBroker(inner)) return namespace
  return { ...(inner as Exports), ...namespace }
}

function names(exports: Exports): string {
  return Object.keys(exports).join(', ') || 'nothing'
}

/** @internal */
export function invalid(message: string): ConfigError {
  return new ConfigError('KIQ_MODULE_INVALID', message)
}
