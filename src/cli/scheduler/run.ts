import type { Logger } from '../../contract/index.ts'
import { KiqError } from '../../contract/index.ts'
import type { Scheduler, SchedulerRunOptions } from '../../scheduler/index.ts'
import { sleep } from '../../util/abort.ts'
import { backoffMs } from '../../util/backoff.ts'
import type { ModuleSettings } from '../broker-module.ts'
import type { ExitCode } from '../exit-codes.ts'
import { EXIT } from '../exit-codes.ts'
import type { LogSettings } from '../log.ts'
import { createLogger } from '../log.ts'
import { loadScheduler } from '../scheduler-module.ts'
import { exitProcess } from '../terminal.ts'
import { useLogger } from '../worker/broker-logger.ts'
import { listenForSignals } from '../worker/signals.ts'

export interface SchedulerSettings {
  readonly modules: ModuleSettings
  readonly log: LogSettings
  readonly run: SchedulerRunOptions
}

const BACKOFF = { baseMs: 500, maxMs: 10_000 }

/** Runs `kiq scheduler` until it is stopped; a second signal ends it at once. */
export async function runScheduler({ modules, log: logging, run }: SchedulerSettings): Promise<ExitCode> {
  const log = await createLogger(logging, 'scheduler')
  const stop = new AbortController()
  const onSignal = (signal: string): void => {
    if (stop.signal.aborted) exitProcess(EXIT.KILLED)
    log.info({ signal }, `Stopping (${signal}).`)
    stop.abort()
  }
  const unlisten = listenForSignals({ onStop: onSignal, onRestart: () => undefined })
  try {
    const { scheduler, discovered } = await loadScheduler(modules)
    if (discovered?.length === 0) log.warn({ patterns: modules.patterns }, '--fs-discover found no file.')
    useLogger(scheduler.broker, log)
    await start(scheduler, log, stop.signal)
    if (!stop.signal.aborted) {
      sayHello(scheduler, log)
      await scheduler.run({ ...run, signal: stop.signal })
    }
    log.info({}, 'Stopped.')
    return EXIT.OK
  } finally {
    unlisten()
  }
}

/** Tries until the engine can be reached: nobody starts this process again. */
async function start(scheduler: Scheduler, log: Logger, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; !signal.aborted; attempt += 1) {
    try {
      await scheduler.startup()
      return
    } catch (err) {
      if (!KiqError.is(err) || err.name !== 'BrokerError') throw err
      log.error({ err }, 'The scheduler could not start; trying again.')
      await sleep(backoffMs(attempt, BACKOFF), signal)
    }
  }
}

function sayHello(scheduler: Scheduler, log: Logger): void {
  const { broker, sources } = scheduler
  const names = sources.map((source) => source.constructor.name)
  log.info(
    { broker: broker.constructor.name, transport: broker.transport.name, sources: names },
    `The scheduler sends through ${broker.constructor.name}; schedules come from ${names.join(', ')}.`,
  )
  if (broker.transport.name === 'memory') {
    log.warn(
      { broker: broker.constructor.name },
      'This broker is private to its process: no worker gets what is sent here. Use `kiq worker --with-scheduler`.',
    )
  }
}
