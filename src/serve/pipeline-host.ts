import type { PipelineOutput } from './pipeline.ts'
import type { ItemOutcome } from './run-pipeline.ts'

/** One run over a batch, and who wants to hear of it meanwhile. */
export interface BatchRun<O> {
  /** Aborts when nobody waits for any of the inputs any more, or when their time is over. */
  readonly signal: AbortSignal
  /**
   * Positions of the inputs whose outputs and progress are to be told while it runs; of others nothing is told. Absent:
   * nobody listens.
   */
  readonly followed?: ReadonlySet<number> | undefined
  /** An output of a streaming pipeline; the outcome that follows has what it collected. */
  readonly onOutput?: ((index: number, output: PipelineOutput<O>) => void) | undefined
  readonly onProgress?: ((index: number, value: unknown) => void) | undefined
  /** The batch begins to run: hosts that let batches wait for each other call it once, when the wait is over. */
  readonly onBegin?: (() => void) | undefined
}

/**
 * Where the pipeline of one model runs: in this process, or in others that can be killed. One host has one pipeline (or as
 * many copies of it as it has processes), from `start` to `stop`.
 */
export interface PipelineHost<I, O> {
  /** Processes or threads that run; 0 in this process. */
  readonly workers: number
  /** Makes the pipeline; resolves when it is set up and warm. A failed start leaves nothing behind. */
  start(): Promise<void>
  /**
   * Runs a batch. When the signal aborts it ends soon, within the grace that the host was given, whatever the pipeline does.
   *
   * @returns One outcome per input, in their order; never rejects.
   */
  run(inputs: readonly I[], run: BatchRun<O>): Promise<readonly ItemOutcome<O>[]>
  /** Whether it can serve now; never rejects. */
  health(): Promise<boolean>
  /** Tells the pipeline that files of its model have changed. @returns Whether it took them over by itself. */
  reload(): Promise<boolean>
  /** Ends it after the batches in work. Harmless when called twice. */
  stop(): Promise<void>
}
