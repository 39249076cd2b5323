import { basename, dirname, relative, sep } from 'node:path'

import type { IsIgnored } from './gitignore.ts'

export interface WatchRules {
  /** Absolute paths of the modules that were named; their folders are watched whatever the rules say. */
  readonly modules: readonly string[]
  /** The `.gitignore` files that apply, each with the folder it lies in. */
  readonly gitignores: readonly { readonly dir: string; readonly isIgnored: IsIgnored }[]
}

const NEVER = new Set(['node_modules', '.git', '.kiq'])
const UNLESS_NAMED = new Set(['dist'])

/** Databases, with what SQLite and we put beside them: `kiq.db`, `kiq.db-wal`. */
const DATABASE = /\.(db|sqlite3?)(-[\w-]+)?$/

/** Whether a change of this path says nothing about the code. */
export function isUnwatched(path: string, kind: 'file' | 'directory', rules: WatchRules): boolean {
  if (path.split(sep).some((part) => NEVER.has(part))) return true
  if (kind === 'file' && DATABASE.test(basename(path))) return true
  if (rules.modules.some((module) => isNear(path, dirname(module)))) return false
  if (path.split(sep).some((part) => UNLESS_NAMED.has(part))) return true
  return rules.gitignores.some(({ dir, isIgnored }) => {
    const inside = relative(dir, path)
    return inside !== '' && !inside.startsWith('..') && isIgnored(inside.split(sep).join('/'), kind)
  })
}

/** In the folder, or on the way to it. */
function isNear(path: string, dir: string): boolean {
  return path === dir || path.startsWith(dir + sep) || dir.startsWith(path + sep)
}
