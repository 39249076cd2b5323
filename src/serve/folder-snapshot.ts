import { createHash } from 'node:crypto'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** What is below a folder. */
export interface FolderSnapshot {
  /** Of all paths with sizes and times: the same as long as nothing has changed. */
  readonly digest: string
  /** There is more than was looked at. */
  readonly isCut: boolean
}

/** Files looked at, at most; folders count, too, since links can make any number of them. */
const MAX_ENTRIES = 10_000
/** Many files, and none of a model. */
const NEVER = new Set(['node_modules', '.git'])
/** Questions to the file system at once. */
const AT_ONCE = 32

interface Walk {
  readonly lines: string[]
  isCut: boolean
}

interface Folder {
  /** A real one, without links. */
  readonly path: string
  /** The way to it from the top, by the names that were come upon. */
  readonly name: string
  /** It and the folders above it by their real paths, to notice links in a circle. */
  readonly line: readonly string[]
}

/**
 * Looks at paths, sizes and times of everything below a folder but `node_modules` and `.git`, in the order of names, and
 * follows links. A folder that
 * does not exist is empty, and so is one below it that must not be read.
 *
 * @throws what the file system says when the folder itself exists and cannot be read.
 */
export async function snapshotOf(folder: string): Promise<FolderSnapshot> {
  const walk: Walk = { lines: [], isCut: false }
  const path = await orMissing(realpath(folder))
  const found = path === undefined ? undefined : await orMissing(stat(path))
  if (path !== undefined && found?.isDirectory()) {
    const names = (await orMissing(readdir(path))) ?? []
    await look(walk, { path, name: '', line: [path] }, names)
  }
  const hash = createHash('sha256')
  for (const line of walk.lines) hash.update(line)
  return { digest: hash.digest('hex'), isCut: walk.isCut }
}

async function look(walk: Walk, folder: Folder, names: readonly string[]): Promise<void> {
  const sorted = names.filter((name) => !NEVER.has(name)).sort()
  for (let from = 0; from < sorted.length; from += AT_ONCE) {
    const some = sorted.slice(from, from + AT_ONCE)
    const stats = await Promise.all(some.map(async (name) => await orUnreadable(stat(join(folder.path, name)))))
    for (const [i, name] of some.entries()) {
      if (walk.lines.length >= MAX_ENTRIES) {
        walk.isCut = true
        return
      }
      const found = stats[i]
      if (found?.isDirectory()) await enter(walk, folder, name)
      // No path has a NUL: whatever the names are, two folders have the same lines only when they are the same.
      else if (found) walk.lines.push(`${folder.name}/${name}\0${found.size}\0${found.mtimeMs}\0`)
    }
  }
}

/** The time of a folder does not matter: it changes with the names in it, and with what is there for a moment only. */
async function enter(walk: Walk, { path, name, line }: Folder, child: string): Promise<void> {
  const childName = `${name}/${child}`
  walk.lines.push(`${childName}\0`)
  const childPath = await orUnreadable(realpath(join(path, child)))
  if (childPath === undefined || line.includes(childPath)) return
  const names = (await orUnreadable(readdir(childPath))) ?? []
  await look(walk, { path: childPath, name: childName, line: [...line, childPath] }, names)
}

/** `undefined` for what is gone, or leads nowhere. */
async function orMissing<T>(question: Promise<T>): Promise<T | undefined> {
  return await question.catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
}

/** `undefined` also for what must not be read. */
async function orUnreadable<T>(question: Promise<T>): Promise<T | undefined> {
  return await question.catch((error: unknown) => {
    if (isMissing(error) || isUnreadable(error)) return undefined
    throw error
  })
}

function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')
}

/** Such as `lost+found` at the top of a volume. */
function isUnreadable(error: unknown): boolean {
  return hasCode(error, 'EACCES', 'EPERM')
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
