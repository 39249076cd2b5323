import type { Command } from 'commander'

import type { ExitCode } from '../exit-codes.ts'
import type { LogOptions } from '../log-options.ts'
import { addLogOptions, logSettings, ownTerminal } from '../log-options.ts'
import type { ModuleOptions } from '../module-options.ts'
import { addModuleOptions, moduleSettings } from '../module-options.ts'
import { seconds } from '../option-values.ts'
import { runScheduler } from './run.ts'

interface SchedulerFlags extends ModuleOptions, LogOptions {
  readonly skipFirstRun?: true | undefined
  /** Milliseconds. */
  readonly updateInterval?: number | undefined
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
  addLogOptions(command).action(async (target: string, modules: readonly string[], flags: SchedulerFlags) => {
    const { updateInterval, skipFirstRun } = flags
    done(
      await runScheduler({
        modules: moduleSettings(target, modules, flags),
        log: logSettings(flags, ownTerminal()),
        run: { updateInterval, skipFirstRun },
      }),
    )
  })
}
