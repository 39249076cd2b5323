import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

import { ConfigError } from '../../contract/index.ts'
import type { ReloadSettings } from './options.ts'
import type { IsIgnored } from './gitignore.ts'
import { parseGitignore } from './gitignore.ts'
import { isUnwatched } from './watch-rules.ts'
import type { WatchRules } from './watch-rules.ts'

/** Editors and compilers write several files at once; what changes within so many milliseconds is one change. */
const DEBOUNCE_MS = 200

export interface WatchListener {
  /** Gets one of the paths that changed, relative to the working directory. */
  readonly onChange: (path: string) => void
  /** Some files cannot be watched; the others still are. */
  readonly onError: (error: unknown) => void
}

/**
 * Tells after files changed.
 *
 * @param modules - Absolute paths of the modules that were named.
 * @returns Ends the watching.
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when a folder does not exist.
 */
export async function watchFiles(
  { dirs, gitignore }: ReloadSettings,
  modules: readonly string[],
  { onChange, onError }: WatchListener,
): Promise<() => Promise<void>> {
  const { watch } = await import('chokidar')
  const folders = dirs.map(existingFolder)
  const rules: WatchRules = { modules, gitignores: gitignore === 'use' ? folders.flatMap(nearestGitignore) : [] }
  const watcher = watch(folders, {
    ignoreInitial: true,
    ignored: (path, stats) => isUnwatched(path, stats?.isDirectory() ? 'directory' : 'file', rules),
  })
  let timer: NodeJS.Timeout | undefined
  watcher.on('all', (event, path) => {
    if (event === 'addDir' || event === 'unlinkDir') return
    clearTimeout(timer)
    timer = setTimeout(() => onChange(relative(process.cwd(), path)), DEBOUNCE_MS)
  })
  watcher.on('error', onError)
  await new Promise<void>((ready) => watcher.once('ready', ready))
  return async () => {
    clearTimeout(timer)
    await watcher.close()
  }
}

function existingFolder(dir: string): string {
  const path = resolve(dir)
  if (existsSync(path) && statSync(path).isDirectory()) return path
  throw new ConfigError('KIQ_CONFIG_INVALID', `There is no folder ${path} to watch. Check --reload-dir.`)
}

/** The `.gitignore` of the folder, or of the nearest one above it within the same repository. */
function nearestGitignore(folder: string): { readonly dir: string; readonly isIgnored: IsIgnored }[] {
  for (let dir = folder; ; dir = dirname(dir)) {
    const file = join(dir, '.gitignore')
    if (existsSync(file)) return [{ dir, isIgnored: parseGitignore(readFileSync(file, 'utf8')) }]
    if (dirname(dir) === dir || existsSync(join(dir, '.git'))) return []
  }
}
