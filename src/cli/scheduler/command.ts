import type { Command } from 'commander'

import type { ExitCode } from '../exit-codes.ts'
import { LOG_FORMATS, LOG_LEVELS } from '../log.ts'
import type { LogFormat, LogLevel } from '../log.ts'
import { logSettings } from '../log.ts'
import type { ModuleOptions } from '../module-options.ts'
import { addModuleOptions, moduleSettings } from '../module-options.ts'
import { logFormat, logLevel, seconds } from '../option-values.ts'
import { runScheduler } from './run.ts'

interface SchedulerFlags extends ModuleOptions {
  readonly skipFirstRun?: true | undefined
  /** Milliseconds. */
  readonly updateInterval?: number | undefined
  readonly logLevel: LogLevel
  readonly logFormat?: LogFormat | undefined
}

export const SCHEDULER_HELP =
  'module that declares the scheduler, or only a broker, and its export if there are several'

/** @param done - Gets the exit code. */
export function addSchedulerCommand(program: Command, done: (code: ExitCode) => void): void {
  const command = program
    .command('scheduler')
    .description('send the tasks of schedules when they are due; any number may run for one application')
    .argument('<module[:scheduler]>', SCHEDULER_HELP)
    .argument('[modules...]', 'more modules that declare tasks')
  addModuleOptions(command)
    .option('--skip-first-run', 'intervals do not fire at once when they are first seen')
    .option('--update-interval <seconds>', 'how often all schedules are read again (default: 60)', seconds)
    .option('--log-level <level>', LOG_LEVELS.join(', '), logLevel, 'info')
    .option('--log-format <format>', `${LOG_FORMATS.join(', ')} (default: pretty in a terminal, else json)`, logFormat)
    .action(async (target: string, modules: readonly string[], flags: SchedulerFlags) => {
      const terminal = { isTTY: process.stdout.isTTY, noColor: Boolean(process.env['NO_COLOR']) }
      const { updateInterval, skipFirstRun } = flags
      done(
        await runScheduler({
          modules: moduleSettings(target, modules, flags),
          log: logSettings(flags, terminal),
          run: { updateInterval, skipFirstRun },
        }),
      )
    })
}
