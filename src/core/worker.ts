import { setMaxListeners } from 'node:events'

import { ConfigError, KiqError } from '../contract/index.ts'
import type { Delivery } from '../contract/index.ts'
import { sleep } from '../util/abort.ts'
import { backoffMs } from '../util/backoff.ts'
import type { Duration } from '../util/duration.ts'
import { PlacedList } from '../util/placed-list.ts'
import type { Broker } from './broker.ts'
import { cancelledError } from './cancelled-error.ts'
import { optionalDurationMs, wholeNumber } from './duration.ts'
import type { BrokerEvent } from './events.ts'
import { leaseLostError } from './execution.ts'
import type { Execution } from './execution.ts'
import { IsolatePools } from './isolate/pools.ts'
import { Receiver } from './receiver.ts'
import { createRunTask } from './run-task.ts'
import { Settler } from './settler.ts'
import { Slots } from './slots.ts'
import type { SlotState } from './slots.ts'
import { parseAckType } from './task-definition.ts'
import type { AckType } from './task-definition.ts'

export interface WorkerOptions {
  /** Queues to take from; the broker's own queue and those its tasks name when absent. */
  readonly queues?: readonly string[] | undefined
  /**
   * Tasks in work at once, ≥ 1.
   *
   * @defaultValue `100`
   */
  readonly concurrency?: number | undefined
  /**
   * Deliveries fetched ahead of those in work, ≥ 0. Hides the round trip to the engine; but prefetched messages wait
   * behind slow tasks while other workers idle.
   *
   * @defaultValue `0`
   */
  readonly prefetch?: number | undefined
  /** @defaultValue `'when_saved'` */
  readonly ackType?: AckType | undefined
  /**
   * Deliveries of one message without an outcome (its worker died each time) before it becomes a dead letter, ≥ 1.
   *
   * @defaultValue `5`
   */
  readonly maxDeliveries?: number | undefined
  /** The worker stops after this many tasks; unlimited when absent. */
  readonly maxTasks?: number | undefined
  /**
   * How long `stop()` lets running tasks go on before it aborts them.
   *
   * @defaultValue `'30s'`
   */
  readonly waitTasksTimeout?: Duration | undefined
  /**
   * How long `stop()` tries to store the last outcomes and to close connections.
   *
   * @defaultValue `'5s'`
   */
  readonly shutdownTimeout?: Duration | undefined
  /**
   * Time between the abort of a task's signal and the moment its slot is given away (or its process killed).
   *
   * @defaultValue `'1s'`
   */
  readonly abortGrace?: Duration | undefined
  /** Path or URL of the module that declares the tasks; needed for tasks with `isolate` that do not name theirs. */
  readonly module?: string | undefined
}

/** Why a worker ended. */
export type WorkerEnd = 'stopped' | 'max-tasks'

const RECEIVE_BACKOFF = { baseMs: 100, maxMs: 5_000 }

/**
 * Executes the tasks of a broker in this process.
 *
 * States: *idle* until {@link Worker.start}; *running*: takes as many deliveries as there are free slots; *stopping*
 * after {@link Worker.stop} or the last of `maxTasks`: takes nothing more, hands back what was prefetched, waits for
 * what runs, aborts what is left at the deadline, stores the outcomes; *ended*.
 */
export class Worker {
  readonly #broker: Broker
  readonly #queues: readonly string[] | undefined
  readonly #maxTasks: number
  readonly #waitTasksMs: number
  readonly #shutdownMs: number
  readonly #graceMs: number
  readonly #options: WorkerOptions
  readonly #isolates: IsolatePools

  readonly #stopReceiving = new AbortController()
  /** Ends the one receive that is under way. */
  #receiveEnd = new AbortController()
  /** Ids that were cancelled while their message may have been in the buffer. */
  readonly #cancelledInBuffer = new Set<string>()
  /** Queues beyond those of the tasks. */
  readonly #served = new Set<string>()
  #detach: (() => void) | undefined
  readonly #giveUp = new AbortController()
  /** Ends the wait for running tasks. */
  readonly #deadline = new AbortController()
  readonly #slots: Slots
  readonly #executions = new PlacedList<Execution>()
  /** Those who wait for the outcome of a task, oldest first; several may wait for one id. */
  readonly #finals: { readonly taskId: string; readonly resolve: () => void }[] = []
  #accepted = 0
  #processed = 0
  #lastFetchAt: number | undefined
  #slotFreed: (() => void) | undefined
  #allDone: (() => void) | undefined
  #receiver: Receiver | undefined
  #settler: Settler | undefined
  #ended: Promise<WorkerEnd> | undefined

  constructor(broker: Broker, options: WorkerOptions = {}) {
    // During an outage every outcome that cannot be written waits with it.
    setMaxListeners(0, this.#giveUp.signal)
    this.#broker = broker
    this.#options = options
    this.#queues = options.queues
    this.#slots = new Slots({
      concurrency: wholeNumber('concurrency', options.concurrency ?? 100, 1),
      prefetch: wholeNumber('prefetch', options.prefetch ?? 0, 0),
      maxDeliveries: wholeNumber('maxDeliveries', options.maxDeliveries ?? 5, 1),
      begin: (delivery) => this.#receiver?.process(delivery),
      handBack: (deliveries) => this.#handBack(deliveries),
      onFree: () => this.#wakeLoop(),
    })
    this.#maxTasks = options.maxTasks === undefined ? Infinity : wholeNumber('maxTasks', options.maxTasks, 1)
    this.#waitTasksMs = optionalDurationMs('waitTasksTimeout', options.waitTasksTimeout, 30_000)
    this.#shutdownMs = optionalDurationMs('shutdownTimeout', options.shutdownTimeout, 5_000)
    this.#graceMs = optionalDurationMs('abortGrace', options.abortGrace, 1_000)
    this.#isolates = new IsolatePools({ module: options.module })
    if (options.ackType !== undefined) parseAckType(options.ackType)
    if (options.queues?.length === 0) {
      throw new ConfigError('KIQ_CONFIG_INVALID', '`queues` is empty. Name at least one queue, or leave it out.')
    }
  }

  /** Tasks in work now, those included whose outcome is being written. */
  get running(): number {
    return this.#slots.running
  }

  /** Tasks ended since the start. */
  get processed(): number {
    return this.#processed
  }

  /** Milliseconds since the epoch of the last answer from the transport: what a health check should look at. */
  get lastFetchAt(): number | undefined {
    return this.#lastFetchAt
  }

  /** @internal Takes from this queue too, from now on. */
  serve(queue: string): void {
    if (this.#served.has(queue)) return
    this.#served.add(queue)
    this.#restartReceive()
  }

  /** Queues this worker takes from. */
  get queues(): readonly string[] {
    if (this.#queues) return this.#queues
    const named = this.#broker.tasks.map((task) => task.labels['queue_name']).filter((queue) => queue !== undefined)
    return [...new Set([this.#broker.defaultQueue, ...named.map(String), ...this.#served])]
  }

  /**
   * Starts the broker as a worker and begins to take messages. Resolves when it is connected.
   *
   * @param events - Events to fire when the broker was not started; an in-memory broker fires both kinds.
   */
  async start(events?: readonly BrokerEvent[]): Promise<void> {
    if (this.#stopReceiving.signal.aborted) {
      throw new ConfigError('KIQ_CONFIG_INVALID', 'This worker was stopped. A worker runs once: make a new one.')
    }
    if (this.#ended) return
    this.#detach = await this.#broker.startupWorker(
      {
        onCancel: (taskId) => this.#cancel(taskId),
        onLeaseLost: (deliveries) => this.#loseLeases(deliveries),
        onTask: () => this.#restartReceive(),
      },
      events,
    )
    const { resultBackend, logger, injector } = this.#broker.parts
    const { transport } = this.#broker
    this.#settler = new Settler({ transport, resultBackend, logger, giveUp: this.#giveUp.signal })
    this.#receiver = new Receiver({
      broker: this.#broker,
      settler: this.#settler,
      runTask: createRunTask({
        abortGraceMs: this.#graceMs,
        runIsolated: (definition, args, execution, graceMs) => this.#isolates.run(definition, args, execution, graceMs),
        logger,
        clock: this.#broker.clock,
        injector,
      }),
      ackType: this.#options.ackType ?? 'when_saved',
      maxDeliveries: this.#options.maxDeliveries ?? 5,
      onStart: (execution) => this.#note(execution),
      onEnd: (execution) => this.#executions.delete(execution),
      onEnded: (delivery) => this.#slots.ended(delivery),
      onDone: (delivery, error, slot) => this.#onDone(delivery, error, slot),
      onFinal: (taskId) => this.tellFinal(taskId),
    })
    this.#ended = this.#receive().then((end) => this.#windDown(end))
  }

  /** Starts, and resolves when the worker has ended: after `stop()`, after `signal`, or after `maxTasks`. */
  async run(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<WorkerEnd> {
    const { signal } = options
    const stop = (): void => this.#beginStop()
    if (signal?.aborted) return 'stopped'
    signal?.addEventListener('abort', stop, { once: true })
    try {
      await this.start()
      return (await this.#ended) ?? 'stopped'
    } finally {
      signal?.removeEventListener('abort', stop)
    }
  }

  /**
   * Stops gracefully and resolves when everything is settled. The broker itself stays started: `broker.shutdown()` is
   * the caller's.
   *
   * @param options.running - `finish` (default) lets running tasks go on for `waitTasksTimeout`; `abort` aborts them now,
   *   also when an earlier `stop()` is still waiting.
   */
  async stop(options: { readonly running?: 'finish' | 'abort' | undefined } = {}): Promise<void> {
    if (options.running === 'abort') this.#deadline.abort()
    this.#beginStop()
    await this.#ended
  }

  /** @internal Resolves when that task has its outcome here, or when the worker ends. Call it before the task is sent. */
  final(taskId: string): Promise<void> {
    return new Promise((resolve) => this.#finals.push({ taskId, resolve }))
  }

  /** @internal The task has its outcome: it ended here, or it was cancelled before it began. */
  tellFinal(taskId: string): void {
    if (this.#finals.length === 0) return
    const position = this.#finals.findIndex((one) => one.taskId === taskId)
    if (position >= 0) this.#finals.splice(position, 1)[0]?.resolve()
  }

  #beginStop(): void {
    this.#stopReceiving.abort()
    this.#slots.close()
    this.#receiveEnd.abort()
    this.#wakeLoop()
  }

  /** Ends the receive that waits, so that the next one asks for all queues there are now. */
  #restartReceive(): void {
    if (this.#queues || this.#stopReceiving.signal.aborted) return
    this.#receiveEnd.abort()
    this.#receiveEnd = new AbortController()
  }

  async #receive(): Promise<WorkerEnd> {
    const { transport } = this.#broker
    const { logger } = this.#broker.parts
    const { signal } = this.#stopReceiving
    let failures = 0
    while (!signal.aborted) {
      const left = this.#maxTasks - this.#accepted
      if (left <= 0) return 'max-tasks'
      const { free } = this.#slots
      if (free <= 0) {
        await this.#nextFreeSlot()
        // Tasks that end in one turn of the event loop make room for as many messages.
        await new Promise<void>((resolve) => setImmediate(resolve))
        continue
      }
      try {
        const deliveries = await transport.receive({
          queues: this.queues,
          max: Math.min(free, left),
          signal: this.#receiveEnd.signal,
        })
        this.#lastFetchAt = Date.now()
        if (failures > 0) logger.info({ transport: transport.name }, 'The transport answers again.')
        failures = 0
        this.#accepted += deliveries.length
        this.#slots.accept(deliveries)
      } catch (error) {
        failures += 1
        if (failures === 1) logger.error({ err: error, transport: transport.name }, 'Cannot receive; trying again.')
        await sleep(backoffMs(failures, RECEIVE_BACKOFF), signal)
      }
    }
    return 'stopped'
  }

  #onDone(delivery: Delivery, error: unknown, slot: SlotState | undefined): void {
    if (error !== undefined) {
      this.#broker.parts.logger.error(
        { err: error, taskId: delivery.taskId, queue: delivery.queue },
        'A delivery could not be settled; the transport will deliver it again.',
      )
    }
    this.#processed += 1
    this.#slots.done(delivery, slot)
    if (this.#cancelledInBuffer.size > 0 && !this.#slots.hasWaiting) this.#cancelledInBuffer.clear()
    if (this.#slots.running === 0) this.#allDone?.()
  }

  #nextFreeSlot(): Promise<void> {
    return new Promise((resolve) => {
      this.#slotFreed = resolve
    })
  }

  #wakeLoop(): void {
    const wake = this.#slotFreed
    this.#slotFreed = undefined
    wake?.()
  }

  /** From the end of receiving to the end of the worker. */
  async #windDown(end: WorkerEnd): Promise<WorkerEnd> {
    const { logger } = this.#broker.parts
    const stopped = this.#stopReceiving.signal
    // The last of `maxTasks` may take their time, unless somebody asks for the end meanwhile.
    if (end === 'max-tasks') await this.#tasksDone(Infinity, stopped)
    if (stopped.aborted) {
      const limit = setTimeout(() => this.#giveUp.abort(), this.#shutdownMs)
      await this.#handBack(this.#slots.takeWaiting())
      clearTimeout(limit)
    }
    if (!(await this.#tasksDone(this.#waitTasksMs, this.#deadline.signal))) {
      logger.warn({ running: this.#slots.running }, 'Tasks still run at the deadline of the stop; aborting them.')
      for (const execution of this.#executions) execution.abort(stoppedError(execution))
      // The runner gives the slot away after the grace period; what follows is only the write of the outcome.
      const limit = setTimeout(() => this.#giveUp.abort(), this.#graceMs + this.#shutdownMs)
      await this.#tasksDone(this.#graceMs + this.#shutdownMs + 1_000, undefined)
      clearTimeout(limit)
    }
    this.#giveUp.abort()
    await this.#isolates.close(this.#graceMs)
    for (const tell of this.#finals.splice(0)) tell.resolve()
    this.#detach?.()
    return end
  }

  /** What waits here goes back, for others or for later. What cannot be given back waits for the lease. */
  async #handBack(deliveries: readonly Delivery[]): Promise<void> {
    const given: Promise<unknown>[] = []
    for (const delivery of deliveries) {
      // Cancelled here: nobody else would know. It ends at once, with its result.
      if (this.#cancelledInBuffer.has(delivery.taskId ?? '')) this.#slots.beginNow(delivery)
      else given.push(this.#settler?.settle({ kind: 'release', delivery }) ?? Promise.resolve())
    }
    const failed = (await Promise.allSettled(given)).find((one) => one.status === 'rejected')
    this.#accepted -= given.length
    if (failed) {
      this.#broker.parts.logger.warn({ err: failed.reason as unknown }, 'Could not hand back prefetched messages.')
    }
  }

  /** @returns Whether nothing runs any more. */
  async #tasksDone(timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#isIdle()) return true
    const over = new AbortController()
    const end = (): void => over.abort()
    signal?.addEventListener('abort', end, { once: true })
    if (signal?.aborted) end()
    this.#allDone = end
    await sleep(timeoutMs, over.signal)
    signal?.removeEventListener('abort', end)
    this.#allDone = undefined
    return this.#isIdle()
  }

  #isIdle(): boolean {
    return this.#slots.running === 0
  }

  #note(execution: Execution): void {
    this.#executions.add(execution)
    const { taskId } = execution
    if (this.#cancelledInBuffer.size > 0 && this.#cancelledInBuffer.delete(taskId)) {
      execution.abort(cancelledError(taskId))
    }
  }

  #cancel(taskId: string): void {
    let isRunning = false
    for (const execution of this.#executions) {
      if (execution.taskId !== taskId) continue
      isRunning = true
      execution.abort(cancelledError(taskId))
    }
    if (!isRunning && this.#slots.hasWaiting) this.#cancelledInBuffer.add(taskId)
  }

  #loseLeases(deliveries: readonly Delivery[]): void {
    const lost = new Set(deliveries)
    for (const execution of this.#executions) {
      if (!lost.has(execution.delivery)) continue
      execution.abort(leaseLostError(execution.taskId))
    }
  }
}

function stoppedError({ taskId }: Execution): KiqError {
  return new KiqError(
    'KIQ_WORKER_STOPPED',
    `The worker stops and task ${taskId} did not end in time; it is handed back.`,
  )
}
