import { Option } from 'commander'
import type { Command } from 'commander'

import { ACK_TYPES } from '../../core/index.ts'
import type { ExitCode } from '../exit-codes.ts'
import { addLogOptions, ownTerminal } from '../log-options.ts'
import { addModuleOptions, TARGET_HELP } from '../module-options.ts'
import { ackType, limitOrOff, list, repeated, seconds, wholeNumber } from '../option-values.ts'
import type { WorkerFlags } from './options.ts'
import { workerSettings } from './options.ts'
import { runWorker } from './run.ts'

/** @param done - Gets the exit code. */
export function addWorkerCommand(program: Command, done: (code: ExitCode) => void): void {
  const command = program
    .command('worker')
    .description('run worker processes that execute the tasks of a broker')
    .argument('<module[:broker]>', TARGET_HELP)
    .argument('[modules...]', 'more modules that declare tasks')
  addModuleOptions(command)
  addTaskOptions(command)
  addProcessOptions(command)
  addReportOptions(command)
  command.action(async (target: string, modules: readonly string[], flags: WorkerFlags) => {
    done(await runWorker(workerSettings(target, modules, flags, ownTerminal())))
  })
}

/** What each worker takes, and how. */
function addTaskOptions(command: Command): void {
  command
    .option('-w, --processes <count>', 'worker processes (alias: --workers)', wholeNumber(1), 2)
    .option(
      '--concurrency <count>',
      'tasks in work at once, per process (alias: --max-async-tasks)',
      wholeNumber(1),
      100,
    )
    .option(
      '--prefetch <count>',
      'messages fetched ahead of those in work, per process (alias: --max-prefetch)',
      wholeNumber(0),
      0,
    )
    .option('--queues <names>', 'only these queues, separated by commas; repeatable', list)
    .option(
      '--ack-type <type>',
      `when messages are acknowledged: ${ACK_TYPES.join(', ')} (default: when_saved)`,
      ackType,
    )
    .option(
      '--max-deliveries <count>',
      'deliveries without an outcome before a message is a dead letter (default: 5)',
      wholeNumber(1),
    )
    .option('--with-scheduler', 'also send the tasks of schedules; one process at a time does')
    .option('--max-tasks-per-child <count>', 'replace a process after so many tasks', wholeNumber(1))
}

/** How processes are started, stopped and replaced. */
function addProcessOptions(command: Command): void {
  command
    .option('--max-fails <count>', 'stop everything after so many failures of processes; -1 = never', limitOrOff, -1)
    .addOption(duration('--start-timeout', 'a process must be ready within this time', 120))
    .addOption(duration('--wait-tasks-timeout', 'running tasks may go on so long after a stop', 30))
    .addOption(duration('--abort-grace', 'time between the abort signal of a task and its end', 1))
    .addOption(duration('--shutdown-timeout', 'time to store the last outcomes and to close connections', 5))
    .option('--hardkill-count <count>', 'the signal with this number kills at once', wholeNumber(1), 3)
    .option('-r, --reload', 'restart when files change; one process')
    .option('--reload-dir <dir>', 'folder to watch; repeatable (default: .)', repeated)
    .option('--do-not-use-gitignore', 'also watch what .gitignore names')
}

/** What it tells. */
function addReportOptions(command: Command): void {
  addLogOptions(command)
    .option('--health-port <port>', 'serve GET /live and /ready on this port; 0 = any free one', wholeNumber(0, 65_535))
    .option('--health-host <host>', 'address of the health server', '127.0.0.1')
}

function duration(flag: string, description: string, defaultSeconds: number): Option {
  return new Option(`${flag} <seconds>`, description)
    .argParser(seconds)
    .default(defaultSeconds * 1000, String(defaultSeconds))
}
