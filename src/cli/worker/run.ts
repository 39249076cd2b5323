import type { Logger } from '../../contract/index.ts'
import { modulePath } from '../broker-module.ts'
import { formatReport } from '../error-report.ts'
import { EXIT } from '../exit-codes.ts'
import type { ExitCode } from '../exit-codes.ts'
import { createLogger } from '../log.ts'
import { bannerLines } from './banner.ts'
import { judgeChild } from './health.ts'
import type { ChildHealth } from './health.ts'
import { startHealthServer } from './health-server.ts'
import type { WorkerFacts } from './messages.ts'
import type { WorkerSettings } from './options.ts'
import { listenForSignals } from './signals.ts'
import type { Slot } from './slot.ts'
import { Supervisor } from './supervisor.ts'
import { watchFiles } from './watch.ts'

/** Runs `kiq worker` until it is stopped. */
export async function runWorker(settings: WorkerSettings): Promise<ExitCode> {
  const { child, processes, maxFails, hardkillCount } = settings
  const startedAt = performance.now()
  const log = await createLogger(child.log, 'supervisor')
  const supervisor = new Supervisor({
    processes,
    child,
    maxFails,
    hardkillCount,
    retire: settings.reload ? 'go-on' : 'wait',
    log,
    onUnusable: (report) => {
      process.stderr.write(formatReport(report, { stack: child.log.level === 'debug' ? 'show' : 'hide' }))
    },
    onFirstReady: (facts) => sayHello(facts, settings, log),
  })
  const stopHelpers = await startHelpers(settings, supervisor, log)
  try {
    const exitCode = await supervisor.run()
    if (exitCode !== EXIT.USAGE) {
      const seconds = Math.round((performance.now() - startedAt) / 1000)
      const { processed } = supervisor
      log.info({ processed, seconds }, `Stopped after ${processed} task(s) in ${seconds} s.`)
    }
    return exitCode
  } finally {
    await stopHelpers()
  }
}

function sayHello(facts: WorkerFacts, { child, processes }: WorkerSettings, log: Logger): void {
  const lines = bannerLines({ ...facts, processes, concurrency: child.concurrency }, child.log.format)
  for (const { fields, message } of lines) log.info(fields, message)
  if (facts.transport === 'memory') {
    log.warn(
      { broker: facts.broker },
      'This broker is private to each process: what other programs send never gets here.',
    )
  }
}

/** What reacts to the world outside: signals, health requests, changed files. */
async function startHelpers(
  settings: WorkerSettings,
  supervisor: Supervisor,
  log: Logger,
): Promise<() => Promise<void>> {
  const { health, reload, child } = settings
  const stops: (() => unknown)[] = []
  stops.push(
    listenForSignals({
      onStop: (signal) => supervisor.signal(signal),
      onRestart: (signal) => supervisor.restart(signal),
    }),
  )
  if (health) {
    const server = await startHealthServer(health, () => ({
      state: supervisor.state,
      children: supervisor.slots.map(slotHealth),
    }))
    log.info({ url: server.url }, `Health checks at ${server.url}/live and ${server.url}/ready.`)
    stops.push(() => server.close())
  }
  if (reload) {
    const { target, modules, appDir } = child.modules
    const named = [target.module, ...modules].map((module) => modulePath(appDir, module))
    stops.push(
      await watchFiles(reload, named, {
        onChange: (path) => supervisor.restart(`${path} changed`),
        onError: (error) => log.warn({ err: error }, 'Some files cannot be watched; a change of them goes unnoticed.'),
      }),
    )
    log.info({ dirs: reload.dirs }, `Watching ${reload.dirs.join(', ')} for changes; one worker process.`)
  }
  return async () => {
    for (const stop of stops.reverse()) await stop()
  }
}

function slotHealth({ index, current }: Slot): ChildHealth {
  return judgeChild({
    slot: index,
    state: current?.state ?? 'waiting',
    pid: current?.pid,
    workerId: current?.workerId,
    silentForMs: current?.silentForMs,
    heartbeat: current?.heartbeat,
  })
}
