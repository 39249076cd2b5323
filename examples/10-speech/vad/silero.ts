import { createRequire } from 'node:module'

import { InferenceSession, Tensor } from 'onnxruntime-node'

const require = createRequire(import.meta.url)

/** Samples per second. */
export const RATE = 16_000
/** Samples in a frame: 32 ms. */
export const FRAME = 512
/** The model also wants the end of the frame before. */
const CONTEXT = 64
/** Numbers in each of the two layers of its memory. */
const CELLS = 128
/** Numbers that one frame hands to the next: the memory of the model, then the context. */
export const STATE = 2 * CELLS + CONTEXT

export interface Heard {
  /** Probability that the frame has speech; NaN where frame or state have numbers that are not finite. */
  readonly speech: number
  /** For the next frame of the same recording. */
  readonly state: Float32Array
}

/** Silero VAD: says of frames of 32 ms whether somebody speaks. Frames of many recordings go through it at once. */
export class Silero {
  readonly #session: InferenceSession
  readonly #rate = new Tensor('int64', BigInt64Array.of(BigInt(RATE)), [])

  private constructor(session: InferenceSession) {
    this.#session = session
  }

  /** @param threads - That one run computes with. In a network this small, more only wait for each other. */
  static async load(threads = 1): Promise<Silero> {
    const path = require.resolve('@ricky0123/vad-web/dist/silero_vad_v5.onnx')
    const session = await InferenceSession.create(path, { intraOpNumThreads: threads, interOpNumThreads: 1 })
    return new Silero(session)
  }

  /** State before the first frame of a recording. */
  static silence(): Float32Array {
    return new Float32Array(STATE)
  }

  /**
   * @param frames - Of `FRAME` samples from -1 to 1, each of another recording.
   * @param states - One of `STATE` numbers for each.
   */
  async hear(frames: readonly Float32Array[], states: readonly Float32Array[]): Promise<readonly Heard[]> {
    const count = frames.length
    const width = CONTEXT + FRAME
    const input = new Float32Array(count * width)
    const memory = new Float32Array(2 * count * CELLS)
    frames.forEach((frame, i) => {
      const state = states[i] ?? Silero.silence()
      input.set(state.subarray(2 * CELLS), i * width)
      input.set(frame, i * width + CONTEXT)
      memory.set(state.subarray(0, CELLS), i * CELLS)
      memory.set(state.subarray(CELLS, 2 * CELLS), (count + i) * CELLS)
    })
    const { output, stateN } = await this.#session.run({
      input: new Tensor('float32', input, [count, width]),
      state: new Tensor('float32', memory, [2, count, CELLS]),
      sr: this.#rate,
    })
    const speech = output?.data as Float32Array
    const next = stateN?.data as Float32Array
    return frames.map((frame, i) => {
      const state = new Float32Array(STATE)
      state.set(next.subarray(i * CELLS, (i + 1) * CELLS), 0)
      state.set(next.subarray((count + i) * CELLS, (count + i + 1) * CELLS), CELLS)
      state.set(frame.subarray(FRAME - CONTEXT), 2 * CELLS)
      // The model answers even to what is no sound at all.
      const isSound = allFinite(frame) && allFinite(states[i] ?? state)
      return { speech: isSound ? (speech[i] ?? NaN) : NaN, state }
    })
  }

  async close(): Promise<void> {
    await this.#session.release()
  }
}

function allFinite(numbers: Float32Array): boolean {
  let sum = 0
  for (const number of numbers) sum += number
  return Number.isFinite(sum)
}
