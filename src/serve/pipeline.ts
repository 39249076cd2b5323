import type { Logger, MaybePromise } from '../contract/index.ts'

/** What a pipeline is made with: its entry in the configuration, as in ModalKit. */
export interface PipelineContext {
  /** Name under which the model is served; a key of `model_entries`. */
  readonly modelName: string
  /** Folder with the data of all models: `local_model_repository_folder`. */
  readonly modelFolder: string
  /** `common` of the configuration: the same for all models. */
  readonly common: Readonly<Record<string, unknown>>
  /** The entry of this model in `model_entries`. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly log: Logger
}

/** Of one input. Only `status: 'success'` means success; other fields are the caller's. */
export type PipelineOutput<O> =
  ({ readonly status: 'success' } & O) | ({ readonly status: string; readonly error: string } & Partial<O>)

/**
 * A model behind three stages, each over a whole batch: `preprocess` → `predict` → `postprocess`. Single requests, too, come
 * as batches, of whatever size the batcher made.
 *
 * States: *made* by the constructor, which should do nothing slow; *ready* after `setup` and `warmup`; *over* after
 * `teardown`. Batches come only while it is ready, as many at once as the service was told to allow.
 *
 * A stage that throws fails the inputs it was given and no others: the batch is tried again in halves, until the input that
 * is to blame stands alone. So a stage may run more than once for an input, and must not count on running once. For an
 * input that is known to be bad, `postprocess` returns an output with another status instead of throwing: that costs
 * nothing.
 */
export abstract class InferencePipeline<I, O> {
  readonly context: PipelineContext

  constructor(context: PipelineContext) {
    this.context = context
  }

  /** Loads the model. Called once, before anything else. */
  setup(): MaybePromise<void> {}

  /** Runs what the first request would else wait for. Called after `setup`; readiness is told after it. */
  warmup(): MaybePromise<void> {}

  /** Turns inputs into what the model takes. What it returns goes to `predict` as it is. */
  abstract preprocess(inputs: readonly I[]): MaybePromise<unknown>

  /**
   * Runs the model. What it returns goes to `postprocess` as it is.
   *
   * @param signal - Aborts when nobody waits for any input of the batch any more.
   */
  abstract predict(inputs: readonly I[], preprocessed: unknown, signal: AbortSignal): MaybePromise<unknown>

  /** Turns what the model returned into outputs: one for each input, in their order. */
  abstract postprocess(inputs: readonly I[], raw: unknown): MaybePromise<readonly PipelineOutput<O>[]>

  /** Files of the model have changed. Without an override the service makes a new pipeline instead. */
  onModelsReload?(): MaybePromise<void>

  /** Whether it can serve; asked by health checks. Throwing means no. */
  health(): MaybePromise<boolean> {
    return true
  }

  /** Releases what `setup` took. Called once, after the last batch. */
  teardown(): MaybePromise<void> {}
}
