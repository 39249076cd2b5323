import { readFileSync } from 'node:fs'

import { Command, CommanderError } from 'commander'

import { withoutAliases } from './argv-aliases.ts'
import { addCheckCommand } from './check/command.ts'
import { addDeadCommand } from './dead/command.ts'
import { formatReport, reportError } from './error-report.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import type { ExitCode } from './exit-codes.ts'
import { addInfoCommand } from './info/command.ts'
import { OWN_ROOT } from './own-root.ts'
import { addScheduleCommand } from './schedule/command.ts'
import { addSchedulerCommand } from './scheduler/command.ts'
import { addServeCommand } from './serve/command.ts'
import { addWorkerCommand } from './worker/command.ts'

/**
 * Runs one command.
 *
 * @param argv - What follows `kiq`.
 */
export async function runCli(argv: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.OK
  const program = new Command('kiq')
    .description('Typed background tasks')
    .version(packageVersion(), '-V, --version')
    .exitOverride()
    // So that a command and one below it can have options of the same names.
    .enablePositionalOptions()
    .showHelpAfterError('Add --help to see every option.')
  addWorkerCommand(program, (code) => {
    exitCode = code
  })
  addSchedulerCommand(program, (code) => {
    exitCode = code
  })
  addScheduleCommand(program)
  addServeCommand(program, (code) => {
    exitCode = code
  })
  addInfoCommand(program)
  addCheckCommand(program, (code) => {
    exitCode = code
  })
  addDeadCommand(program)
  try {
    await program.parseAsync(withoutAliases(argv), { from: 'user' })
    return exitCode
  } catch (error) {
    // Commander has printed its own errors.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE
    const report = reportError(error, { ownRoot: OWN_ROOT })
    process.stderr.write(formatReport(report, { stack: report.code === undefined ? 'show' : 'hide' }))
    return exitCodeOf(error)
  }
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', OWN_ROOT), 'utf8')) as { version: string }
  return version
}
