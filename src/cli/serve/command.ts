import { resolve } from 'node:path'

import { Option } from 'commander'
import type { Command } from 'commander'

import { DRAIN_SECONDS } from '../../serve/manifest/options.ts'
import { parseTarget } from '../broker-module.ts'
import { EXIT } from '../exit-codes.ts'
import type { ExitCode } from '../exit-codes.ts'
import { addLogOptions, logSettings, ownTerminal } from '../log-options.ts'
import type { LogOptions } from '../log-options.ts'
import { addAppDirOption } from '../module-options.ts'
import type { AppDirOption } from '../module-options.ts'
import { list, seconds, wholeNumber } from '../option-values.ts'

interface ConfigOption {
  readonly config?: readonly string[] | undefined
}

interface ServeFlags extends AppDirOption, ConfigOption, LogOptions {
  readonly host?: string | undefined
  readonly port?: number | undefined
  readonly printConfig?: true | undefined
  readonly workers?: number | undefined
  readonly inProcess?: true | undefined
  readonly jobsWorker: boolean
  /** Milliseconds. */
  readonly drainTimeout: number
}

interface ManifestFlags extends AppDirOption, ConfigOption {
  readonly out: string
  readonly force?: true | undefined
}

const SERVICE_HELP = 'module that declares the service (.ts, .js, .mts, .mjs), and its export if there are several'

/** @param done - Gets the exit code. */
export function addServeCommand(program: Command, done: (code: ExitCode) => void): void {
  const command = program
    .command('serve')
    .description('serve the models of an InferenceService over HTTP')
    .argument('[module[:service]]', `${SERVICE_HELP}; needed for all but --print-config`)
    // Not taken from `serve manifest`, which has some of the same.
    .enablePositionalOptions()
  addConfigOption(addAppDirOption(command))
  addServingOptions(command)
  addLogOptions(command).action(async (module: string | undefined, flags: ServeFlags) => {
    const found = module === undefined ? undefined : { target: parseTarget(module), appDir: resolve(flags.appDir) }
    // What serves is loaded only here: the other commands do without it.
    if (flags.printConfig) {
      const { printServeConfig } = await import('./print-config.ts')
      await printServeConfig(flags.config, found)
      done(EXIT.OK)
    } else if (found === undefined) {
      command.error("error: missing required argument 'module[:service]'", { code: 'commander.missingArgument' })
    } else {
      const { runServe } = await import('./run.ts')
      const { host, port, workers, inProcess = false, jobsWorker, drainTimeout } = flags
      const log = logSettings(flags, ownTerminal())
      const how = { host, port, workers, inProcess, jobsWorker, drainMs: drainTimeout, configFiles: flags.config }
      done(await runServe({ ...found, ...how, log }))
    }
  })
  addManifestCommand(command)
}

function addServingOptions(command: Command): void {
  command
    .option('--print-config', 'print the settings in effect and where each comes from, secrets masked; serves nothing')
    .option('--host <host>', 'address to listen at (default: http_config.host)')
    .option('--port <port>', 'port to listen at; 0 = any free one (default: http_config.port)', wholeNumber(0, 65_535))
    .addOption(
      new Option(
        '--workers <count>',
        'worker processes for each model, in place of the least and the most that are set',
      )
        .argParser(wholeNumber(1))
        .conflicts('inProcess'),
    )
    .option('--in-process', 'run models in this process, on its event loop')
    .option('--no-jobs-worker', 'only accept asynchronous jobs; `kiq worker` executes them')
    .addOption(
      new Option('--drain-timeout <seconds>', 'running requests and jobs may go on so long after a stop')
        .argParser(seconds)
        .default(DRAIN_SECONDS * 1000, String(DRAIN_SECONDS)),
    )
}

function addManifestCommand(serve: Command): void {
  const command = serve
    .command('manifest')
    .description('write a Dockerfile, and files for Docker Compose and Kubernetes, from the configuration of a service')
    .argument('<module[:service]>', SERVICE_HELP)
  addConfigOption(addAppDirOption(command))
    .option('--out <dir>', 'folder to write to', '.')
    .option('--force', 'overwrite files that are there')
    .action(async (module: string, flags: ManifestFlags) => {
      const { writeManifest } = await import('./manifest.ts')
      await writeManifest({
        target: parseTarget(module),
        appDir: resolve(flags.appDir),
        configFiles: flags.config,
        out: flags.out,
        existing: flags.force ? 'overwrite' : 'keep',
      })
    })
}

function addConfigOption(command: Command): Command {
  return command.option(
    '--config <files>',
    'files with settings, weakest first, separated by commas; repeatable (default: kiq.yaml, else modalkit.yaml)',
    list,
  )
}
