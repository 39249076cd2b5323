const UNIT_MS = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])

/**
 * Length of time in an option: a number of milliseconds, or text such as `'250ms'`, `'30s'`, `'1.5m'`, `'1h30m'`, `'2d'`.
 *
 * Units are `ms`, `s`, `m` (minutes), `h` and `d` (24 hours), each at most once and in any order; spaces may stand
 * between the parts. Any `string` is of this type, so that text from a file or a variable is; {@link parseDurationMs}
 * judges it.
 */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}` | (string & {})

/**
 * Milliseconds of a {@link Duration}.
 *
 * @param value - Checked at run time too, since options also come from configuration files.
 * @returns At least 0, with a fraction where the value has one; `undefined` for anything that is not a duration: empty
 * text, text without a unit, an unknown or repeated unit, a negative or infinite number, `NaN`, or another type.
 * @example
 * ```ts
 * parseDurationMs('1h30m') // 5_400_000
 * parseDurationMs('30') // undefined: a number in text needs its unit
 * ```
 */
export function parseDurationMs(value: Duration): number | undefined {
  if (typeof value === 'number') return value >= 0 && value < Infinity ? value : undefined
  if (typeof value !== 'string') return undefined

  const seen = new Set<string>()
  let totalMs = 0
  for (const part of value.split(/ +|(?<=[a-z])(?=\d)/)) {
    const parsed = /^(?<whole>\d+)(?:\.(?<fraction>\d+))?(?<unit>[a-z]+)$/.exec(part)
    const { whole = '', fraction = '', unit = '' } = parsed?.groups ?? {}
    const unitMs = UNIT_MS.get(unit)
    if (unitMs === undefined || seen.has(unit)) return undefined
    seen.add(unit)
    // One division of whole numbers is exact where a product with a fraction is not: 1.005 * 1000 is 1004.9999999999999.
    totalMs += (Number(whole + fraction) * unitMs) / 10 ** fraction.length
  }
  return Number.isFinite(totalMs) ? totalMs : undefined
}
