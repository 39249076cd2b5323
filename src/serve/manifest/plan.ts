import { posix } from 'node:path'

import { ConfigError } from '../../contract/index.ts'
import { joinPath } from '../config/origin.ts'
import { cleaned } from '../config/secret-values.ts'
import type { ServeConfig } from '../config/settings.ts'
import { baseImageOf } from './base-image.ts'
import type { BaseImage } from './base-image.ts'
import { variablesOf } from './environment.ts'
import type { ContainerVariables } from './environment.ts'
import { filesOf } from './files.ts'
import type { FilesOf } from './files.ts'
import { gpusOf } from './gpu.ts'
import type { Gpus } from './gpu.ts'
import { jobsOf } from './jobs.ts'
import type { JobsPlace } from './jobs.ts'
import { dnsName, Names } from './names.ts'
import type { ManifestOptions } from './options.ts'
import { hasOddCharacter, MountPoints, projectPath } from './places.ts'
import { Problems } from './problems.ts'
import { bucketsOf, volumesOf } from './storage.ts'
import type { BucketMount, VolumeMount } from './storage.ts'
import { quoted } from './text.ts'

/** What all the files agree on. */
export interface Plan {
  readonly config: ServeConfig
  readonly packageManager: 'npm' | 'pnpm' | 'yarn'
  readonly module: string
  readonly nodeVersion: string
  /** Of the files, as `projectPath` gives it. */
  readonly folder: string
  /** The project, from that folder. */
  readonly root: string
  /** DNS name of the service. */
  readonly name: string
  readonly base: BaseImage
  readonly workdir: string
  readonly port: number
  readonly command: readonly string[]
  /** For readiness. */
  readonly readyPath: string
  readonly variables: ContainerVariables
  /** Secrets of a platform, each a set of variables. */
  readonly variableSets: readonly { readonly name: string; readonly text: string }[]
  readonly files: FilesOf
  readonly volumes: readonly VolumeMount[]
  readonly buckets: readonly BucketMount[]
  readonly gpus: Gpus
  readonly jobs: JobsPlace
  /** Whether requests need a key. */
  readonly hasKeys: boolean
}

const DEFAULT_PORT = 8000
const BUILD = 'app_settings.build_config'
const DEPLOYMENT = 'app_settings.deployment_config'

export function planOf(config: ServeConfig, options: ManifestOptions): Plan {
  const { nodeVersion = '24', packageManager = 'npm', module } = options
  const folder = projectPath(options.folder ?? '.')
  if (!/^\w[\w.-]*$/.test(nodeVersion)) {
    const how = "Use one such as '24' or '24.11.0'."
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `\`nodeVersion\` is ${quoted(nodeVersion)}, which is no version. ${how}`,
    )
  }
  const { buildConfig, deploymentConfig, authConfig } = config.appSettings
  const problems = new Problems(config.origins)
  const name = dnsName(config.appName)
  const workdir = posix.resolve('/', buildConfig.workdir)
  if (hasOddCharacter(workdir)) {
    problems.add(`${BUILD}.workdir`, `is ${quoted(workdir)}. Use a path without colons and control characters.`)
  }
  checkCommands(config, problems)
  const points = new MountPoints(workdir, problems)
  const jobs = jobsOf(config, points, problems)
  const secrets = secretsOf(deploymentConfig.secrets)
  const given = { config, name, names: new Names(), points, problems }
  const { port, flags } = portOf(config)
  const plan: Plan = {
    config,
    packageManager,
    module,
    nodeVersion,
    folder,
    root: posix.relative(folder, '.') || '.',
    name,
    base: baseImageOf(buildConfig, `node:${nodeVersion}-bookworm-slim`, problems),
    workdir,
    port,
    command: ['./node_modules/.bin/kiq', 'serve', module, '--host', '0.0.0.0', ...flags],
    readyPath: healthPath(deploymentConfig.healthCheckPath),
    variables: variablesOf({ ...given, secrets: secrets.variables }),
    variableSets: secrets.sets,
    files: filesOf({ ...given, secrets: secrets.files }),
    volumes: volumesOf(given),
    buckets: bucketsOf(given),
    gpus: gpusOf(deploymentConfig.gpu),
    jobs,
    hasKeys: authConfig.apiKeys.length > 0 || authConfig.apiKeysFile !== null,
  }
  problems.check()
  return plan
}

/** The flag is given where the container would not find the port by itself. */
function portOf(config: ServeConfig): { readonly port: number; readonly flags: readonly string[] } {
  const from = config.origins['app_settings.http_config.port']?.from ?? 'default'
  const port = config.appSettings.httpConfig.port || DEFAULT_PORT
  const isFound = config.appSettings.httpConfig.port === port && (from === 'default' || from === 'file')
  return { port, flags: isFound ? [] : ['--port', String(port)] }
}

function healthPath(path: string | null): string {
  if (path === null) return '/health/ready'
  return path.startsWith('/') ? path : `/${path}`
}

interface SecretsOf {
  readonly variables: readonly string[]
  readonly files: readonly { readonly file: string; readonly path: string }[]
  readonly sets: readonly { readonly name: string; readonly text: string }[]
}

/** What is written like a variable is one, what is written like a path is a file, the rest are sets of variables. */
function secretsOf(secrets: readonly string[]): SecretsOf {
  const variables: string[] = []
  const files: { file: string; path: string }[] = []
  const sets = new Map<string, { name: string; text: string }>()
  const names = new Names()
  for (const [index, given] of secrets.entries()) {
    const text = given.trim()
    if (/^[A-Z_][A-Z0-9_]*$/.test(text)) variables.push(text)
    else if (/[/\\]|^\./.test(text)) files.push({ file: text, path: joinPath(`${DEPLOYMENT}.secrets`, index) })
    else if (text !== '') sets.set(text, { name: names.of(text), text })
  }
  return { variables, files, sets: [...sets.values()] }
}

function checkCommands(config: ServeConfig, problems: Problems): void {
  for (const [index, command] of config.appSettings.buildConfig.extraRunCommands.entries()) {
    if (cleaned(command) === command) continue
    const how = 'Read it from a build secret: `--mount=type=secret,id=NAME …`.'
    problems.add(
      joinPath(`${BUILD}.extra_run_commands`, index),
      `has a password in a URL, which would be in the image. ${how}`,
    )
  }
}
