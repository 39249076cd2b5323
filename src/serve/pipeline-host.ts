import type { ItemOutcome } from './run-pipeline.ts'

/**
 * Where the pipeline of one model runs: in this process, or in others that can be killed. One host has one pipeline (or as
 * many copies of it as it has processes), from `start` to `stop`.
 */
export interface PipelineHost<I, O> {
  /** Makes the pipeline; resolves when it is set up and warm. A failed start leaves nothing behind. */
  start(): Promise<void>
  /**
   * Runs a batch; as many at once as the host was made for.
   *
   * @param signal - Aborts when nobody waits for any of the inputs any more.
   * @returns One outcome per input, in their order; never rejects.
   */
  run(inputs: readonly I[], signal: AbortSignal): Promise<readonly ItemOutcome<O>[]>
  /** Whether it can serve now; never rejects. */
  health(): Promise<boolean>
  /** Tells the pipeline that files of its model have changed. @returns Whether it took them over by itself. */
  reload(): Promise<boolean>
  /** Ends it after the batches in work. Harmless when called twice. */
  stop(): Promise<void>
}
