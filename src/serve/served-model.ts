import { KiqError } from '../contract/index.ts'
import type { Logger } from '../contract/index.ts'
import { MAX_TIMER_MS } from '../util/abort.ts'
import { Batcher } from './batcher.ts'
import type { BatcherStats, BatchFacts, BatchOutcome, SubmitOptions } from './batcher.ts'
import type { PipelineOutput } from './pipeline.ts'
import type { BatchRun, PipelineHost } from './pipeline-host.ts'

/** How the requests of a model are put together; see {@link BatcherOptions}. */
export interface BatchingOptions<I = never> {
  readonly maxBatchSize: number
  readonly waitMs?: number | undefined
  readonly maxQueueSize?: number | undefined
  readonly concurrency?: number | undefined
  /** See {@link BatcherOptions.ahead}; for hosts that let batches wait for each other. */
  readonly ahead?: number | undefined
  readonly adaptive?: boolean | undefined
  readonly weigh?: ((input: I) => number) | undefined
  readonly maxBatchWeight?: number | undefined
  /**
   * Milliseconds that a batch may run. One that takes longer is ended, and its inputs fail with `KIQ_SERVE_TIMED_OUT`.
   *
   * @defaultValue no limit
   */
  readonly timeoutMs?: number | undefined
}

/** What comes before the outcome of one input. */
export interface FollowOptions<O> extends SubmitOptions {
  /** Is told of each output of a streaming pipeline, before the outcome. */
  readonly onOutput?: ((output: PipelineOutput<O>) => void) | undefined
  /** Is told what `predict` says of its progress. */
  readonly onProgress?: ((value: unknown) => void) | undefined
}

/** An input, and who follows it. */
interface Request<I, O> extends Pick<FollowOptions<O>, 'onOutput' | 'onProgress'> {
  readonly input: I
}

export interface ServedModelOptions<I, O> {
  readonly modelName: string
  /** Makes a host that is not started: one now, and another for each reload. */
  readonly createHost: () => PipelineHost<I, O>
  readonly batching: BatchingOptions<I>
  readonly log: Logger
  readonly onBatch?: ((facts: BatchFacts) => void) | undefined
  /** Is told of every input for which the pipeline failed while somebody waited. */
  readonly onFailed?: ((error: unknown) => void) | undefined
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
  readonly #batcher: Batcher<Request<I, O>, PipelineOutput<O>>
  #host: PipelineHost<I, O> | undefined
  #startingHost: PipelineHost<I, O> | undefined
  #state: ModelState = 'made'
  #changing: Promise<unknown> = Promise.resolve()

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` when a limit is out of range. */
  constructor(options: ServedModelOptions<I, O>) {
    this.modelName = options.modelName
    this.#options = options
    const { weigh, ...batching } = options.batching
    this.#batcher = new Batcher({
      ...batching,
      weigh: weigh && (({ input }) => weigh(input)),
      process: async (requests, signal, begins) => await this.#process(requests, signal, begins),
      onBatch: options.onBatch,
    })
  }

  get state(): ModelState {
    return this.#state
  }

  get stats(): BatcherStats {
    return this.#batcher.stats
  }

  /** Processes or threads that run its pipeline; 0 in this process. */
  get workers(): number {
    return this.#host?.workers ?? 0
  }

  /** Resolves when it takes requests. Harmless when it does already. */
  async start(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#state !== 'made' && this.#state !== 'failed') return
      this.#state = 'starting'
      const host = this.#options.createHost()
      this.#startingHost = host
      try {
        await host.start()
      } catch (error) {
        this.#state = 'failed'
        throw error
      } finally {
        this.#startingHost = undefined
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
  async infer(input: I, options: FollowOptions<O> = {}): Promise<PipelineOutput<O>> {
    if (this.#state !== 'ready') {
      throw new KiqError(
        'KIQ_SERVE_STOPPING',
        `Model "${this.modelName}" takes no requests: it is ${this.#state}. Ask /health/ready, and try again.`,
      )
    }
    const { signal, onOutput, onProgress } = options
    return await this.#batcher.submit({ input, onOutput, onProgress }, { signal })
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
    // What loads is not needed any more: workers end at once, and the start fails.
    void this.#startingHost?.stop()
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

  async #process(
    requests: readonly Request<I, O>[],
    nobodyWaits: AbortSignal,
    begins: () => void,
  ): Promise<readonly BatchOutcome<PipelineOutput<O>>[]> {
    const host = this.#host as PipelineHost<I, O>
    const limit = new BatchLimit(this.modelName, this.#options.batching.timeoutMs, nobodyWaits)
    const outcomes = await host.run(
      requests.map(({ input }) => input),
      {
        signal: limit.signal,
        ...followers(requests),
        onBegin: () => {
          begins()
          limit.begin()
        },
      },
    )
    limit.end()
    const failed = outcomes.filter((outcome) => 'error' in outcome)
    if (failed.length > 0 && !nobodyWaits.aborted) {
      const [first] = failed
      this.#options.log.error(
        { err: first?.error, model: this.modelName, failed: failed.length, size: requests.length },
        'The pipeline failed for inputs of a batch.',
      )
      for (const { error } of failed) this.#options.onFailed?.(error)
    }
    return outcomes.map((outcome) => ('error' in outcome ? outcome : { value: outcome.output }))
  }
}

/** The time of one batch, from when it begins to run. */
class BatchLimit {
  readonly signal: AbortSignal
  readonly #late = new AbortController()
  readonly #model: string
  readonly #ms: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(model: string, ms: number | undefined, nobodyWaits: AbortSignal) {
    this.#model = model
    this.#ms = ms
    this.signal = ms === undefined ? nobodyWaits : AbortSignal.any([nobodyWaits, this.#late.signal])
  }

  begin(): void {
    const ms = this.#ms
    if (ms === undefined || this.#timer !== undefined) return
    this.#timer = setTimeout(() => this.#late.abort(tookTooLong(this.#model, ms)), Math.min(ms, MAX_TIMER_MS))
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}

/** Who follows which input; nothing when nobody does, which is the usual case. */
function followers<I, O>(requests: readonly Request<I, O>[]): Omit<BatchRun<O>, 'signal'> {
  const followed = new Set<number>()
  for (const [index, { onOutput, onProgress }] of requests.entries()) {
    if (onOutput ?? onProgress) followed.add(index)
  }
  if (followed.size === 0) return {}
  return {
    followed,
    onOutput: (index, output) => requests[index]?.onOutput?.(output),
    onProgress: (index, value) => requests[index]?.onProgress?.(value),
  }
}

function tookTooLong(model: string, ms: number): KiqError {
  return new KiqError(
    'KIQ_SERVE_TIMED_OUT',
    `A batch of model "${model}" was not done within ${ms} ms, and was ended. Send less at once, or raise ` +
      '`batch_config.timeout`.',
  )
}
