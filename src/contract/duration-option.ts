import { inspect } from 'node:util'

import { parseDurationMs } from '../util/duration.ts'
import type { Duration } from '../util/duration.ts'
import { ConfigError } from './errors.ts'

/**
 * A duration option in milliseconds.
 *
 * @param minMs - Least accepted value.
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` with the value: it may come from a URL.
 */
export function durationOption(
  name: string,
  value: Duration | undefined,
  { fallbackMs, minMs }: { readonly fallbackMs: number; readonly minMs: number },
): number {
  if (value === undefined) return fallbackMs
  const ms = parseDurationMs(value)
  if (ms !== undefined && ms >= minMs) return ms
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `\`${name}\` is ${inspect(value)}. Use milliseconds ≥ ${minMs}, or text such as '250ms', ` + "'30s' or '1h30m'.",
  )
}
