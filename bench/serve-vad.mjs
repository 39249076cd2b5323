import { createRequire } from 'node:module'

import { InferenceSession, Tensor } from 'onnxruntime-node'

const require = createRequire(import.meta.url)

const FRAME = 512
const CONTEXT = 64
const CELLS = 128
const STATE = 2 * CELLS + CONTEXT

/** Silero VAD, for frames of 32 ms at 16 kHz. */
export async function loadModel() {
  const path = require.resolve('@ricky0123/vad-web/dist/silero_vad_v5.onnx')
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const rate = new Tensor('int64', BigInt64Array.of(16_000n), [])

  /** @param {readonly { readonly samples: string, readonly state: string }[]} requests base64 of floats */
  return async function hear(requests) {
    const count = requests.length
    const width = CONTEXT + FRAME
    const frames = requests.map(({ samples }) => decode(samples, FRAME))
    const input = new Float32Array(count * width)
    const memory = new Float32Array(2 * count * CELLS)
    requests.forEach((request, i) => {
      const state = decode(request.state, STATE)
      input.set(state.subarray(2 * CELLS), i * width)
      input.set(/** @type {Float32Array} */ (frames[i]), i * width + CONTEXT)
      memory.set(state.subarray(0, CELLS), i * CELLS)
      memory.set(state.subarray(CELLS, 2 * CELLS), (count + i) * CELLS)
    })
    const outputs = await session.run({
      input: new Tensor('float32', input, [count, width]),
      state: new Tensor('float32', memory, [2, count, CELLS]),
      sr: rate,
    })
    const speech = /** @type {Float32Array} */ (outputs['output']?.data)
    const next = /** @type {Float32Array} */ (outputs['stateN']?.data)
    return frames.map((frame, i) => {
      const state = new Float32Array(STATE)
      state.set(next.subarray(i * CELLS, (i + 1) * CELLS))
      state.set(next.subarray((count + i) * CELLS, (count + i + 1) * CELLS), CELLS)
      state.set(frame.subarray(FRAME - CONTEXT), 2 * CELLS)
      return { speech: speech[i] ?? NaN, state: Buffer.from(state.buffer).toString('base64') }
    })
  }
}

/**
 * Bodies of requests: a voice-like hum with some noise, and the memory after silence. Different ones, the same each time.
 *
 * @param {number} count
 */
export function requestBodies(count) {
  const state = Buffer.from(new Float32Array(STATE).buffer).toString('base64')
  return Array.from({ length: count }, (_, k) => {
    const samples = Float32Array.from({ length: FRAME }, (_, i) => {
      const t = (2 * Math.PI * i) / 16_000
      return 0.2 * Math.sin(t * (110 + k)) + 0.1 * Math.sin(t * 730) + 0.02 * Math.sin(i * i * (k + 1))
    })
    return JSON.stringify({ samples: Buffer.from(samples.buffer).toString('base64'), state })
  })
}

/**
 * @param {string} text
 * @param {number} count
 */
function decode(text, count) {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length !== count * 4) throw new RangeError(`${bytes.length} bytes instead of ${count * 4}`)
  const numbers = new Float32Array(count)
  Buffer.from(numbers.buffer).set(bytes)
  return numbers
}
