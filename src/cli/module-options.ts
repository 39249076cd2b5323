import { resolve } from 'node:path'

import type { Command } from 'commander'

import { parseTarget } from './broker-module.ts'
import type { ModuleSettings } from './broker-module.ts'
import { DEFAULT_PATTERNS } from './discover.ts'
import { repeated } from './option-values.ts'

/** Of commands that need one module only. */
export interface AppDirOption {
  readonly appDir: string
}

/** Where commands find the user's modules; as commander hands it over. */
export interface ModuleOptions extends AppDirOption {
  readonly fsDiscover?: true | undefined
  readonly tasksPattern?: readonly string[] | undefined
}

export const TARGET_HELP = 'module that declares the broker (.ts, .js, .mts, .mjs), and its export if there are several'

export function addModuleOptions(command: Command): Command {
  return command
    .option('-d, --app-dir <dir>', 'folder that modules and patterns are relative to', '.')
    .option('--fs-discover', 'also import files that match --tasks-pattern (alias: -fsd)')
    .option(
      '--tasks-pattern <glob>',
      `pattern for --fs-discover; repeatable (alias: -tp; default: ${DEFAULT_PATTERNS.join(' ')})`,
      repeated,
    )
}

export function addAppDirOption(command: Command): Command {
  return command.option('-d, --app-dir <dir>', 'folder that the module is relative to', '.')
}

export function moduleSettings(target: string, modules: readonly string[], options: ModuleOptions): ModuleSettings {
  return {
    target: parseTarget(target),
    modules,
    patterns: options.fsDiscover ? (options.tasksPattern ?? DEFAULT_PATTERNS) : undefined,
    appDir: resolve(options.appDir),
  }
}
