import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { onTestFinished } from 'vitest'

import type { RecordingLogger } from './recording-logger.ts'
import { recordingLogger } from './recording-logger.ts'

export interface ConfigFolder {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly logger: RecordingLogger
}

/** The required settings, and nothing else. */
export const MINIMAL = 'app_settings: {app_prefix: shop}\nmodel_settings: {model_entries: {}}\n'

/** A directory of its own with these files, an environment of its own, and a logger that keeps what it is told. */
export function configFolder(
  files: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): ConfigFolder {
  const cwd = mkdtempSync(join(tmpdir(), 'kiq-config-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true })
    writeFileSync(join(cwd, name), text)
  }
  return { cwd, env, logger: recordingLogger() }
}

/** The message of an error that has to come. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'nothing was refused',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
}
