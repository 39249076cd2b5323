import { KiqError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import type { ServeConfig, ServerHandle } from '../../serve/index.ts'
import { setRunSettings } from '../../serve/run-settings.ts'
import type { Target } from '../broker-module.ts'
import { modulePath } from '../broker-module.ts'
import { EXIT } from '../exit-codes.ts'
import type { ExitCode } from '../exit-codes.ts'
import { createLogger } from '../log.ts'
import type { LogSettings } from '../log.ts'
import { exitProcess } from '../terminal.ts'
import { deferred } from '../worker/deferred.ts'
import { listenForSignals } from '../worker/signals.ts'
import { bannerLines } from './banner.ts'
import { checkConfigFiles, useConfigFiles } from './config-files.ts'
import { loadService } from './service-module.ts'
import type { AnyService } from './service-module.ts'

/** Options of `kiq serve`, resolved. */
export interface ServeSettings {
  readonly target: Target
  readonly appDir: string
  readonly log: LogSettings
  /** `undefined`: those that the module or the environment names. */
  readonly configFiles: readonly string[] | undefined
  readonly host: string | undefined
  readonly port: number | undefined
  readonly workers: number | undefined
  readonly inProcess: boolean
  readonly jobsWorker: boolean
  readonly drainMs: number
}

/** Milliseconds beyond the time to drain, for closing what is left. */
const CLOSING_MS = 10_000

/** Runs `kiq serve` until it is stopped; a second signal ends it at once. */
export async function runServe(settings: ServeSettings): Promise<ExitCode> {
  const { configFiles, drainMs } = settings
  const log = await createLogger(settings.log, 'server')
  const stopped = deferred<'stopped'>()
  let isStopping = false
  const unlisten = listenForSignals({
    onStop: (signal) => {
      if (isStopping) exitProcess(EXIT.KILLED)
      isStopping = true
      log.info({ signal }, `Stopping (${signal}).`)
      stopped.resolve('stopped')
    },
    onRestart: () => undefined,
  })
  try {
    useConfigFiles(configFiles)
    const service = await Promise.race([load(settings, log), stopped.promise])
    if (service !== 'stopped') {
      checkConfigFiles(configFiles, service.config)
      try {
        await serve(service, settings, { log, stopped: stopped.promise })
      } finally {
        await close(service, drainMs, log)
      }
    }
    log.info({}, 'Stopped.')
    return EXIT.OK
  } finally {
    unlisten()
  }
}

async function load({ target, appDir, ...settings }: ServeSettings, log: Logger): Promise<AnyService> {
  const { workers, inProcess, jobsWorker } = settings
  const run = { module: modulePath(appDir, target.module), inProcess, workers, jobsWorker, log }
  // Services take it over when they are made, which is while the module is imported.
  setRunSettings(run)
  return await loadService({ target, appDir })
}

interface Stopping {
  readonly log: Logger
  readonly stopped: Promise<'stopped'>
}

/** Resolves when it was told to stop, also while models load. */
async function serve(service: AnyService, settings: ServeSettings, { log, stopped }: Stopping): Promise<void> {
  const listening = service.listen({ host: settings.host, port: settings.port })
  const server = await Promise.race([listening, stopped])
  if (server === 'stopped') {
    // The start ends with an error, which is news only when it is of something else.
    listening.catch((err: unknown) => {
      if (!KiqError.is(err, 'KIQ_SERVE_STOPPING')) log.warn({ err }, 'The service was stopped before it had started.')
    })
    return
  }
  sayHello(service, server, { settings, log })
  await stopped
}

function sayHello(
  { config, modelNames }: AnyService,
  { url }: ServerHandle,
  { settings, log }: { readonly settings: ServeSettings; readonly log: Logger },
): void {
  const facts = { ...settings, config, models: modelNames, url }
  for (const { fields, message } of bannerLines(facts, settings.log.format)) log.info(fields, message)
  if (!hasKeys(config) && !/^http:\/\/(127\.|localhost|\[::1\])/.test(url)) {
    log.warn({ url }, 'There are no API keys: whoever reaches this address is served. Set auth_config.api_keys.')
  }
}

function hasKeys({ appSettings }: ServeConfig): boolean {
  return appSettings.authConfig.apiKeys.length > 0
}

/** Ends the service; and this process, should that take much longer than draining may. */
async function close(service: AnyService, drainMs: number, log: Logger): Promise<void> {
  const limit = setTimeout(() => {
    log.error({ drainMs }, 'The service did not stop in time, and is ended.')
    exitProcess(EXIT.FAILED)
  }, drainMs + CLOSING_MS)
  try {
    await service.close({ timeout: drainMs })
  } finally {
    clearTimeout(limit)
  }
}
