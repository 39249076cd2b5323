import { describe, expect, it, onTestFinished } from 'vitest'

import { resample } from '../../../examples/10-speech/audio/resample.ts'
import { synthesize } from '../../../examples/10-speech/audio/synthesis.ts'
import type { Part } from '../../../examples/10-speech/audio/synthesis.ts'
import { readWav, writeWav } from '../../../examples/10-speech/audio/wav.ts'
import type { Recording } from '../../../examples/10-speech/audio/wav.ts'
import { ClipInput, ClipOutput, ClipPipeline } from '../../../examples/10-speech/pipelines/clips.ts'
import { FrameInput, FrameOutput, FramePipeline } from '../../../examples/10-speech/pipelines/frames.ts'
import { silentLogger } from '../../../src/contract/index.ts'
import { runPipeline } from '../../../src/serve/run-pipeline.ts'

const FRAME = 512
const RATE = 16_000
const context = { modelName: 'speech', modelFolder: '.', common: {}, settings: {}, log: silentLogger }
const never = new AbortController().signal

/** 9 s with speech from 1.0 to 2.6 s and from 6.1 to 8.1 s. */
const PARTS: readonly Part[] = [
  { kind: 'silence', seconds: 1 },
  { kind: 'speech', seconds: 1.6, vowels: ['a', 'e', 'i', 'o', 'u', 'a', 'e', 'o'] },
  { kind: 'silence', seconds: 0.75 },
  { kind: 'noise', seconds: 1 },
  { kind: 'silence', seconds: 0.5 },
  { kind: 'tone', seconds: 0.75 },
  { kind: 'silence', seconds: 0.5 },
  { kind: 'speech', seconds: 2, vowels: ['o', 'i', 'a', 'e', 'u', 'a', 'i', 'e', 'o', 'a'] },
  { kind: 'silence', seconds: 0.9 },
]
const TRUTH = [
  [1, 2.6],
  [6.1, 8.1],
] as const

describe('frames', () => {
  it('are told to have speech where somebody speaks, and none in silence, noise and tones', async () => {
    const pipeline = await started(new FramePipeline(context))
    const frames = framesOf(synthesize(PARTS, RATE).samples)

    const heard = await speechOf(pipeline, frames)

    for (const [i, speech] of heard.entries()) {
      const middle = ((i + 0.5) * FRAME) / RATE
      const [inside, outside] = TRUTH.reduce(
        ([within, beside], [from, to]) => [
          within || (middle > from + 0.3 && middle < to - 0.3),
          beside && (middle < from - 0.2 || middle > to + 0.2),
        ],
        [false, true],
      )
      if (inside) expect(speech, `at ${middle} s`).toBeGreaterThan(0.5)
      if (outside) expect(speech, `at ${middle} s`).toBeLessThan(0.35)
    }
  })

  it('of many recordings are one run of the model, and are told the same as alone', async () => {
    const pipeline = await started(new FramePipeline(context))
    const voice = framesOf(synthesize(PARTS, RATE).samples).slice(30, 60)
    const shifted = [...voice.slice(7), ...voice.slice(0, 7)]
    const quiet = voice.map(() => new Float32Array(FRAME))
    const together = await speechOf(pipeline, voice, [shifted, quiet])

    const alone = await speechOf(pipeline, voice)

    expect(together.length).toBe(alone.length)
    for (const [i, speech] of alone.entries()) expect(together[i]).toBeCloseTo(speech, 4)
  })

  it('may be sent as numbers or as base64', async () => {
    const pipeline = await started(new FramePipeline(context))
    const frame = framesOf(synthesize(PARTS, RATE).samples)[40] as Float32Array
    const inputs = [{ samples: [...frame] }, { samples: base64(frame) }].map((input) => FrameInput.parse(input))

    const [numbers, text] = await outputsOf(pipeline, inputs)

    expect(numbers).toEqual(text)
    expect(FrameOutput.parse(numbers)).toMatchObject({ speech: expect.any(Number) })
  })

  it.each([
    ['too few numbers', { samples: [0, 0] }],
    ['numbers beyond 1', { samples: Array.from({ length: FRAME }, () => 2) }],
    ['bytes of another frame', { samples: base64(new Float32Array(FRAME + 1)) }],
    ['a state of another model', { samples: base64(new Float32Array(FRAME)), state: base64(new Float32Array(256)) }],
    ['no base64', { samples: '!'.repeat(2_732) }],
  ])('with %s do not fit the schema', (_, input) => {
    expect(FrameInput.safeParse(input).success).toBe(false)
  })

  it('that hold no finite numbers fail alone', async () => {
    const pipeline = await started(new FramePipeline(context))
    const good = { samples: base64(new Float32Array(FRAME)) }
    const notNumbers = { samples: base64(new Float32Array(FRAME).fill(NaN)) }
    const endless = { ...good, state: base64(new Float32Array(320).fill(Infinity)) }

    const outputs = await outputsOf(pipeline, [good, notNumbers, endless, good])

    expect(outputs.map(({ status }) => status)).toEqual(['success', 'error', 'error', 'success'])
  })
})

describe('clips', () => {
  it.each([
    ['8 kHz', 8_000, 1],
    ['16 kHz', 16_000, 1],
    ['44.1 kHz in stereo', 44_100, 2],
    ['48 kHz', 48_000, 1],
  ])('of %s give the segments in which somebody speaks, one output for each as it ends', async (_, rate, channels) => {
    const pipeline = await started(new ClipPipeline(context))
    const recording = synthesize(PARTS, rate)
    const input = ClipInput.parse({ wav: wavOf(recording, channels) })

    const { streamed, collected } = await streamedBy(pipeline, [input])

    const outputs = streamed.map(({ output }) => ClipOutput.parse(output))
    const segments = outputs.flatMap(({ segments }) => segments)
    expect(outputs.map(({ segments }) => segments.length)).toEqual([1, 1, 0])
    for (const [i, [from, to]] of TRUTH.entries()) {
      expect(segments[i]?.startSeconds).toBeGreaterThan(from - 0.2)
      expect(segments[i]?.startSeconds).toBeLessThan(from + 0.3)
      expect(segments[i]?.endSeconds).toBeGreaterThan(to - 0.3)
      expect(segments[i]?.endSeconds).toBeLessThan(to + 0.2)
    }
    expect(collected).toEqual([{ status: 'success', segments, seconds: expect.closeTo(9, 1) }])
  })

  it('are heard together: each gives what it gives alone, and the first segment of any comes first', async () => {
    const pipeline = await started(new ClipPipeline(context))
    const long = { wav: wavOf(synthesize(PARTS, RATE)) }
    const short = { wav: wavOf(synthesize(PARTS.slice(1, 3), RATE)) }
    const quiet = { wav: wavOf(synthesize([{ kind: 'noise', seconds: 1.5 }], RATE)) }

    const { streamed, collected } = await streamedBy(pipeline, [long, quiet, short])

    expect(streamed.map(({ index }) => index)).toEqual([1, 2, 2, 0, 0, 0])
    for (const [i, input] of [long, quiet, short].entries()) {
      expect([collected[i]]).toEqual((await streamedBy(pipeline, [input])).collected)
    }
    expect(collected[1]).toEqual({ status: 'success', segments: [], seconds: 1.5 })
  })

  it('that end while somebody speaks give that segment at their end', async () => {
    const pipeline = await started(new ClipPipeline(context))
    const { samples } = synthesize(PARTS.slice(0, 2), RATE)
    const input = { wav: wavOf({ rate: RATE, samples: samples.subarray(0, 2 * RATE) }) }

    const [output] = (await streamedBy(pipeline, [input])).collected

    expect(output).toMatchObject({ segments: [{ endSeconds: 2 }], seconds: 2 })
  })

  it.each([
    ['no WAV', Buffer.from('this is a text and no sound at all')],
    ['too few bytes', Buffer.from('RI')],
    ['no samples', Buffer.from(writeWav({ rate: RATE, samples: new Float32Array(0) }))],
    ['a header only', Buffer.from(writeWav({ rate: RATE, samples: new Float32Array(9) })).subarray(0, 30)],
    ['8 bits', patched(34, 8)],
    ['six channels', patched(22, 6)],
    ['a rate of 12,345', patched(24, 12_345)],
  ])('with %s fail alone, and say why', async (_, bytes) => {
    const pipeline = await started(new ClipPipeline(context))
    const good = { wav: wavOf(synthesize(PARTS.slice(0, 3), RATE)) }

    const { collected } = await streamedBy(pipeline, [good, { wav: bytes.toString('base64') }, good])

    expect(collected.map(({ status }) => status)).toEqual(['success', 'error', 'success'])
    expect(collected[1]).toMatchObject({ error: expect.stringContaining('WAV') })
  })

  it('tell every second how far they have come', async () => {
    const pipeline = await started(new ClipPipeline(context))
    const clip = { wav: wavOf(synthesize(PARTS.slice(0, 3), RATE)) }

    const { progress } = await streamedBy(pipeline, [clip])

    expect(progress.map(({ value }) => value)).toEqual([{ seconds: 0.992 }, { seconds: 1.984 }, { seconds: 2.976 }])
  })

  it('are given up when nobody waits for them any more', async () => {
    const pipeline = await started(new ClipPipeline(context))
    const given = new AbortController()
    const clip = { wav: wavOf(synthesize(PARTS, RATE)) }
    const reason = new Error('gone')

    const [outcome] = await runPipeline(pipeline, [clip], {
      signal: given.signal,
      followed: new Set([0]),
      onOutput: () => given.abort(reason),
    })

    expect(outcome).toEqual({ error: reason })
  })
})

describe('resampling', () => {
  it.each([8_000, 11_025, 44_100, 48_000])('from %d samples/s keeps a tone as it is', (rate) => {
    const tone = (at: number) => Float32Array.from({ length: at }, (_, i) => Math.sin((2 * Math.PI * 440 * i) / at))

    const resampled = resample({ rate, samples: tone(rate) }, RATE)

    expect(resampled.length).toBe(RATE)
    const wanted = tone(RATE)
    for (let i = 100; i < RATE - 100; i += 1)
      expect(Math.abs((resampled[i] ?? 9) - (wanted[i] ?? 0))).toBeLessThan(0.01)
  })

  it('removes what the lower rate cannot have', () => {
    const samples = Float32Array.from({ length: 48_000 }, (_, i) => Math.sin((2 * Math.PI * 12_000 * i) / 48_000))

    const loudest = Math.max(...resample({ rate: 48_000, samples }, RATE).subarray(100, -100))

    expect(loudest).toBeLessThan(0.01)
  })
})

describe('WAV files', () => {
  it('are read as they were written', () => {
    const { samples } = synthesize(PARTS.slice(1, 2), RATE)

    const read = readWav(writeWav({ rate: 22_050, samples }))

    expect(read.rate).toBe(22_050)
    expect(read.samples.length).toBe(samples.length)
    for (const [i, value] of read.samples.entries()) expect(Math.abs(value - (samples[i] ?? 9))).toBeLessThan(1e-4)
  })

  it('may have other chunks before their samples', () => {
    const plain = writeWav({ rate: RATE, samples: Float32Array.of(0, 0.5, -0.5) })
    const other = Buffer.from('LIST\x03\x00\x00\x00abc\x00', 'latin1')
    const bytes = Buffer.concat([plain.subarray(0, 36), other, plain.subarray(36)])

    expect(readWav(bytes)).toEqual(readWav(plain))
  })
})

async function started<P extends FramePipeline | ClipPipeline>(pipeline: P): Promise<P> {
  await pipeline.setup()
  onTestFinished(async () => await pipeline.teardown())
  return pipeline
}

/** The speech in frames of one recording; in batches with those of others, of which nothing is told. */
async function speechOf(
  pipeline: FramePipeline,
  frames: readonly Float32Array[],
  others: readonly (readonly Float32Array[])[] = [],
): Promise<readonly number[]> {
  const all = [frames, ...others]
  const states: (string | undefined)[] = []
  const speech: number[] = []
  for (const i of frames.keys()) {
    const inputs = all.map((recording, k) => {
      const samples = base64(recording[i] as Float32Array)
      const state = states[k]
      return state === undefined ? { samples } : { samples, state }
    })
    const outputs = await outputsOf(pipeline, inputs)
    for (const [k, output] of outputs.entries()) states[k] = output.state
    speech.push(outputs[0]?.speech ?? NaN)
  }
  return speech
}

async function outputsOf(pipeline: FramePipeline, inputs: Parameters<FramePipeline['preprocess']>[0]) {
  const outcomes = await runPipeline(pipeline, inputs, { signal: never })
  return outcomes.map((outcome) => {
    if ('error' in outcome) throw outcome.error
    return outcome.output
  })
}

async function streamedBy(pipeline: ClipPipeline, inputs: readonly { readonly wav: string }[]) {
  const streamed: { readonly index: number; readonly output: unknown }[] = []
  const progress: { readonly index: number; readonly value: unknown }[] = []
  const outcomes = await runPipeline(pipeline, inputs, {
    signal: never,
    followed: new Set(inputs.keys()),
    onOutput: (index, output) => streamed.push({ index, output }),
    onProgress: (index, value) => progress.push({ index, value }),
  })
  const collected = outcomes.map((outcome) => {
    if ('error' in outcome) throw outcome.error
    return outcome.output
  })
  return { streamed, progress, collected }
}

function framesOf(samples: Float32Array): readonly Float32Array[] {
  const count = Math.floor(samples.length / FRAME)
  return Array.from({ length: count }, (_, i) => samples.subarray(i * FRAME, (i + 1) * FRAME))
}

function base64(numbers: Float32Array): string {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength).toString('base64')
}

/** As base64. A second channel is the first one again. */
function wavOf({ rate, samples }: Recording, channels = 1): string {
  if (channels === 1) return Buffer.from(writeWav({ rate, samples })).toString('base64')
  const doubled = Float32Array.from({ length: samples.length * 2 }, (_, i) => samples[i >> 1] ?? 0)
  const bytes = Buffer.from(writeWav({ rate, samples: doubled }))
  bytes.writeUInt16LE(2, 22)
  return bytes.toString('base64')
}

/** A short file with another number in its header. */
function patched(at: number, value: number): Buffer {
  const bytes = Buffer.from(writeWav({ rate: RATE, samples: new Float32Array(1_000) }))
  bytes.writeUInt16LE(value, at)
  return bytes
}
