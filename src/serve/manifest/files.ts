import { posix } from 'node:path'

import { joinPath } from '../config/origin.ts'
import type { ServeConfig } from '../config/settings.ts'
import { FileKeys } from './names.ts'
import type { MountPoints } from './places.ts'
import { hasOddCharacter, isInside, projectPath } from './places.ts'
import type { Problems } from './problems.ts'
import { quoted } from './text.ts'

/** A file that is not in the image, but mounted: it may hold secrets, or is outside of the project. */
export interface MountedFile {
  readonly key: string
  /** As `projectPath` gives it, or absolute. */
  readonly source: string
  readonly target: string
}

export interface Copy {
  readonly source: string
  readonly target: string
  readonly type: 'file' | 'dir'
}

export interface FilesOf {
  readonly mounted: readonly MountedFile[]
  readonly copies: readonly Copy[]
  /** Folders outside of the project. */
  readonly folders: readonly { readonly source: string; readonly target: string }[]
  /** Paths of the project that no image may have. */
  readonly kept: readonly string[]
}

/** Read where nobody names a file; kept out of the image also when others were read. */
const DEFAULT_CONFIGS = ['kiq.yaml', 'modalkit.yaml']
const KEYS_FILE = 'app_settings.auth_config.api_keys_file'
const DEPLOYMENT = 'app_settings.deployment_config'

export interface FileSources {
  readonly config: ServeConfig
  /** Paths in `secrets`, with their place in the configuration. */
  readonly secrets: readonly { readonly file: string; readonly path: string }[]
  readonly points: MountPoints
  readonly problems: Problems
}

export function filesOf(sources: FileSources): FilesOf {
  const { config, points, problems } = sources
  const files = new MountedFiles(points)
  for (const file of config.files) files.add({ source: file, target: file, path: 'files' })
  const keys = keysFile(config)
  if (keys !== undefined) files.add({ source: keys, target: keys, path: KEYS_FILE })
  for (const { file, path } of sources.secrets) files.add({ source: file, target: file, path })

  const copies: Copy[] = []
  const folders: { source: string; target: string }[] = []
  for (const [index, mount] of config.appSettings.deploymentConfig.mounts.entries()) {
    const path = joinPath(joinPath(DEPLOYMENT, 'mounts'), index)
    const source = projectPath(mount.localPath)
    const mustBeMounted = !isInside(source) || (mount.type === 'file' && isPrivate(source, files.sources))
    if (!mustBeMounted) {
      if (hasOddCharacter(source) || hasOddCharacter(mount.remotePath)) {
        const given = `${quoted(mount.localPath)} for ${quoted(mount.remotePath)}`
        problems.add(path, `is ${given}; a build copies no path with a colon or a control character. Rename it.`)
      } else copies.push({ source, target: points.resolve(mount.remotePath), type: mount.type })
    } else if (mount.type === 'file') files.add({ source, target: mount.remotePath, path })
    else {
      const target = points.claim(mount.remotePath, path)
      if (target !== undefined) folders.push({ source, target })
    }
  }
  return {
    mounted: files.all,
    copies,
    folders,
    kept: [...new Set([...files.sources, ...DEFAULT_CONFIGS])].filter(isInside),
  }
}

/** Settings may be secret, and files with variables are. */
function isPrivate(source: string, mounted: readonly string[]): boolean {
  const name = posix.basename(source)
  return [...mounted, ...DEFAULT_CONFIGS].includes(source) || /^\.env(\.|$)|\.env$/.test(name)
}

/** Relative to the configuration that names it, else to the working directory. */
function keysFile(config: ServeConfig): string | undefined {
  const file = config.appSettings.authConfig.apiKeysFile
  if (file === null) return undefined
  const origin = config.origins[KEYS_FILE]
  const folder = origin?.from === 'file' ? posix.dirname(origin.file.replaceAll('\\', '/')) : '.'
  return posix.isAbsolute(file) ? file : posix.join(folder, file)
}

class MountedFiles {
  readonly #points: MountPoints
  readonly #keys = new FileKeys()
  readonly #all: MountedFile[] = []

  constructor(points: MountPoints) {
    this.#points = points
  }

  get all(): readonly MountedFile[] {
    return this.#all
  }

  get sources(): readonly string[] {
    return this.#all.map(({ source }) => source)
  }

  add({ source, target, path }: { readonly source: string; readonly target: string; readonly path: string }): void {
    const from = projectPath(source)
    const to = this.#points.resolve(target)
    // A mount of the configuration for Modal names a file that is mounted already.
    if (this.#all.some((one) => one.source === from && one.target === to)) return
    const claimed = this.#points.claim(target, path)
    if (claimed !== undefined) this.#all.push({ key: this.#keys.next(from), source: from, target: claimed })
  }
}
