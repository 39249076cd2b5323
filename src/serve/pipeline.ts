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
  /** Threads that it should compute with: whole CPUs of `deployment_config.cpu`; `undefined` when nothing is said. */
  readonly threads?: number | undefined
  readonly log: Logger
}

/** Of one input. Only `status: 'success'` means success; other fields are the caller's. */
export type PipelineOutput<O> =
  ({ readonly status: 'success' } & O) | ({ readonly status: string; readonly error: string } & Partial<O>)

/** One run over a batch, as `predict` sees it. */
export interface PipelineRun {
  /** Aborts when nobody waits for any input of the batch any more, or when its time is over. */
  readonly signal: AbortSignal
  /**
   * Tells how far one input has come. Whoever follows its job sees the last value; otherwise it goes nowhere.
   *
   * @param index - Position in the `inputs` of this call.
   * @param value - Any JSON value.
   */
  progress(index: number, value: unknown): void
}

/** What `postprocess` says of one input: its output, or, of what a streaming `predict` yields, `undefined` for nothing new. */
export type StreamedOutput<O> = PipelineOutput<O> | undefined

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
   * As a generator (`async *predict`) it streams: each value that it yields goes to `postprocess` at once, and what comes
   * of it to those who asked for a stream. Once something was yielded a failure fails the whole batch: it cannot be run
   * again for part of it.
   */
  abstract predict(inputs: readonly I[], preprocessed: unknown, run: PipelineRun): unknown

  /**
   * Turns what the model returned into outputs: one for each input, in their order. While it streams, `undefined` stands
   * for an input that has nothing new.
   */
  abstract postprocess(inputs: readonly I[], raw: unknown): MaybePromise<readonly StreamedOutput<O>[]>

  /**
   * Makes one output of what was streamed for an input, for those who asked for no stream. Called when the stream has ended,
   * with at least one output.
   *
   * @returns the last one, unless overridden
   */
  collect(outputs: readonly PipelineOutput<O>[]): PipelineOutput<O> {
    return outputs[outputs.length - 1] as PipelineOutput<O>
  }

  /** Files of the model have changed. Without an override the service makes a new pipeline instead. */
  onModelsReload?(): MaybePromise<void>

  /** Whether it can serve; asked by health checks. Throwing means no. */
  health(): MaybePromise<boolean> {
    return true
  }

  /** Releases what `setup` took. Called once, after the last batch. */
  teardown(): MaybePromise<void> {}
}
