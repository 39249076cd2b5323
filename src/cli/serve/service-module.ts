import type { InferenceService } from '../../serve/index.ts'
import { nearest } from '../../util/nearest.ts'
import { invalid, kindOf, loadExports } from '../broker-module.ts'
import type { Exports, ModuleSettings, Target } from '../broker-module.ts'

/** What is used of a service. */
export type AnyService = Pick<InferenceService, 'config' | 'modelNames' | 'listen' | 'close'>

/**
 * Imports the module, and takes its service: the export that was named, else the only one.
 *
 * @throws {ConfigError} `KIQ_MODULE_INVALID`
 */
export async function loadService(settings: Pick<ModuleSettings, 'target' | 'appDir'>): Promise<AnyService> {
  return selectService(await loadExports(settings), settings.target)
}

/** @throws {ConfigError} `KIQ_MODULE_INVALID` when it is not there, no service, or when there are several. */
function selectService(exports: Exports, { module, exportName }: Target): AnyService {
  const services = servicesOf(exports)
  if (exportName !== undefined) return namedService(exports, module, exportName)
  const [first, second] = services
  if (first === undefined) {
    throw invalid(
      `${module} exports no service (exports: ${listed(Object.keys(exports))}). Export one: ` +
        '`export const service = new InferenceService({ … })`.',
    )
  }
  if (second !== undefined) {
    const names = services.map(([, name]) => name)
    throw invalid(
      `${module} exports ${names.length} services: ${names.join(', ')}. Name the one to use: ${module}:${first[1]}.`,
    )
  }
  return first[0]
}

function namedService(exports: Exports, module: string, name: string): AnyService {
  if (!Object.hasOwn(exports, name)) {
    const near = nearest(name, Object.keys(exports))
    const hint = near === undefined ? 'Check the name after the colon.' : `Did you mean ${module}:${near}?`
    throw invalid(`${module} exports nothing named "${name}" (exports: ${listed(Object.keys(exports))}). ${hint}`)
  }
  const value = exports[name]
  if (isService(value)) return value
  throw invalid(`The export "${name}" of ${module} is ${kindOf(value)}, not a service. Name an InferenceService.`)
}

/** Each with one of its names; a default export that has another name too goes by that one. */
function servicesOf(exports: Exports): readonly (readonly [AnyService, string])[] {
  const found = new Map<AnyService, string>()
  const entries = Object.entries(exports).sort(([a], [b]) => Number(a === 'default') - Number(b === 'default'))
  for (const [name, value] of entries) if (isService(value) && !found.has(value)) found.set(value, name)
  return [...found]
}

/** Looks at the shape: the module may import another copy of this package, where `instanceof` is false. */
function isService(value: unknown): value is AnyService {
  if (typeof value !== 'object' || value === null) return false
  const { config, modelNames, listen, close } = value as Readonly<Record<string, unknown>>
  const hasMethods = typeof listen === 'function' && typeof close === 'function'
  return hasMethods && Array.isArray(modelNames) && typeof config === 'object' && config !== null
}

function listed(names: readonly string[]): string {
  return names.join(', ') || 'nothing'
}
