import { performance } from 'node:perf_hooks'

const FILL = 'x'.repeat(60)

/** A time that JSON writes with as many digits as that of {@link clock}. */
const SOME_TIME = 1234567890123.456

/**
 * The argument of every task of every contender: 90 bytes as JSON.
 *
 * @param {number} [t]
 */
export function payload(t = SOME_TIME) {
  return { t, s: FILL }
}

/** Milliseconds on a clock that the processes of this machine share, with fractions, which `Date.now()` lacks. */
export function clock() {
  return performance.timeOrigin + performance.now()
}
