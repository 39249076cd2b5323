import { InferencePipeline } from 'kiq/serve'
import type { PipelineOutput } from 'kiq/serve'
import { z } from 'zod'

import { FRAME, Silero, STATE } from '../vad/silero.ts'
import type { Heard } from '../vad/silero.ts'

/** Numbers as base64 of little-endian 32-bit floats. */
const floats = (count: number) => z.base64().refine((text) => Buffer.byteLength(text, 'base64') === count * 4)
const Samples = z.array(z.number().min(-1).max(1)).length(FRAME)

export const FrameInput = z.object({ samples: z.union([Samples, floats(FRAME)]), state: floats(STATE).optional() })
export const FrameOutput = z.object({ speech: z.number().min(0).max(1), state: z.base64() })

type Input = z.infer<typeof FrameInput>
type Output = z.infer<typeof FrameOutput>
type Batch = { readonly frames: readonly Float32Array[]; readonly states: readonly Float32Array[] }

/** One request is 32 ms at 16 kHz; the state of the answer goes with the next one. A batch is one run of the model. */
export class FramePipeline extends InferencePipeline<Input, Output> {
  #model: Silero | undefined

  override async setup(): Promise<void> {
    this.#model = await Silero.load(this.context.threads)
  }

  override preprocess(inputs: readonly Input[]): Batch {
    return {
      frames: inputs.map(({ samples }) => (typeof samples === 'string' ? decode(samples) : Float32Array.from(samples))),
      states: inputs.map(({ state }) => (state === undefined ? Silero.silence() : decode(state))),
    }
  }

  override async predict(_inputs: readonly Input[], { frames, states }: Batch): Promise<unknown> {
    return await this.#model?.hear(frames, states)
  }

  override postprocess(_inputs: readonly Input[], heard: readonly Heard[]): readonly PipelineOutput<Output>[] {
    return heard.map(({ speech, state }) => {
      if (Number.isNaN(speech)) return { status: 'error', error: 'Samples or state are no finite numbers.' }
      return { status: 'success', speech, state: encode(state) }
    })
  }

  override async teardown(): Promise<void> {
    await this.#model?.close()
  }
}

function decode(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer)
}

function encode(numbers: Float32Array): string {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength).toString('base64')
}
