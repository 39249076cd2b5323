import { ConfigError } from '../contract/index.ts'
import { parseDurationMs } from '../util/duration.ts'
import type { Duration } from '../util/duration.ts'
import { show } from '../util/show.ts'

/**
 * A duration option in milliseconds.
 *
 * @param name - Of the option, for the message.
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` with the value.
 */
export function durationMs(name: string, value: Duration): number {
  const ms = parseDurationMs(value)
  if (ms !== undefined) return ms
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `\`${name}\` is ${show(value)}, which is not a duration. ` +
      "Use milliseconds ≥ 0, or text such as '250ms', '30s' or '1h30m'.",
  )
}

/** Like {@link durationMs}, with a default for an option that was not given. */
export function optionalDurationMs(name: string, value: Duration | undefined, fallbackMs: number): number {
  return value === undefined ? fallbackMs : durationMs(name, value)
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` unless `value` is an integer of at least `min`. */
export function wholeNumber(name: string, value: number, min: number): number {
  if (Number.isSafeInteger(value) && value >= min) return value
  throw new ConfigError('KIQ_CONFIG_INVALID', `\`${name}\` is ${show(value)}. Use a whole number ≥ ${min}.`)
}
