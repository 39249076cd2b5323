import { KiqError } from '../contract/index.ts'
import type { Logger } from '../contract/index.ts'
import { Batcher } from './batcher.ts'
import type { BatcherStats, BatchOutcome, SubmitOptions } from './batcher.ts'
import type { PipelineOutput } from './pipeline.ts'
import type { PipelineHost } from './pipeline-host.ts'

/** How the requests of a model are put together; see {@link BatcherOptions}. */
export interface BatchingOptions {
  readonly maxBatchSize: number
  readonly waitMs?: number | undefined
  readonly maxQueueSize?: number | undefined
  readonly concurrency?: number | undefined
  readonly adaptive?: boolean | undefined
}

export interface ServedModelOptions<I, O> {
  readonly modelName: string
  /** Makes a host that is not started: one now, and another for each reload. */
  readonly createHost: () => PipelineHost<I, O>
  readonly batching: BatchingOptions
  readonly log: Logger
}

export type ModelState = 'made' | 'starting' | 'ready' | 'failed' | 'stopping' | 'stopped'

/**
 * A model with its batcher: all requests for it, synchronous or not, go through one queue.
 *
 * States: *made*; *starting* while its pipeline loads; *ready*: takes requests; *failed* when it could not start, from
 * where {@link ServedModel.start} may try again; *stopping* and *stopped* after {@link ServedModel.stop}. A reload keeps it
 * ready: requests go to the old pipeline until the new one is warm.
 */
export class ServedModel<I, O> {
  readonly modelName: string
  readonly #options: ServedModelOptions<I, O>
  readonly #batcher: Batcher<I, PipelineOutput<O>>
  #host: PipelineHost<I, O> | undefined
  #state: ModelState = 'made'
  #changing: Promise<unknown> = Promise.resolve()

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` when a limit is out of range. */
  constructor(options: ServedModelOptions<I, O>) {
    this.modelName = options.modelName
    this.#options = options
    this.#batcher = new Batcher({
      ...options.batching,
      process: async (inputs, signal) => await this.#process(inputs, signal),
    })
  }

  get state(): ModelState {
    return this.#state
  }

  get stats(): BatcherStats {
    return this.#batcher.stats
  }

  /** Resolves when it takes requests. Harmless when it does already. */
  async start(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#state !== 'made' && this.#state !== 'failed') return
      this.#state = 'starting'
      const host = this.#options.createHost()
      try {
        await host.start()
      } catch (error) {
        this.#state = 'failed'
        throw error
      }
      this.#host = host
      this.#state = 'ready'
    })
  }

  /**
   * Resolves with the output for one input.
   *
   * @throws {KiqError} `KIQ_SERVE_STOPPING` when it is not ready, `KIQ_SERVE_BUSY` when too many wait.
   * @throws what a stage of the pipeline threw for this input, or the reason of the signal.
   */
  async infer(input: I, options: SubmitOptions = {}): Promise<PipelineOutput<O>> {
    if (this.#state !== 'ready') {
      throw new KiqError(
        'KIQ_SERVE_STOPPING',
        `Model "${this.modelName}" takes no requests: it is ${this.#state}. Ask /health/ready, and try again.`,
      )
    }
    return await this.#batcher.submit(input, options)
  }

  /** Whether it takes requests, and its pipeline says that it can serve. */
  async isHealthy(): Promise<boolean> {
    return this.#state === 'ready' && ((await this.#host?.health()) ?? false)
  }

  /**
   * Takes over changed files of the model: by the pipeline's own `onModelsReload`, else by a new pipeline that takes the
   * place of the old one when it is warm. When that fails the old one stays.
   */
  async reload(): Promise<void> {
    await this.#inTurn(async () => {
      const old = this.#host
      if (this.#state !== 'ready' || old === undefined || (await old.reload())) return
      const next = this.#options.createHost()
      await next.start()
      this.#host = next
      // Ends with the batches that it has begun.
      await old.stop()
    })
  }

  /**
   * Ends it after what has begun. Harmless when called twice.
   *
   * @param options.waiting - What becomes of requests that wait: `finish` (default) or `fail`.
   */
  async stop(options: { readonly waiting?: 'finish' | 'fail' | undefined } = {}): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#state === 'stopped') return
      this.#state = 'stopping'
      await this.#batcher.close(options)
      await this.#host?.stop()
      this.#host = undefined
      this.#state = 'stopped'
    })
  }

  /** Starts, reloads and stops follow each other. */
  async #inTurn(change: () => Promise<void>): Promise<void> {
    const current = this.#changing.then(change)
    this.#changing = current.catch(() => undefined)
    await current
  }

  async #process(inputs: readonly I[], signal: AbortSignal): Promise<readonly BatchOutcome<PipelineOutput<O>>[]> {
    const host = this.#host as PipelineHost<I, O>
    const outcomes = await host.run(inputs, signal)
    const failed = outcomes.filter((outcome) => 'error' in outcome)
    if (failed.length > 0 && !signal.aborted) {
      const [first] = failed
      this.#options.log.error(
        { err: first?.error, model: this.modelName, failed: failed.length, size: inputs.length },
        'The pipeline failed for inputs of a batch.',
      )
    }
    return outcomes.map((outcome) => ('error' in outcome ? outcome : { value: outcome.output }))
  }
}
