import { ConfigError } from '../../contract/index.ts'
import type { ServeConfig } from '../../serve/index.ts'

/** Which a service reads whose module names none; inherited by worker processes, which load the module, too. */
const VARIABLE = 'KIQ_CONFIG'

/** Before the module is imported: what it reads are these files. */
export function useConfigFiles(files: readonly string[] | undefined): void {
  if (files !== undefined) process.env[VARIABLE] = files.join(',')
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` when the module has read others. */
export function checkConfigFiles(files: readonly string[] | undefined, config: ServeConfig): void {
  if (files === undefined || files.join(',') === config.files.join(',')) return
  const read = config.files.length === 0 ? 'no file' : config.files.join(', ')
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `--config names ${files.join(', ')}, but the module has read ${read}: it says itself what it reads. Call loadServeConfig() ` +
      'without files there, or leave --config out.',
  )
}
