import { loadServeConfig, printConfig } from '../../serve/index.ts'
import type { Target } from '../broker-module.ts'
import { checkConfigFiles, useConfigFiles } from './config-files.ts'
import { loadService } from './service-module.ts'

/** Prints the configuration, secrets masked: that of the service where a module is named, else that of the files. */
export async function printServeConfig(
  files: readonly string[] | undefined,
  module?: { readonly target: Target; readonly appDir: string },
): Promise<void> {
  if (module === undefined) {
    process.stdout.write(printConfig(await loadServeConfig(files)))
    return
  }
  useConfigFiles(files)
  const { config } = await loadService(module)
  checkConfigFiles(files, config)
  process.stdout.write(printConfig(config))
}
