import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'

import { ConfigError } from '../../contract/index.ts'
import { deploymentFiles } from '../../serve/manifest/index.ts'
import type { DeploymentFile, ManifestOptions } from '../../serve/manifest/index.ts'
import { messageOf } from '../../util/show.ts'
import { modulePath } from '../broker-module.ts'
import type { Target } from '../broker-module.ts'
import { checkConfigFiles, useConfigFiles } from './config-files.ts'
import { loadService } from './service-module.ts'

export interface ManifestSettings {
  readonly target: Target
  readonly appDir: string
  readonly configFiles: readonly string[] | undefined
  /** Folder to write to. */
  readonly out: string
  readonly existing: 'keep' | 'overwrite'
}

/** Writes the files for a service, and tells which. The working directory is the folder of the project. */
export async function writeManifest(settings: ManifestSettings): Promise<void> {
  const { target, appDir, configFiles, out } = settings
  useConfigFiles(configFiles)
  const { config } = await loadService({ target, appDir })
  checkConfigFiles(configFiles, config)
  const files = deploymentFiles(config, {
    module: moduleInContainer(settings),
    packageManager: packageManagerHere(),
    folder: relative('.', out) || '.',
  })
  const changed = await different(files, out)
  const replaced = changed.filter(({ path }) => existsSync(join(out, path)))
  if (settings.existing === 'keep' && replaced.length > 0) {
    const names = replaced.map(({ path }) => join(out, path)).join(', ')
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `${names} would be overwritten; nothing was written. Use --force to overwrite, or --out for another folder.`,
    )
  }
  await write(changed, settings)
  for (const file of files) {
    process.stdout.write(`${join(out, file.path)}${changed.includes(file) ? '' : ' (unchanged)'}\n`)
  }
}

/** Those that are not there as they are. */
async function different(files: readonly DeploymentFile[], out: string): Promise<readonly DeploymentFile[]> {
  const kept = await Promise.all(
    files.map(async ({ path, text }) => (await readFile(join(out, path), 'utf8').catch(() => undefined)) === text),
  )
  return files.filter((_, index) => kept[index] !== true)
}

async function write(files: readonly DeploymentFile[], { out, existing }: ManifestSettings): Promise<void> {
  try {
    await mkdir(out, { recursive: true })
    for (const { path, text } of files) {
      await writeFile(join(out, path), text, { flag: existing === 'overwrite' ? 'w' : 'wx' })
    }
  } catch (error) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `The files cannot be written to ${resolve(out)}: ${messageOf(error)}. Choose another folder with --out.`,
      { cause: error },
    )
  }
}

/** The image has the folder of the project only. */
function moduleInContainer({ target, appDir }: ManifestSettings): string {
  const path = relative('.', modulePath(appDir, target.module))
  if (isAbsolute(path) || path.split(sep)[0] === '..') {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `${target.module} is outside of ${process.cwd()}, so it would not be in the image. Call this in the folder of the ` +
        'project, which has its package.json.',
    )
  }
  const inside = `./${path.split(sep).join('/')}`
  return target.exportName === undefined ? inside : `${inside}:${target.exportName}`
}

/** By its lock file. */
function packageManagerHere(): ManifestOptions['packageManager'] {
  if (existsSync('pnpm-lock.yaml')) return 'pnpm'
  return existsSync('yarn.lock') ? 'yarn' : 'npm'
}
