import { existsSync, statSync } from 'node:fs'
import { register } from 'node:module'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { ConfigError } from '../contract/index.ts'

/** Kept in a variable: an optional peer, asked for only when a TypeScript module is loaded on a Node that needs it. */
const TSX: string = 'tsx/esm/api'

/**
 * A resolve hook: TypeScript in a package without `"type": "module"` is still an ES module for us. tsx would make it
 * CommonJS, which on Node 20 cannot `require()` this package.
 */
const TREAT_AS_MODULES: string = `data:text/javascript,${encodeURIComponent(`
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context)
  const isOurs = found.format === 'commonjs' && /\\.tsx?($|\\?)/.test(found.url) && !found.url.includes('/node_modules/')
  return isOurs ? { ...found, format: 'module' } : found
}`)}`

let typescriptReady: Promise<void> | undefined

/**
 * Imports a user's module by path (relative to the working directory) or file URL. TypeScript is loaded natively where
 * Node strips types, through `tsx` otherwise.
 *
 * @throws {ConfigError} `KIQ_MODULE_INVALID` when there is no such file or it cannot be loaded; `KIQ_PEER_MISSING` when
 *   `tsx` is needed and not installed.
 */
export async function loadModule(specifier: string): Promise<Readonly<Record<string, unknown>>> {
  const path = specifier.startsWith('file:') ? fileURLToPath(specifier) : resolve(specifier)
  if (!existsSync(path) || !statSync(path).isFile()) {
    throw new ConfigError(
      'KIQ_MODULE_INVALID',
      `There is no module ${specifier} (looked for ${path}). Name the file that declares your broker, with its ` +
        'extension, relative to the working directory.',
    )
  }
  if (/\.[mc]?tsx?$/.test(path) && !hasTypeStripping()) await (typescriptReady ??= registerTsx(specifier))
  try {
    return (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>
  } catch (error) {
    throw new ConfigError(
      'KIQ_MODULE_INVALID',
      `The module ${specifier} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
}

function hasTypeStripping(): boolean {
  return Boolean((process.features as { readonly typescript?: unknown }).typescript)
}

async function registerTsx(specifier: string): Promise<void> {
  let tsx: { readonly register: () => unknown }
  try {
    tsx = (await import(TSX)) as typeof tsx
  } catch (error) {
    throw new ConfigError(
      'KIQ_PEER_MISSING',
      `Node ${process.versions.node} cannot load the TypeScript module ${specifier} by itself. ` +
        'Install tsx (`npm install tsx`), use Node 22.18 or newer, or compile it to JavaScript.',
      { cause: error },
    )
  }
  tsx.register()
  register(TREAT_AS_MODULES)
}
