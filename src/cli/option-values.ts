import { InvalidArgumentError } from 'commander'

import { ACK_TYPES, parseAckType } from '../core/index.ts'
import type { AckType } from '../core/index.ts'
import { parseDurationMs } from '../util/duration.ts'
import { LOG_FORMATS, LOG_LEVELS } from './log.ts'
import type { LogFormat, LogLevel } from './log.ts'

/** Readers of the texts after an option. Each throws commander's error, which names the option and the text. */

export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN
    if (value >= min && value <= max) return value
    const range = max === Number.MAX_SAFE_INTEGER ? `≥ ${min}` : `from ${min} to ${max}`
    throw new InvalidArgumentError(`Use a whole number ${range}.`)
  }
}

/** A whole number ≥ 1, or -1 for "off". */
export function limitOrOff(text: string): number {
  return text === '-1' ? -1 : wholeNumber(1)(text)
}

/** Seconds, as Taskiq counts, or a duration with its unit. Gives milliseconds. */
export function seconds(text: string): number {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Math.round(Number(text) * 1000) : parseDurationMs(text)
  if (ms !== undefined) return ms
  throw new InvalidArgumentError("Use seconds, or a duration such as '500ms', '30s' or '1h30m'.")
}

/** `a,b` and repeated options add up. */
export function list(text: string, previous: readonly string[] | undefined): readonly string[] {
  const items = text.split(',').map((item) => item.trim())
  if (items.includes('')) throw new InvalidArgumentError('Use names, separated by commas.')
  return [...(previous ?? []), ...items]
}

/** Repeated options add up; commas stay, since a glob may hold them. */
export function repeated(text: string, previous: readonly string[] | undefined): readonly string[] {
  if (text === '') throw new InvalidArgumentError('It is empty.')
  return [...(previous ?? []), text]
}

export function ackType(text: string): AckType {
  try {
    return parseAckType(text)
  } catch {
    throw new InvalidArgumentError(`Use one of: ${ACK_TYPES.join(', ')}.`)
  }
}

const PYTHON_LEVELS: Readonly<Record<string, LogLevel>> = { warning: 'warn', critical: 'fatal' }

/** Also Python's names, in any case: `WARNING`. */
export function logLevel(text: string): LogLevel {
  const name = text.toLowerCase()
  const level = PYTHON_LEVELS[name] ?? LOG_LEVELS.find((known) => known === name)
  if (level) return level
  throw new InvalidArgumentError(`Use one of: ${LOG_LEVELS.join(', ')}.`)
}

export function logFormat(text: string): LogFormat {
  const format = LOG_FORMATS.find((known) => known === text)
  if (format) return format
  throw new InvalidArgumentError(`Use one of: ${LOG_FORMATS.join(', ')}.`)
}
