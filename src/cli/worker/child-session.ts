import { monitorEventLoopDelay } from 'node:perf_hooks'

import type { Logger } from '../../contract/index.ts'
import { Broker, Worker } from '../../core/index.ts'
import type { Watchdog, WorkerEnd } from '../../core/index.ts'
import { sleep } from '../../util/abort.ts'
import { backoffMs } from '../../util/backoff.ts'
import type { Scheduler } from '../../scheduler/index.ts'
import { loadBroker, loadExports } from '../broker-module.ts'
import { reportError } from '../error-report.ts'
import type { ExitCode } from '../exit-codes.ts'
import { EXIT, exitCodeOf } from '../exit-codes.ts'
import { OWN_ROOT } from '../own-root.ts'
import { schedulerOf } from '../scheduler-module.ts'
import { killAfterMs } from './deadlines.ts'
import { useLogger } from './broker-logger.ts'
import type { ChildSettings, FromChild, Heartbeat, Receiving, Running, WorkerFacts } from './messages.ts'
import { observeReceiving } from './receiving.ts'

const HEARTBEAT_MS = 1_000
const SCHEDULER_BACKOFF = { baseMs: 500, maxMs: 10_000 }

export interface SessionParts {
  readonly settings: ChildSettings
  readonly log: Logger
  readonly watchdog: Watchdog
  /** Resolves when the message has left. */
  readonly send: (message: FromChild) => Promise<void>
  readonly exit: (code: ExitCode) => void
}

/**
 * The life of a worker process.
 *
 * States: *starting*: loads the modules and connects; a stop ends it at once, since it holds nothing yet, and a failure
 * is told to the supervisor. *working*: the worker takes and runs tasks. *stopping* after {@link ChildSession.stop}, or
 * the last of `maxTasks`: the worker winds down, running tasks are aborted at the deadline. *closing*: everything is
 * settled; the broker shuts down, for at most the shutdown timeout. Then the process exits.
 */
export class ChildSession {
  readonly #parts: SessionParts
  #broker: Broker | undefined
  #worker: Worker | undefined
  #isWorking = false
  #isStopping = false

  constructor(parts: SessionParts) {
    this.#parts = parts
  }

  async run(): Promise<void> {
    const { settings, send, exit } = this.#parts
    const worker = await this.#start()
    if (worker === undefined) return
    const { broker } = worker
    const stopHeartbeat = this.#startHeartbeat(worker)
    const stopScheduler = this.#startScheduler(worker.scheduler)
    await send({ type: 'ready', facts: factsOf(worker) })
    const end: WorkerEnd = await worker.worker.run()
    this.#parts.watchdog.arm(killAfterMs(settings.deadlines, 'abort'))
    stopHeartbeat()
    await stopScheduler()
    await send({ type: 'ended', end, processed: worker.worker.processed })
    await this.#close(broker)
    exit(EXIT.OK)
  }

  /** Safe to call again; `abort` shortens an earlier `finish`. */
  stop(running: Running): void {
    const { settings, watchdog, exit } = this.#parts
    watchdog.arm(killAfterMs(settings.deadlines, running))
    this.#isStopping = true
    if (this.#isWorking) this.#stopWorker(running)
    else exit(EXIT.OK)
  }

  /** Hands back what a dead worker held, and tells how much that was. */
  async reclaim(workerId: string): Promise<void> {
    const { send } = this.#parts
    const broker = this.#broker
    try {
      const count = (await broker?.transport.reclaim?.(workerId)) ?? 0
      await send({ type: 'reclaimed', workerId, count, ...(broker ? {} : { error: 'It is not connected.' }) })
    } catch (error) {
      await send({ type: 'reclaimed', workerId, count: 0, error: String(error) })
    }
  }

  async #start(): Promise<Started | undefined> {
    const { settings, log, send, exit } = this.#parts
    try {
      const { broker, module, discovered } = await loadBroker(settings.modules)
      if (discovered?.length === 0) {
        log.warn({ patterns: settings.modules.patterns, dir: settings.modules.appDir }, '--fs-discover found no file.')
      }
      if (!(broker instanceof Broker)) {
        log.warn(
          { module },
          'The module imports another copy of kiq than the one that runs here, so context() fails in its tasks. ' +
            'Run the copy that is installed beside the module: `npx kiq worker …` in its folder.',
        )
      }
      useLogger(broker, log)
      const receiving = observeReceiving(broker.transport)
      const scheduler = settings.withScheduler ? await this.#scheduler(broker) : undefined
      const worker = new Worker(broker, workerOptions(settings, module))
      await send({ type: 'loaded', workerId: broker.workerId })
      await worker.start()
      this.#broker = broker
      this.#worker = worker
      this.#isWorking = true
      return { broker, worker, receiving, scheduler }
    } catch (error) {
      const exitCode = exitCodeOf(error)
      await send({ type: 'failed', report: reportError(error, { ownRoot: OWN_ROOT }), exitCode })
      exit(exitCode)
      return undefined
    }
  }

  async #scheduler(broker: Broker): Promise<Scheduler> {
    const { modules } = this.#parts.settings
    return schedulerOf(broker, await loadExports(modules), modules.target)
  }

  /** Its end never fails: what goes wrong with schedules is no matter of the worker's tasks. */
  #startScheduler(scheduler: Scheduler | undefined): () => Promise<void> {
    const stop = new AbortController()
    const running = this.#runScheduler(scheduler, stop.signal)
    return async () => {
      stop.abort()
      await running
    }
  }

  async #runScheduler(scheduler: Scheduler | undefined, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; scheduler && !signal.aborted; attempt += 1) {
      try {
        await scheduler.run({ signal })
        return
      } catch (err) {
        this.#parts.log.error({ err }, 'The scheduler ended; starting it again.')
        await sleep(backoffMs(attempt, SCHEDULER_BACKOFF), signal)
      }
    }
  }

  #stopWorker(running: Running): void {
    this.#worker?.stop({ running }).catch((error: unknown) => {
      this.#parts.log.error({ err: error }, 'The worker did not stop as it should.')
    })
  }

  async #close(broker: Broker): Promise<void> {
    const { log, settings } = this.#parts
    const over = new AbortController()
    const limit = sleep(settings.deadlines.shutdownMs, over.signal).then(() => {
      if (!over.signal.aborted) log.warn({}, 'The broker did not shut down within --shutdown-timeout.')
    })
    const shutdown = closeAll(broker).catch((error: unknown) => {
      log.error({ err: error }, 'The shutdown of the broker failed.')
    })
    await Promise.race([shutdown, limit])
    over.abort()
  }

  #startHeartbeat({ worker, receiving }: Started): () => void {
    const lag = monitorEventLoopDelay({ resolution: 20 })
    lag.enable()
    const timer = setInterval(() => {
      const beat: Heartbeat = {
        running: worker.running,
        processed: worker.processed,
        lastFetchAt: worker.lastFetchAt ?? null,
        receiving: this.#isStopping ? 'stopped' : receiving(),
        lagMs: Math.max(0, Math.round(lag.max / 1e6) - 20),
      }
      lag.reset()
      void this.#parts.send({ type: 'heartbeat', beat })
    }, HEARTBEAT_MS)
    return () => clearInterval(timer)
  }
}

/** Injected values first: they may still send. Nobody else uses them, as this process ends. */
async function closeAll(broker: Broker): Promise<void> {
  try {
    await broker.parts.injector?.close()
  } finally {
    await broker.shutdown()
  }
}

interface Started {
  readonly broker: Broker
  readonly worker: Worker
  readonly receiving: () => Receiving
  readonly scheduler: Scheduler | undefined
}

function workerOptions(settings: ChildSettings, module: string): ConstructorParameters<typeof Worker>[1] {
  const { queues, concurrency, prefetch, ackType, maxDeliveries, maxTasks, deadlines } = settings
  return {
    module,
    queues,
    concurrency,
    prefetch,
    ackType,
    maxDeliveries,
    maxTasks,
    waitTasksTimeout: deadlines.waitTasksMs,
    abortGrace: deadlines.abortGraceMs,
    shutdownTimeout: deadlines.shutdownMs,
  }
}

function factsOf({ broker, worker }: Started): WorkerFacts {
  return {
    broker: broker.constructor.name,
    transport: broker.transport.name,
    queues: worker.queues,
    tasks: broker.tasks.map(({ name }) => name),
  }
}
