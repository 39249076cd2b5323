import { readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { parseEnv } from 'node:util'

import { ConfigError } from '../../contract/index.ts'
import { messageOf, show } from '../../util/show.ts'
import { filesVariable } from './environment.ts'
import type { Variables } from './environment.ts'

/** Looked for in this order where nobody names a file. */
const DEFAULT_FILES = ['kiq.yaml', 'modalkit.yaml'] as const

/** What is read before any file of settings. */
export interface Sources {
  /** Names of files, weakest first. */
  readonly files: readonly string[]
  /** Whether somebody named them: then each of them has to exist. */
  readonly areNamed: boolean
  /** Weakest first: `.env`, then the environment of the process. */
  readonly variables: readonly Variables[]
}

export interface Place {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
}

export async function findSources(files: string | readonly string[] | undefined, place: Place): Promise<Sources> {
  const { cwd, env } = place
  const here = await readDotEnv(cwd, cwd)
  const named = files ?? filesVariable({ values: env }) ?? (here === undefined ? undefined : filesVariable(here))
  const names = named === undefined ? [...DEFAULT_FILES] : namesOf(named)
  const [first] = names
  const folder = named === undefined || first === undefined ? cwd : dirname(resolve(cwd, first))
  const beside = folder === resolve(cwd) ? undefined : await readDotEnv(folder, cwd)
  const dotEnv = beside ?? here
  const variables: Variables[] = [...(dotEnv === undefined ? [] : [dotEnv]), { values: env }]
  return { files: names, areNamed: named !== undefined, variables }
}

/** Names of files, trimmed. A text may have several, with commas between them. */
function namesOf(files: string | readonly string[]): readonly string[] {
  const names = (typeof files === 'string' ? files.split(',') : files).map((name) => name.trim())
  const found = names.filter((name) => name !== '')
  // An empty list says that there are none; a text without a name is a mistake.
  if (found.length > 0 || (typeof files !== 'string' && files.length === 0)) return found
  throw new ConfigError('KIQ_CONFIG_INVALID', `${show(files)} names no configuration file. Give a path, or several.`)
}

/** @returns `undefined` when there is no such file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined
    throw error
  }
}

async function readDotEnv(folder: string, cwd: string): Promise<Variables | undefined> {
  const path = join(folder, '.env')
  try {
    const text = await readIfThere(path)
    return text === undefined ? undefined : { values: parseEnv(text), file: relative(cwd, path) }
  } catch (error) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `${path} cannot be read: ${messageOf(error)}. Make it a readable file, or remove it.`,
      { cause: error },
    )
  }
}
