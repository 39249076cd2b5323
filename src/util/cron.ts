import { Cron } from 'croner'

import { messageOf } from './show.ts'

/** What is wrong with a cron expression, and where. */
export class CronError extends Error {
  /** Of the first character that is wrong, from 0; `undefined` when no single part is. */
  readonly position: number | undefined

  constructor(message: string, position?: number) {
    super(message)
    this.position = position
  }
}

const MACROS: ReadonlyMap<string, string> = new Map([
  ['@yearly', '0 0 1 1 *'],
  ['@annually', '0 0 1 1 *'],
  ['@monthly', '0 0 1 * *'],
  ['@weekly', '0 0 * * 0'],
  ['@daily', '0 0 * * *'],
  ['@midnight', '0 0 * * *'],
  ['@hourly', '0 * * * *'],
])

const FIELDS = ['second', 'minute', 'hour', 'day of the month', 'month', 'day of the week'] as const
const LONG_MONTHS = 'january february march april may june july august september october november december'.split(' ')
const LONG_DAYS = 'sunday monday tuesday wednesday thursday friday saturday'.split(' ')
const MONTHS = LONG_MONTHS.map(short)
const DAYS = LONG_DAYS.map(short)

const RANGES = ['0 to 59', '0 to 59', '0 to 23', '1 to 31', '1 to 12', '0 to 7'] as const
const SECOND_MS = 1_000
const MINUTE_MS = 60_000
/** Expressions that are kept parsed: parsing costs fifty times as much as finding the next time. */
const MAX_KEPT = 10_000

const MEANINGLESS = 'it holds characters that mean nothing here'

/** What the library says of a part, and how it is said here. The first that fits. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/illegal characters/, MEANINGLESS],
  [/illegal stepping: 0/, 'a step is at least 1'],
  [/steps cannot be greater/, 'the step is larger than the field'],
  [/(missing|numeric) prefix/, 'put * or a range before the step, as in */15 or 5-59/15'],
  [/larger than to value/, 'the range ends before it starts, write two of them with a comma between'],
  [/nth weekday out of range/, 'use #1 to #5'],
  [/to stand alone/, 'write names in full or with three letters'],
  [/LW can not be/, 'LW cannot be in a list'],
  [/L has to be/, 'L is a value of its own'],
  [/W is not allowed/, 'W follows a single day'],
  [/NaN/, 'it is not complete'],
  [/not a number|illegal (range|stepping|nth)|cannot be empty/, 'it is no number, range or step'],
]

interface Token {
  readonly text: string
  /** In the expression as it was given, from 0. */
  readonly at: number
}

/**
 * A cron expression in a time zone: when it is due next.
 *
 * Five fields (minute, hour, day of the month, month, day of the week) or six with seconds first; `*`, numbers, lists,
 * ranges, steps, names of months and days, `L` (last), `W` (nearest weekday), `#` (`MON#2`), `?`, and the macros
 * `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`, `@midnight`, `@hourly`. Sunday is 0 and 7. Where both fields
 * of days are restricted, either suffices; where one of them holds a star, even with a step, both have to match. So does
 * Unix, and `pycron`.
 *
 * Where the clock is changed, it matters whether an expression names a single time of day: one second, one minute and one
 * hour, none of them with a star or a step, such as `30 2 * * *`.
 *
 * - If so, it is due once. A time that is left out is due when the clock goes on, provided that this is on the same date
 *   (23:30 is not due where 00:00 follows 22:59, as in America/Nuuk). A time that is repeated is due the first time.
 * - If not, it is due whenever the clock shows one of its times: what is left out is not due, what is repeated is due
 *   twice. So `0 * * * *` is due in every real hour, if the clock is changed by whole hours. But `30 2,14 * * *` and
 *   `15 1-3 * * *`, too, are due once less, or once more.
 */
export class CronExpression {
  readonly text: string
  readonly #cron: Cron
  /** How far the clock of a fixed offset is ahead of the one that the library is given, which is UTC. */
  readonly #aheadMs: number
  /** The last answer holds for every moment between: many schedules share an expression. */
  #known: { readonly from: number; readonly next: number | undefined } | undefined

  /**
   * @param timeZone - IANA name, or `±HH:MM`; UTC when absent. Checked by the caller.
   * @throws {CronError}
   */
  constructor(text: string, timeZone?: string) {
    this.text = text
    const offsetMs = offsetMsOf(timeZone)
    this.#cron = parse(text, offsetMs === undefined ? timeZone : undefined)
    this.#aheadMs = offsetMs ?? 0
  }

  /** The first time after that one, in milliseconds since the epoch; `undefined` = never. */
  next(after: number): number | undefined {
    const known = this.#known
    if (known && known.from <= after && (known.next === undefined || after < known.next)) return known.next
    // The library looks from the next whole second on.
    const shifted = this.#cron.nextRun(new Date(after + this.#aheadMs))?.getTime()
    const next = shifted === undefined ? undefined : shifted - this.#aheadMs
    this.#known = { from: after, next }
    return next
  }

  /** The last time at or before that one and after `after`; `undefined` = none. */
  last(atOrBefore: number, after: number): number | undefined {
    for (let reach = SECOND_MS; ; reach *= 2) {
      const from = Math.max(atOrBefore - reach, after)
      let found = this.next(from)
      if (found !== undefined && found <= atOrBefore) {
        for (;;) {
          const later = this.next(found)
          if (later === undefined || later > atOrBefore) return found
          found = later
        }
      }
      if (from === after) return undefined
    }
  }
}

const kept = new Map<string, CronExpression>()

/**
 * The expression in that time zone, shared by all who ask for it.
 *
 * @param timeZone - IANA name, or `±HH:MM`; UTC when absent. Checked by the caller.
 * @throws {CronError} for syntax, and for what is never due.
 */
export function cronExpression(text: string, timeZone: string = 'UTC'): CronExpression {
  const key = `${timeZone} ${text}`
  const known = kept.get(key)
  if (known) return known
  const made = new CronExpression(text, timeZone)
  if (made.next(0) === undefined) throw new CronError('it is never due: no such day exists')
  // The oldest goes, used or not: nobody has so many.
  if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value as string)
  kept.set(key, made)
  return made
}

/**
 * The same times with five fields, numbers and single spaces, as far as that can be said so: what Python's `pycron` reads.
 */
export function plainCron(text: string): string {
  const expression = MACROS.get(text.trim().toLowerCase()) ?? text.trim()
  const fields = expression.replaceAll('?', '*').split(/\s+/)
  if (fields.length === FIELDS.length && /^0+$/.test(fields[0] ?? '')) fields.shift()
  const [month = '', day = ''] = fields.slice(-2)
  const days = withNumbers(day.replace(/-sun(day)?(?![a-z])/gi, '-7'), DAYS, 0)
  const sundayIsZero = days.split(',').map(withoutSeven).join(',')
  return [...fields.slice(0, -2), withNumbers(month, MONTHS, 1), sundayIsZero].map(withoutNeedlessStar).join(' ')
}

/** `pycron` knows Sunday as 0 alone. */
function withoutSeven(part: string): string {
  if (part === '7') return '0'
  const match = /^([0-7])-7(?:\/0*([1-9]\d*))?$/.exec(part)
  if (!match) return part
  const [from, step] = [Number(match[1]), Number(match[2] ?? 1)]
  if (step === 1) return from === 0 ? '0-6' : [...(from < 7 ? [`${from}-6`] : []), '0'].join(',')
  const days: number[] = []
  for (let day = from; day <= 7; day += step) days.push(day % 7)
  return days.join(',')
}

/** `pycron` overlooks a `*` that has a comma beside it. */
function withoutNeedlessStar(field: string): string {
  return field.split(',').includes('*') ? '*' : field
}

function withNumbers(field: string, names: readonly string[], first: number): string {
  return field.replace(/[a-z]{3,}/gi, (name) => {
    const index = names.indexOf(name.slice(0, 3).toLowerCase())
    if (index < 0) return name
    const isLast = /^...L$/i.test(name)
    return `${index + first}${isLast ? 'L' : ''}`
  })
}

function parse(text: string, timeZone: string | undefined): Cron {
  const tokens = tokensOf(text)
  const [first] = tokens
  if (first === undefined) throw new CronError('it is empty')
  if (first.text.startsWith('@')) return parseMacro(tokens, timeZone)
  if (tokens.length !== 5 && tokens.length !== 6) {
    throw new CronError(`it has ${tokens.length} ${tokens.length === 1 ? 'field' : 'fields'}, not five or six`)
  }
  const fields = tokens.map((token, i) => withShortNames(token.text, i - tokens.length))
  try {
    return make(fields, timeZone)
  } catch (error) {
    for (const [i, token] of tokens.entries()) checkField(fields, i, token)
    // Each part of it is right.
    throw new CronError(reasonOf(error))
  }
}

function parseMacro(tokens: readonly Token[], timeZone: string | undefined): Cron {
  const name = tokens.map((token) => token.text).join(' ')
  const macro = MACROS.get(name.toLowerCase())
  if (macro !== undefined) return make(macro.split(' '), timeZone)
  throw new CronError(`${name} is none of ${[...MACROS.keys()].join(', ')}`, tokens[0]?.at)
}

/** Python's `pycron` also takes `Monday`. */
function withShortNames(field: string, fromEnd: number): string {
  if (fromEnd < -2) return field
  const names = fromEnd === -1 ? LONG_DAYS : LONG_MONTHS
  return field.replace(/[a-z]{4,}/gi, (name) => (names.includes(name.toLowerCase()) ? name.slice(0, 3) : name))
}

/** Each part alone, so that the one that is wrong is known, then all of them together. */
function checkField(fields: readonly string[], index: number, { text, at }: Token): void {
  const kind = index + FIELDS.length - fields.length
  let start = at
  for (const part of text.split(',')) {
    if (part === '') throw new CronError(`an empty part in the field ${FIELDS[kind] ?? ''}`, start)
    checkPart(part, kind, start)
    start += part.length + 1
  }
  checkPart(text, kind, at)
}

function checkPart(part: string, kind: number, at: number): void {
  try {
    make(
      FIELDS.map((_field, i) => (i === kind ? withShortNames(part, kind - FIELDS.length) : '*')),
      undefined,
    )
  } catch (error) {
    const reason = reasonOf(error)
    const shown = reason.startsWith('invalid value') ? `use ${RANGES[kind] ?? ''}` : reason
    throw new CronError(`"${part}" is no ${FIELDS[kind] ?? ''}: ${shown}`, at)
  }
}

function short(name: string): string {
  return name.slice(0, 3)
}

function tokensOf(text: string): readonly Token[] {
  return [...text.matchAll(/\S+/g)].map((match) => ({ text: match[0], at: match.index }))
}

function make(fields: readonly string[], timeZone: string | undefined): Cron {
  // The library would read it as a date, or as its own way to say that both fields of days have to match.
  if (fields.some((field) => /[:+]/.test(field))) throw new CronError(MEANINGLESS)
  const [day = '', , weekday = ''] = fields.slice(-3)
  return new Cron(fields.join(' '), {
    paused: true,
    mode: '5-or-6-parts',
    // As in Unix and in `pycron`: a field of days with a star in it, such as */2, does not make the other one optional.
    domAndDow: /[*?]/.test(day) || /[*?]/.test(weekday),
    // An offset is much faster than the name.
    ...(timeZone === undefined ? { utcOffset: 0 } : { timezone: timeZone }),
  })
}

/** Of a zone that has no other: UTC, and `±HH:MM`. The library's own offsets end at 14:30. */
function offsetMsOf(timeZone = 'UTC'): number | undefined {
  if (timeZone === 'UTC') return 0
  const match = /^([+-])(\d\d):(\d\d)$/.exec(timeZone)
  if (!match) return undefined
  const [, sign, hours, minutes] = match
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * MINUTE_MS
}

/** What the library says, in the words of this one. */
function reasonOf(error: unknown): string {
  const text = messageOf(error)
  const known = REASONS.find(([pattern]) => pattern.test(text))
  if (known) return known[1]
  const reason = text.replace(/^CronPattern: /, '').replace(/\.$/, '')
  return reason.charAt(0).toLowerCase() + reason.slice(1)
}
