import type { Recording } from './wav.ts'

/** Rates that sound cards and telephones use. */
const RATES = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000]
/** Zero crossings of the filter on each side. */
const CROSSINGS = 12

/** Samples at another rate, without the frequencies that this one cannot have. Throws for rates that nobody records at. */
export function resample({ rate, samples }: Recording, to: number): Float32Array {
  if (!RATES.includes(rate)) throw new RangeError(`The WAV file has ${rate} samples/s. Use one of ${RATES.join(', ')}.`)
  if (rate === to) return samples
  const shared = gcd(rate, to)
  const [down, up] = [rate / shared, to / shared]
  const filters = Array.from({ length: up }, (_, phase) => filterOf(phase / up, Math.min(1, to / rate)))
  const result = new Float32Array(Math.floor((samples.length * up) / down))
  for (let i = 0; i < result.length; i += 1) {
    const filter = filters[(i * down) % up] as Float32Array
    const first = Math.floor((i * down) / up) - filter.length / 2 + 1
    let sum = 0
    for (let k = 0; k < filter.length; k += 1) sum += (filter[k] as number) * (samples[first + k] ?? 0)
    result[i] = sum
  }
  return result
}

/**
 * A sinc under a Hann window, of sum 1.
 *
 * @param offset - Where its middle lies between two samples, 0 to 1.
 * @param cutoff - Highest frequency that passes, as a share of the highest there is.
 */
function filterOf(offset: number, cutoff: number): Float32Array {
  const half = Math.ceil(CROSSINGS / cutoff)
  const filter = Float32Array.from({ length: 2 * half }, (_, k) => {
    const x = k - half + 1 - offset
    const window = Math.abs(x) < half ? 0.5 + 0.5 * Math.cos((Math.PI * x) / half) : 0
    return sinc(x * cutoff) * window
  })
  const sum = filter.reduce((total, value) => total + value, 0)
  return filter.map((value) => value / sum)
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}
