export interface Recording {
  /** Samples per second. */
  readonly rate: number
  /** From -1 to 1, one channel. */
  readonly samples: Float32Array
}

const PCM = 1
const EXTENSIBLE = 0xfffe
const HEADER = 44

/** Reads a WAV file of 16-bit PCM with one or two channels; two become their mean. Throws for all others. */
export function readWav(bytes: Uint8Array): Recording {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 12 || text(view, 0) !== 'RIFF' || text(view, 8) !== 'WAVE') {
    throw new RangeError('This is no WAV file. Send RIFF/WAVE with 16-bit PCM.')
  }
  let format: { readonly channels: number; readonly rate: number } | undefined
  for (let at = 12; at + 8 <= bytes.length;) {
    const size = view.getUint32(at + 4, true)
    const body = at + 8
    if (text(view, at) === 'fmt ' && size >= 16 && body + size <= bytes.length) format = readFormat(view, body)
    if (text(view, at) === 'data') {
      if (format === undefined) break
      // What writes to a pipe does not know the size, and says a large one.
      return readSamples(view, { ...format, from: body, to: Math.min(bytes.length, body + size) })
    }
    // Chunks begin at even positions.
    at = body + size + (size % 2)
  }
  throw new RangeError('The WAV file has no format or no samples. Send a complete one.')
}

/** Writes 16-bit PCM with one channel. */
export function writeWav({ rate, samples }: Recording): Uint8Array {
  const size = samples.length * 2
  const bytes = new Uint8Array(HEADER + size)
  const view = new DataView(bytes.buffer)
  const encoder = new TextEncoder()
  bytes.set(encoder.encode('RIFF'), 0)
  view.setUint32(4, HEADER - 8 + size, true)
  bytes.set(encoder.encode('WAVEfmt '), 8)
  view.setUint32(16, 16, true)
  view.setUint16(20, PCM, true)
  view.setUint16(22, 1, true)
  view.setUint32(24, rate, true)
  view.setUint32(28, rate * 2, true)
  view.setUint16(32, 2, true)
  view.setUint16(34, 16, true)
  bytes.set(encoder.encode('data'), 36)
  view.setUint32(40, size, true)
  samples.forEach((value, i) => {
    view.setInt16(HEADER + i * 2, Math.round(Math.max(-1, Math.min(1, value)) * 32_767), true)
  })
  return bytes
}

function readFormat(view: DataView, at: number): { readonly channels: number; readonly rate: number } {
  const kind = view.getUint16(at, true)
  const channels = view.getUint16(at + 2, true)
  const bits = view.getUint16(at + 14, true)
  if ((kind !== PCM && kind !== EXTENSIBLE) || bits !== 16 || channels < 1 || channels > 2) {
    throw new RangeError(
      `The WAV file has format ${kind}, ${bits} bits and ${channels} channels. Send 16-bit PCM, 1 or 2.`,
    )
  }
  return { channels, rate: view.getUint32(at + 4, true) }
}

interface Samples {
  readonly channels: number
  readonly rate: number
  readonly from: number
  readonly to: number
}

function readSamples(view: DataView, { channels, rate, from, to }: Samples): Recording {
  const samples = new Float32Array(Math.floor((to - from) / (2 * channels)))
  for (let i = 0; i < samples.length; i += 1) {
    let sum = 0
    for (let channel = 0; channel < channels; channel += 1) {
      sum += view.getInt16(from + (i * channels + channel) * 2, true)
    }
    samples[i] = sum / channels / 32_768
  }
  return { rate, samples }
}

function text(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)))
}
