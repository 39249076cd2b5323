import { InferencePipeline } from 'kiq/serve'
import type { PipelineOutput, PipelineRun, StreamedOutput } from 'kiq/serve'
import { z } from 'zod'

import { resample } from '../audio/resample.ts'
import { readWav } from '../audio/wav.ts'
import { Listener } from '../vad/listener.ts'
import type { News } from '../vad/listener.ts'
import { RATE, Silero } from '../vad/silero.ts'

/** Frames between two reports of progress: a second. */
const REPORT_EVERY = 31

export const ClipInput = z.object({ wav: z.base64().max(8_000_000) })
export const ClipOutput = z.object({
  segments: z.array(z.object({ startSeconds: z.number(), endSeconds: z.number() })),
  seconds: z.number(),
})

type Input = z.infer<typeof ClipInput>
type Output = z.infer<typeof ClipOutput>
/** News of a clip, or why it cannot be read. */
type Raw = News | { readonly error: string }

/** One request is a WAV file. Segments with speech come as they are found; all clips of a batch are heard together. */
export class ClipPipeline extends InferencePipeline<Input, Output> {
  #model: Silero | undefined

  override async setup(): Promise<void> {
    this.#model = await Silero.load(this.context.threads)
  }

  override preprocess(inputs: readonly Input[]): readonly (Float32Array | { readonly error: string })[] {
    return inputs.map(({ wav }) => {
      try {
        const samples = resample(readWav(Buffer.from(wav, 'base64')), RATE)
        return samples.length > 0 ? samples : { error: 'The WAV file has no samples.' }
      } catch (error) {
        // A wrong file is no fault of the model: it gets its answer, and the batch goes on.
        if (error instanceof RangeError) return { error: error.message }
        throw error
      }
    })
  }

  override async *predict(
    _inputs: readonly Input[],
    clips: readonly (Float32Array | { readonly error: string })[],
    run: PipelineRun,
  ): AsyncGenerator<readonly (Raw | undefined)[]> {
    if (clips.some((clip) => 'error' in clip)) yield clips.map((clip) => ('error' in clip ? clip : undefined))
    const all = clips.flatMap((clip, index) => ('error' in clip ? [] : [{ index, listener: new Listener(clip) }]))
    for (let frame = 1; ; frame += 1) {
      run.signal.throwIfAborted()
      const active = all.filter(({ listener }) => !listener.isOver)
      if (active.length === 0) return
      const heard = await this.#listen(active.map(({ listener }) => listener))
      const news = new Map(active.map(({ index }, i) => [index, heard[i]]))
      if (heard.some((one) => one !== undefined)) yield clips.map((_, index) => news.get(index))
      if (frame % REPORT_EVERY > 0) continue
      for (const { index, listener } of active) run.progress(index, { seconds: listener.seconds })
    }
  }

  override postprocess(inputs: readonly Input[], raw: readonly (Raw | undefined)[]): readonly StreamedOutput<Output>[] {
    return inputs.map((_, i) => {
      const one = raw[i]
      if (one === undefined) return undefined
      if ('error' in one) return { status: 'error', error: one.error }
      return { status: 'success', segments: [...one.segments], seconds: one.seconds }
    })
  }

  override collect(outputs: readonly PipelineOutput<Output>[]): PipelineOutput<Output> {
    const last = super.collect(outputs)
    if (last.status !== 'success') return last
    return { ...last, segments: outputs.flatMap(({ segments = [] }) => segments) }
  }

  override async teardown(): Promise<void> {
    await this.#model?.close()
  }

  async #listen(listeners: readonly Listener[]): Promise<readonly (News | undefined)[]> {
    const heard = await this.#model?.hear(
      listeners.map(({ frame }) => frame),
      listeners.map(({ state }) => state),
    )
    return listeners.map((listener, i) => {
      const one = heard?.[i]
      return one && listener.take(one)
    })
  }
}
