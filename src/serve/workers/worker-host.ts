import type { BatchRun, PipelineHost } from '../pipeline-host.ts'
import type { ItemOutcome } from '../run-pipeline.ts'
import { BatchAttempts } from './batch-attempts.ts'
import type { Turn } from './batch-attempts.ts'
import { HealthCheck } from './health-check.ts'
import type { RunEnd } from './inference-worker.ts'
import type { WorkerHostOptions, WorkerSettings } from './options.ts'
import { resolveOptions } from './options.ts'
import { notRunning } from './worker-errors.ts'
import { WorkerPool } from './worker-pool.ts'

/**
 * Runs copies of a pipeline in processes or threads, so that a model that computes keeps nothing else waiting, and one that
 * hangs can be ended. Workers that die are replaced, and their batches run again.
 *
 * Inputs and outputs are cloned on their way. Typed arrays, dates, maps and bigints arrive as they are; instances of other
 * classes as plain objects, and a `Buffer` may arrive as a `Uint8Array`: `Buffer.from(bytes.buffer, bytes.byteOffset,
 * bytes.byteLength)` makes one of it again. Functions cannot be sent: the input, or output, fails alone.
 *
 * Errors of a pipeline arrive with name, message, code, stack and causes, but are not of their class any more.
 */
export class WorkerHost<I, O> implements PipelineHost<I, O> {
  readonly #settings: WorkerSettings
  readonly #pool: WorkerPool<I, O>
  readonly #health: HealthCheck<I, O>
  readonly #running = new Set<Promise<unknown>>()
  #state: 'made' | 'running' | 'stopping' = 'made'
  #starting: Promise<void> | undefined
  #stopped: Promise<void> | undefined
  #reloading: Promise<unknown> = Promise.resolve()

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for options out of range, or a `context` that cannot be cloned. */
  constructor(options: WorkerHostOptions) {
    this.#settings = resolveOptions(options)
    this.#pool = new WorkerPool(this.#settings)
    this.#health = new HealthCheck(() => this.#pool.workers)
  }

  /** Those that start, run or end. */
  get workers(): number {
    return this.#pool.size
  }

  /**
   * Resolves when `minWorkers` are ready.
   *
   * @throws what the pipeline threw in `setup` or `warmup`, `KIQ_MODULE_INVALID` when the module has no such pipeline,
   *   `KIQ_SERVE_TIMED_OUT`, or `KIQ_SERVE_WORKER_DIED`. No worker is left then.
   */
  start(): Promise<void> {
    return (this.#starting ??= this.#start())
  }

  /**
   * As {@link PipelineHost.run}. A worker sends outputs ahead of their followers within bounds, and its stream waits then: a
   * follower that returns a promise holds it up until that is settled.
   */
  async run(inputs: readonly I[], run: BatchRun<O>): Promise<readonly ItemOutcome<O>[]> {
    if (this.#state !== 'running') {
      const error = notRunning(this.#settings.modelName)
      return inputs.map(() => ({ error }))
    }
    if (inputs.length === 0) return []
    const { retries } = this.#settings
    const attempt = async (part: readonly I[], partRun: BatchRun<O>, turn: Turn): Promise<RunEnd<O>> =>
      await this.#attempt(part, partRun, turn)
    const running = new BatchAttempts(inputs, run, { retries, attempt }).outcomes()
    this.#running.add(running)
    try {
      return await running
    } finally {
      this.#running.delete(running)
    }
  }

  /**
   * Whether every worker that is ready says so, and there is one. Workers are asked at most once a second, and have 2 s for
   * the answer; for one that computes counts what it said last. With `minWorkers: 0` no worker is needed.
   */
  async health(): Promise<boolean> {
    return this.#state === 'running' && this.#pool.canServe && (await this.#health.ask()) && this.#pool.canServe
  }

  /**
   * Lets one worker after the other take over changed files, between its batches. One that fails is replaced, which does the
   * same.
   *
   * @returns `false` when the pipeline has no `onModelsReload`.
   */
  async reload(): Promise<boolean> {
    const reloading = this.#reloading.then(async () => await this.#reload())
    this.#reloading = reloading.catch(() => undefined)
    return await reloading
  }

  /** Ends all workers after the batches in work; each has 10 s for `teardown`. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop())
  }

  async #reload(): Promise<boolean> {
    for (const worker of this.#pool.workers) {
      try {
        await worker.ready
      } catch {
        // Its successor reads the new files.
        continue
      }
      if (!worker.canReload) return false
      await worker.reload()
    }
    return true
  }

  async #start(): Promise<void> {
    try {
      await this.#pool.start()
    } catch (error) {
      throw this.#state === 'made' ? error : notRunning(this.#settings.modelName)
    }
    if (this.#state === 'made') this.#state = 'running'
  }

  async #stop(): Promise<void> {
    this.#state = 'stopping'
    await Promise.allSettled(this.#running)
    await this.#pool.close()
    await this.#starting?.catch(() => undefined)
  }

  async #attempt(inputs: readonly I[], run: BatchRun<O>, turn: Turn): Promise<RunEnd<O>> {
    const worker = await this.#pool.acquire(run.signal, turn)
    try {
      const end = await worker.run(inputs, run)
      if (end.kind === 'done') this.#pool.noteBatch()
      return end
    } finally {
      worker.release()
    }
  }
}
