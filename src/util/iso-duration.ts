const NUMBER = '(\\d+(?:[.,]\\d+)?)'
const ISO = new RegExp(
  `^([+-])?P(?=T?\\d)(?:${NUMBER}Y)?(?:${NUMBER}M)?(?:${NUMBER}W)?(?:${NUMBER}D)?` +
    `(?:T(?:${NUMBER}H)?(?:${NUMBER}M)?(?:${NUMBER}S)?)?$`,
)
const CLOCK = /^([+-])?(?=\d)(?:(\d+) ?[dD](?:ays?)?(?:, |,| |$))?(?:(\d+):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?)?$/

const ISO_SECONDS = [365 * 86_400, 30 * 86_400, 7 * 86_400, 86_400, 3_600, 60, 1]
const CLOCK_SECONDS = [86_400, 3_600, 60, 1]

/**
 * Milliseconds of a duration in the forms that Python (pydantic) reads: ISO 8601 such as `PT1M30S` or `-P1DT2H`, a year
 * being 365 days and a month 30, or a clock such as `1:30:00`, `-05:30` (hours and minutes) or `2 days, 1:00:00`.
 *
 * @returns Exact to the microsecond, as Python's are; `undefined` for any other text.
 */
export function parseIsoDurationMs(text: string): number | undefined {
  const iso = ISO.exec(text)
  const match = iso ?? CLOCK.exec(text)
  if (!match) return undefined
  const [, sign, ...parts] = match as readonly (string | undefined)[]
  const units = iso ? ISO_SECONDS : CLOCK_SECONDS
  const seconds = units.reduce((sum, unit, index) => sum + unit * Number((parts[index] ?? '0').replace(',', '.')), 0)
  const ms = Math.round(seconds * 1e6) / 1e3
  return sign === '-' ? -ms : ms
}
