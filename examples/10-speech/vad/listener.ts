import { Segments } from './segments.ts'
import type { Segment } from './segments.ts'
import { FRAME, RATE, Silero } from './silero.ts'
import type { Heard } from './silero.ts'

/** What a part of a clip brought. */
export interface News {
  readonly segments: readonly Segment[]
  /** Seconds heard so far. */
  readonly seconds: number
}

/** Listens to one clip, frame by frame. */
export class Listener {
  readonly #samples: Float32Array
  readonly #segments = new Segments()
  #at = 0
  #state = Silero.silence()

  constructor(samples: Float32Array) {
    this.#samples = samples
  }

  get isOver(): boolean {
    return this.#at >= this.#samples.length
  }

  get seconds(): number {
    return Math.min(this.#segments.seconds, this.#samples.length / RATE)
  }

  get state(): Float32Array {
    return this.#state
  }

  /** The next frame; what the last one lacks is silence. */
  get frame(): Float32Array {
    const frame = this.#samples.subarray(this.#at, this.#at + FRAME)
    if (frame.length === FRAME) return frame
    const padded = new Float32Array(FRAME)
    padded.set(frame)
    return padded
  }

  /** @returns what there is to tell: each segment at its end, and always the end of the clip */
  take({ speech, state }: Heard): News | undefined {
    this.#at += FRAME
    this.#state = state
    const found = [this.#segments.add(speech), this.isOver ? this.#segments.end() : undefined]
    // The last frame may reach beyond the end of the clip.
    const segments = found.flatMap((one) =>
      one ? [{ ...one, endSeconds: Math.min(one.endSeconds, this.seconds) }] : [],
    )
    return segments.length > 0 || this.isOver ? { segments, seconds: this.seconds } : undefined
  }
}
