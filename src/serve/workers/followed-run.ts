import { show } from '../../util/show.ts'
import { InferencePipeline } from '../pipeline.ts'
import type { PipelineOutput, PipelineRun } from '../pipeline.ts'
import type { FromWorker } from './protocol.ts'
import { WINDOW } from './protocol.ts'

/**
 * Sends what comes before the outcomes of a batch, at most {@link WINDOW} ahead of what the host has consumed. A stream
 * waits meanwhile; of progress the newest value of each input is kept.
 */
export class FollowedRun {
  readonly followed: ReadonlySet<number>
  readonly #batch: number
  readonly #signal: AbortSignal
  readonly #post: (message: FromWorker) => void
  readonly #progress = new Map<number, unknown>()
  #room = WINDOW
  #wake: (() => void) | undefined

  constructor(
    batch: number,
    followed: ReadonlySet<number>,
    { signal, post }: { readonly signal: AbortSignal; readonly post: (message: FromWorker) => void },
  ) {
    this.#batch = batch
    this.followed = followed
    this.#signal = signal
    this.#post = post
  }

  onOutput(index: number, output: PipelineOutput<unknown>): void {
    this.#room -= 1
    this.#post({ type: 'output', batch: this.#batch, index, output })
  }

  onProgress(index: number, value: unknown): void {
    if (this.#room > 0) this.#sendProgress(index, value)
    else this.#progress.set(index, value)
  }

  /** The host has consumed that many more. */
  consumed(count: number): void {
    this.#room += count
    for (const [index, value] of this.#progress) {
      if (this.#room <= 0) return
      this.#progress.delete(index)
      this.#sendProgress(index, value)
    }
    if (this.#room > 0) this.#wake?.()
  }

  /** Sends the progress that was kept back; nothing comes after it but the outcomes. */
  finish(): void {
    for (const [index, value] of this.#progress) this.#sendProgress(index, value)
    this.#progress.clear()
  }

  /** The same pipeline, whose stream goes on only while there is room. */
  pace(pipeline: InferencePipeline<unknown, unknown>): InferencePipeline<unknown, unknown> {
    return new PacedPipeline(pipeline, () => this.#untilRoom())
  }

  #sendProgress(index: number, value: unknown): void {
    this.#room -= 1
    try {
      this.#post({ type: 'progress', batch: this.#batch, index, value })
    } catch {
      // It cannot be cloned. Some of it is better than a failed batch.
      this.#post({ type: 'progress', batch: this.#batch, index, value: show(value) })
    }
  }

  async #untilRoom(): Promise<void> {
    while (this.#room <= 0 && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        const go = (): void => {
          this.#wake = undefined
          this.#signal.removeEventListener('abort', go)
          resolve()
        }
        this.#wake = go
        this.#signal.addEventListener('abort', go, { once: true })
      })
    }
  }
}

class PacedPipeline extends InferencePipeline<unknown, unknown> {
  readonly #pipeline: InferencePipeline<unknown, unknown>
  readonly #untilRoom: () => Promise<void>

  constructor(pipeline: InferencePipeline<unknown, unknown>, untilRoom: () => Promise<void>) {
    super(pipeline.context)
    this.#pipeline = pipeline
    this.#untilRoom = untilRoom
  }

  override preprocess(inputs: readonly unknown[]): unknown {
    return this.#pipeline.preprocess(inputs)
  }

  override predict(inputs: readonly unknown[], preprocessed: unknown, run: PipelineRun): unknown {
    const predicted = this.#pipeline.predict(inputs, preprocessed, run)
    return isStream(predicted) ? this.#paced(predicted) : predicted
  }

  override postprocess(
    inputs: readonly unknown[],
    raw: unknown,
  ): ReturnType<InferencePipeline<unknown, unknown>['postprocess']> {
    return this.#pipeline.postprocess(inputs, raw)
  }

  override collect(outputs: readonly PipelineOutput<unknown>[]): PipelineOutput<unknown> {
    return this.#pipeline.collect(outputs)
  }

  async *#paced(stream: AsyncIterable<unknown>): AsyncGenerator {
    for await (const raw of stream) {
      yield raw
      await this.#untilRoom()
    }
  }
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
