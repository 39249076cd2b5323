import { posix } from 'node:path'

import { quoted } from './text.ts'
import type { Problems } from './problems.ts'

/** A path of the project as the files name it: with slashes, without `./` and without what it goes back over. */
export function projectPath(path: string): string {
  const normal = posix.normalize(path.replaceAll('\\', '/'))
  return normal === '/' ? normal : normal.replace(/\/$/, '')
}

/** Whether a build can copy it: nothing outside of its folder is handed to it. */
export function isInside(path: string): boolean {
  return !posix.isAbsolute(path) && path !== '..' && !path.startsWith('../') && !/^[A-Za-z]:/.test(path)
}

/**
 * A path of the project as Compose reads it. Relative ones need `./`, else they are names of volumes.
 *
 * @param root - The project, from where the file of Compose is.
 */
export function composePath(path: string, root: string): string {
  if (posix.isAbsolute(path) || /^[A-Za-z]:/.test(path)) return path
  const from = posix.join(root, path)
  return from.startsWith('../') ? from : `./${from}`
}

/** Hands out the paths in the container that something is mounted at: each to one thing only. */
export class MountPoints {
  readonly #workdir: string
  readonly #problems: Problems
  readonly #taken = new Map<string, string>()

  constructor(workdir: string, problems: Problems) {
    this.#workdir = workdir
    this.#problems = problems
  }

  /**
   * @param path - The setting, for messages.
   * @returns The absolute path; `undefined` when it cannot be used, which is then reported.
   */
  claim(target: string, path: string): string | undefined {
    const absolute = this.resolve(target)
    const before = this.#taken.get(absolute)
    if (before !== undefined) {
      this.#problems.add(path, `is mounted at ${quoted(absolute)}, and so is ${before}. Give one of them another path.`)
      return undefined
    }
    this.#taken.set(absolute, path)
    if (absolute === '/' || hasOddCharacter(absolute)) {
      const rule = 'a path in the container other than /, without colons and control characters'
      this.#problems.add(path, `is mounted at ${quoted(absolute)}, where nothing can be mounted. Use ${rule}.`)
      return undefined
    }
    return absolute
  }

  resolve(target: string): string {
    return posix.resolve(this.#workdir, target.replaceAll('\\', '/'))
  }
}

/** Kubernetes has no mount path with a colon, and a Dockerfile no line break. */
export function hasOddCharacter(path: string): boolean {
  return /[:\0-\x1f\x7f-\x9f\u2028\u2029]/.test(path)
}
