import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import type { Logger } from '../../contract/index.ts'
import { defaultLogger } from '../../core/index.ts'
import { messageOf } from '../../util/show.ts'
import { withVariables } from './environment.ts'
import { findSources, readIfThere } from './files.ts'
import type { Sources } from './files.ts'
import { ServeConfigError } from './finding.ts'
import type { ConfigFinding } from './finding.ts'
import { keysInText, normalized } from './layer.ts'
import { BAD, Reading } from './reading.ts'
import { SCHEMA } from './schema.ts'
import type { PartialSettings, ServeConfig, ServeSettings } from './settings.ts'
import { deepFreeze, mapTree, mergeMaps } from './tree.ts'
import type { TreeMap } from './tree.ts'
import { overridesTree } from './value-tree.ts'
import { readYaml } from './yaml-tree.ts'
import type { YamlFile } from './yaml-tree.ts'

export interface LoadConfigOptions {
  /** @defaultValue the working directory of the process */
  readonly cwd?: string | undefined
  /** @defaultValue `process.env` */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Is told of warnings, and as information of notes. @defaultValue warnings on standard error */
  readonly logger?: Logger | undefined
  /** Stronger than everything else, and merged in the same way. */
  readonly overrides?: PartialSettings<ServeSettings> | undefined
}

/**
 * Reads the settings of a service: YAML files as ModalKit has them, then `.env`, then variables of the environment
 * (`KIQ_APP_SETTINGS__BATCH_CONFIG__MAX_BATCH_SIZE=8`, or with the prefix `MODALKIT_`), then overrides. What comes later
 * wins; maps are merged, lists replaced, and an empty section changes nothing. A key that nothing reads is a warning.
 *
 * @param files - One path, several with commas, or a list. @defaultValue what `KIQ_CONFIG` or `MODALKIT_CONFIG` names, else
 *   `kiq.yaml`, else `modalkit.yaml`, in the working directory, where one of them exists
 * @throws {ServeConfigError} `KIQ_CONFIG_INVALID` with every problem and its place: what is not YAML, has the wrong type, or is
 *   missing, and named files that do not exist.
 */
export async function loadServeConfig(
  files?: string | readonly string[],
  options: LoadConfigOptions = {},
): Promise<ServeConfig> {
  const { env = process.env, logger = defaultLogger, overrides = {} } = options
  const cwd = resolve(options.cwd ?? '.')
  const sources = await findSources(files, { cwd, env })
  const read = await readFiles(sources, cwd)

  let tree = read.tree
  for (const variables of sources.variables) tree = withVariables(tree, variables, SCHEMA)
  tree = mergeMaps(tree, normalized(overridesTree(overrides, SCHEMA), SCHEMA))

  const reading = new Reading(
    (name) => sources.variables.findLast(({ values }) => values[name] !== undefined)?.values[name],
  )
  const settings = SCHEMA.read(tree, '', reading)
  const keys = settings === BAD ? [] : await keysOfFile(settings, reading, cwd)
  // A file that was not read may have what is missing.
  const problems = [...read.problems, ...reading.problems, ...(read.problems.length > 0 ? [] : reading.missing)]
  if (settings === BAD || problems.length > 0) throw new ServeConfigError(deepFreeze(problems))

  const warnings = [...read.warnings, ...reading.warnings]
  for (const { message, path } of warnings) logger.warn({ path }, message)
  for (const { message, path } of reading.notes) logger.info({ path }, message)
  const { appPostfix, modelSettings } = settings
  const { authConfig } = settings.appSettings
  const apiKeys = [...new Set([...authConfig.apiKeys, ...keys])]
  return deepFreeze({
    appName: settings.appSettings.appPrefix + appPostfix,
    appPostfix,
    appSettings: { ...settings.appSettings, authConfig: { ...authConfig, apiKeys } },
    modelSettings,
    files: read.files,
    warnings,
    notes: reading.notes,
    origins: Object.fromEntries(reading.origins),
  })
}

interface FilesRead {
  readonly tree: TreeMap
  readonly files: readonly string[]
  readonly problems: readonly ConfigFinding[]
  readonly warnings: readonly ConfigFinding[]
}

async function readFiles({ files, areNamed }: Sources, cwd: string): Promise<FilesRead> {
  let tree = mapTree([], { from: 'default' })
  const read: string[] = []
  const problems: ConfigFinding[] = []
  const warnings: ConfigFinding[] = []
  for (const file of files) {
    const found = await readOne(file, cwd)
    if (found === undefined) {
      const what = 'does not exist. Name a file that does, or create it'
      if (areNamed) problems.push({ path: '', origin: undefined, message: `${resolve(cwd, file)} ${what}.` })
      continue
    }
    read.push(file)
    problems.push(...found.problems)
    warnings.push(...found.warnings)
    if (found.tree !== undefined) tree = mergeMaps(tree, normalized(found.tree, SCHEMA))
    // The default names are alternatives.
    if (!areNamed) break
  }
  return { tree, files: read, problems, warnings }
}

async function readOne(file: string, cwd: string): Promise<YamlFile | undefined> {
  const path = resolve(cwd, file)
  try {
    const text = await readIfThere(path)
    return text === undefined ? undefined : readYaml(text, file)
  } catch (error) {
    const message = `${path} cannot be read: ${messageOf(error)}. Name a file of YAML that this process may read.`
    return { tree: undefined, problems: [{ path: '', origin: undefined, message }], warnings: [] }
  }
}

const KEYS_FILE = 'app_settings.auth_config.api_keys_file'

async function keysOfFile(settings: ServeSettings, reading: Reading, cwd: string): Promise<readonly string[]> {
  const origin = reading.origins.get(KEYS_FILE)
  // What failed to be read is reported already, and then sections may be missing in spite of their types.
  if (origin === undefined || reading.problems.some(({ path }) => KEYS_FILE.startsWith(path))) return []
  const file = settings.appSettings.authConfig.apiKeysFile
  if (file === null) return []
  const path = resolve(cwd, origin.from === 'file' ? dirname(origin.file) : '.', file)
  try {
    const keys = keysInText(await readFile(path, 'utf8'))
    if (keys.length === 0) reading.problem(KEYS_FILE, origin, `is ${file}; ${path} has no key. Write one a line.`)
    return keys
  } catch (error) {
    reading.problem(KEYS_FILE, origin, `is ${file}, which cannot be read: ${messageOf(error)}. Name a file with keys.`)
    return []
  }
}
