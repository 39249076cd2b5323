import type { Recording } from './wav.ts'

/** Resonances of the mouth in Hz, for an adult voice. */
const VOWELS = {
  a: [730, 1090, 2440],
  e: [530, 1840, 2480],
  i: [270, 2290, 3010],
  o: [570, 840, 2410],
  u: [300, 870, 2240],
} as const
/** Of each resonance, in Hz. */
const WIDTHS = [80, 100, 140]
/** Mean pitch of the voice in Hz. */
const PITCH = 120
const LOUDNESS = 0.5
/** Share of a syllable that its consonant takes. */
const CONSONANT = 0.12

export type Vowel = keyof typeof VOWELS

/** Part of a recording: a voice that babbles, or what is no speech. */
export type Part =
  | { readonly kind: 'speech'; readonly seconds: number; readonly vowels: readonly Vowel[] }
  | { readonly kind: 'silence' | 'noise' | 'tone'; readonly seconds: number }

/** Makes a recording of parts, the same one each time. No recording of a person is needed, nor are its rights. */
export function synthesize(parts: readonly Part[], rate: number): Recording {
  const random = randomNumbers()
  const pieces = parts.map((part) => {
    const count = Math.round(part.seconds * rate)
    if (part.kind === 'speech') return speech(part.vowels, { count, rate, random })
    return Float32Array.from({ length: count }, (_, i) => {
      if (part.kind === 'tone') return 0.3 * Math.sin((2 * Math.PI * 440 * i) / rate)
      return random() * (part.kind === 'noise' ? 0.15 : 0.0005)
    })
  })
  const samples = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    samples.set(piece, at)
    at += piece.length
  }
  return { rate, samples }
}

interface Voice {
  readonly count: number
  readonly rate: number
  readonly random: () => number
}

/** One syllable per vowel: pulses of the vocal cords, shaped by the resonances, with a burst of noise before each vowel. */
function speech(vowels: readonly Vowel[], { count, rate, random }: Voice): Float32Array {
  const samples = new Float32Array(count)
  const mouth = WIDTHS.map((width, i) => new Resonance(width, VOWELS[vowels[0] ?? 'a'][i] ?? 0))
  let phase = 0
  let before = 0
  for (let i = 0; i < count; i += 1) {
    const position = (i / count) * vowels.length
    const within = position % 1
    const target = VOWELS[vowels[Math.floor(position)] ?? 'a']
    // The pitch falls over the sentence, and is never quite steady: that is what tells a voice from a machine.
    const time = i / rate
    const steady = 1 - (0.25 * i) / count + 0.06 * Math.sin(2 * Math.PI * 2.3 * time)
    phase = (phase + (PITCH * steady + 3 * Math.sin(2 * Math.PI * 5 * time)) / rate) % 1
    const flow = glottalFlow(phase)
    const strength = Math.sin(Math.PI * Math.min(1, within * 1.15)) ** 0.6
    let sound = ((flow - before) * 8 * rate) / 16_000 + random() * 0.01
    before = flow
    sound *= strength
    if (within < CONSONANT) sound = sound * 0.2 + random() * 0.08 * Math.sin((Math.PI * within) / CONSONANT)
    mouth.forEach((resonance, k) => (sound = resonance.shape(sound, { towards: target[k] ?? 0, rate })))
    samples[i] = sound
  }
  const loudest = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9)
  return samples.map((value) => (value * LOUDNESS) / loudest)
}

/** Air through the vocal cords within one period: they open slowly, and close fast. */
function glottalFlow(phase: number): number {
  if (phase < 0.4) return 3 * (phase / 0.4) ** 2 - 2 * (phase / 0.4) ** 3
  return phase < 0.56 ? 1 - ((phase - 0.4) / 0.16) ** 2 : 0
}

/** A filter with one peak, which glides from vowel to vowel. */
class Resonance {
  readonly #width: number
  #frequency: number
  #last = 0
  #lastButOne = 0

  constructor(width: number, frequency: number) {
    this.#width = width
    this.#frequency = frequency
  }

  shape(sound: number, { towards, rate }: { readonly towards: number; readonly rate: number }): number {
    this.#frequency += ((towards - this.#frequency) * 24) / rate
    const radius = Math.exp((-Math.PI * this.#width) / rate)
    const feedback = 2 * radius * Math.cos((2 * Math.PI * this.#frequency) / rate)
    const gain = 1 - feedback + radius * radius
    const shaped = gain * sound + feedback * this.#last - radius * radius * this.#lastButOne
    this.#lastButOne = this.#last
    this.#last = shaped
    return shaped
  }
}

/** Numbers from -1 to 1, the same ones each time. */
function randomNumbers(): () => number {
  let seed = 1
  return () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return (seed / 2 ** 32) * 2 - 1
  }
}
