import { performance } from 'node:perf_hooks'

/** @typedef {{ readonly suite: string, readonly what: string, readonly rate?: number, readonly p50?: number, readonly p99?: number, readonly against?: string }} Row */

/**
 * Operations per second of `work`, which says how many it did. Once for warm-up, then `rounds` times; the median.
 *
 * @param {() => Promise<number>} work
 * @param {number} [rounds]
 */
export async function rate(work, rounds = 3) {
  await work()
  const rates = []
  for (let round = 0; round < rounds; round += 1) {
    const startedAt = performance.now()
    const count = await work()
    rates.push((count / (performance.now() - startedAt)) * 1000)
  }
  return median(rates)
}

/**
 * Milliseconds of each of `count` operations, one at a time.
 *
 * @param {() => Promise<unknown>} operation
 * @param {number} count
 * @param {() => Promise<unknown>} [between] not measured
 */
export async function latencies(operation, count, between) {
  for (let i = 0; i < count; i += 1) await operation()
  const all = []
  for (let i = 0; i < count; i += 1) {
    if (between) await between()
    const startedAt = performance.now()
    await operation()
    all.push(performance.now() - startedAt)
  }
  return { p50: percentile(all, 0.5), p99: percentile(all, 0.99) }
}

/**
 * Runs `operation` for 0 … count-1 with at most `width` under way.
 *
 * @param {number} count
 * @param {number} width
 * @param {(i: number) => Promise<unknown>} operation
 */
export async function windowed(count, width, operation) {
  let next = 0
  const lane = async () => {
    while (next < count) {
      const i = next
      next += 1
      await operation(i)
    }
  }
  await Promise.all(Array.from({ length: width }, lane))
  return count
}

/** @param {readonly number[]} values */
export function median(values) {
  return percentile(values, 0.5)
}

/**
 * @param {readonly number[]} values
 * @param {number} share 0.99 = the 99th percentile
 */
export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN
}
