import type { SendOnce, TaskMessage } from '../../contract/index.ts'
import { Broker, durationMs, InProcessFormatter, inProcessResults, Worker } from '../../core/index.ts'
import type { BrokerOptions } from '../../core/index.ts'
import { sleep } from '../../util/abort.ts'
import type { Duration } from '../../util/duration.ts'
import { MemoryResultBackend } from './result-backend.ts'
import { MemoryTransport } from './transport.ts'

export interface InMemoryBrokerOptions extends BrokerOptions {
  /**
   * `kiq()` returns only after the task has its outcome.
   *
   * @defaultValue `false`
   */
  readonly awaitInplace?: boolean | undefined
  /**
   * Tasks in work at once, ≥ 1. Without effect together with `awaitInplace`.
   *
   * @defaultValue `100`
   */
  readonly maxAsyncTasks?: number | undefined
  /**
   * Results kept; the oldest go first. -1 = no limit.
   *
   * @defaultValue `10_000`
   */
  readonly maxStoredResults?: number | undefined
  /**
   * How long `shutdown()` waits for what was sent before it aborts it.
   *
   * @defaultValue `'5s'`
   */
  readonly waitTasksTimeout?: Duration | undefined
}

export interface WaitAllOptions {
  /** @defaultValue `'30s'` */
  readonly timeout?: Duration | undefined
}

/**
 * Executes tasks in this process; for tests, development and programs of one process. Arguments and results
 * are reduced and copied as every other broker would by JSON, so what works here works there; with `withSerializer(…)`
 * they are really written and parsed. Nothing survives the process.
 *
 * `startup()` fires client and worker events.
 */
export class InMemoryBroker extends Broker {
  readonly #options: InMemoryBrokerOptions
  readonly #memory: MemoryTransport
  #worker: Worker | undefined
  #changing: Promise<unknown> = Promise.resolve()

  constructor(options: InMemoryBrokerOptions = {}) {
    const results = new MemoryResultBackend({ maxStoredResults: options.maxStoredResults ?? 10_000 })
    const transport = new MemoryTransport({ results, clock: options.clock })
    super(
      transport,
      { resultBackend: results, ...options },
      { formatter: new InProcessFormatter(), results: options.resultBackend ? undefined : inProcessResults },
    )
    this.#memory = transport
    this.#options = options
  }

  override async startup(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#worker) return
      const { awaitInplace, maxAsyncTasks, waitTasksTimeout = '5s' } = this.#options
      // Whoever sends waits, so the senders bound it; a bound of our own would block a task that waits for another.
      const concurrency = awaitInplace ? Number.MAX_SAFE_INTEGER : maxAsyncTasks
      const worker = new Worker(this, { concurrency, waitTasksTimeout })
      await worker.start(['clientStartup', 'workerStartup'])
      this.#worker = worker
    })
  }

  override async shutdown(): Promise<void> {
    await this.#inTurn(async () => {
      const worker = this.#worker
      if (worker === undefined) return
      await this.waitAll({ timeout: this.#options.waitTasksTimeout ?? '5s' })
      this.#worker = undefined
      await worker.stop({ running: 'abort' })
      await super.shutdown()
    })
  }

  /** Starts and stops follow each other in the order of the calls. */
  async #inTurn(change: () => Promise<void>): Promise<void> {
    const current = this.#changing.then(change)
    this.#changing = current.catch(() => undefined)
    await current
  }

  /**
   * Waits until nothing is queued or running, also what running tasks send meanwhile. Messages with a delay that is not
   * over are not waited for.
   *
   * @returns Whether all was done within the timeout.
   */
  async waitAll(options: WaitAllOptions = {}): Promise<boolean> {
    const deadline = performance.now() + durationMs('timeout', options.timeout ?? '30s')
    for (let round = 0; ; round += 1) {
      const depths = await this.#memory.inspect()
      if (depths.every(({ ready, running }) => ready + running === 0)) return true
      if (performance.now() >= deadline) return false
      await (round < 100 ? new Promise(setImmediate) : sleep(2))
    }
  }

  override async cancel(taskId: string): Promise<boolean> {
    const found = await super.cancel(taskId)
    if (found) this.#worker?.tellFinal(taskId)
    return found
  }

  override async send(messages: readonly TaskMessage[], once?: SendOnce): Promise<void> {
    for (const { labels } of messages) {
      // Here is the only worker there can be: it serves every queue that is used.
      if (typeof labels['queue_name'] === 'string') this.#worker?.serve(labels['queue_name'])
    }
    // What is sent once may have been sent before, and then nothing ends here.
    const worker = this.#options.awaitInplace && once === undefined ? this.#worker : undefined
    const finals = worker ? messages.map((message) => worker.final(message.taskId)) : []
    await super.send(messages, once)
    await Promise.all(finals)
  }
}
