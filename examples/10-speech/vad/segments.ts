import { FRAME, RATE } from './silero.ts'

export interface Segment {
  readonly startSeconds: number
  readonly endSeconds: number
}

const SECONDS = FRAME / RATE
/** Speech begins at this probability, and ends below the second one: what lies between changes nothing. */
const BEGINS = 0.5
const ENDS = 0.35
/** Pauses up to this long, in frames, belong to the speech around them. */
const PAUSE = 10
/** Shorter speech, in frames, was a noise. */
const SHORTEST = 6

/** Makes segments of the probabilities of frames, one after the other. */
export class Segments {
  #frame = 0
  #startedAt: number | undefined
  /** First frame of the silence that may end the segment. */
  #silentFrom: number | undefined

  /** Seconds heard so far. */
  get seconds(): number {
    return round(this.#frame * SECONDS)
  }

  /** @returns a segment when it has ended for certain */
  add(speech: number): Segment | undefined {
    const frame = this.#frame
    this.#frame += 1
    if (speech >= BEGINS) {
      this.#startedAt ??= frame
      this.#silentFrom = undefined
      return undefined
    }
    if (this.#startedAt === undefined || (speech >= ENDS && this.#silentFrom === undefined)) return undefined
    this.#silentFrom ??= frame
    return frame - this.#silentFrom >= PAUSE ? this.end() : undefined
  }

  /** @returns the segment that had not ended yet */
  end(): Segment | undefined {
    const from = this.#startedAt
    const to = this.#silentFrom ?? this.#frame
    this.#startedAt = undefined
    this.#silentFrom = undefined
    if (from === undefined || to - from < SHORTEST) return undefined
    return { startSeconds: round(from * SECONDS), endSeconds: round(to * SECONDS) }
  }
}

/** To milliseconds. */
function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000
}
