import { MessageError } from '../contract/index.ts'
import type { Labels } from '../contract/index.ts'
import { show } from '../util/show.ts'

/** Numbers of Taskiq's label types; wire format, section 1.3. */
const LABEL_TYPE = { ANY: 1, INT: 2, STR: 3, FLOAT: 4, BOOL: 5, BYTES: 6 } as const

/** Labels as they stand in a message. */
export interface EncodedLabels {
  readonly labels: Record<string, string>
  readonly types: Record<string, number>
}

/**
 * Labels → Taskiq's text and type numbers. `null` and `undefined` are left out: Python would turn them into the text
 * `None`, which then counts as a queue name or a timeout.
 *
 * @throws {MessageError} `KIQ_LABEL_INVALID` for functions, symbols and values that have no text.
 */
export function encodeLabels(source: Labels): EncodedLabels {
  const labels: Record<string, string> = {}
  const types: Record<string, number> = {}
  for (const key of Object.keys(source)) {
    const value = source[key]
    if (value === null || value === undefined) continue
    const [text, type] = encodeLabel(key, value)
    setOwn(labels, key, text)
    setOwn(types, key, type)
  }
  return { labels, types }
}

/**
 * Text and type numbers → values, as Python's worker reads them. Labels without a type stay as they are.
 *
 * @throws {MessageError} `KIQ_LABEL_INVALID` when a text does not fit its type.
 */
export function decodeLabels(labels: Readonly<Record<string, unknown>>, types: unknown): Record<string, unknown> {
  const decoded: Record<string, unknown> = {}
  const known = (types ?? {}) as Readonly<Record<string, unknown>>
  for (const key of Object.keys(labels)) {
    setOwn(decoded, key, Object.hasOwn(known, key) ? decodeLabel(key, labels[key], known[key]) : labels[key])
  }
  return decoded
}

function encodeLabel(key: string, value: unknown): readonly [text: string, type: number] {
  switch (typeof value) {
    case 'string':
      return [value, LABEL_TYPE.STR]
    case 'boolean':
      return [value ? 'True' : 'False', LABEL_TYPE.BOOL]
    case 'bigint':
      return [value.toString(), LABEL_TYPE.INT]
    case 'number':
      return Number.isSafeInteger(value) ? [value.toString(), LABEL_TYPE.INT] : [floatText(value), LABEL_TYPE.FLOAT]
    case 'object':
      if (value instanceof Uint8Array) return [Buffer.from(value).toString('base64'), LABEL_TYPE.BYTES]
      return [anyText(key, value as object), LABEL_TYPE.ANY]
    case 'function':
    case 'symbol':
    case 'undefined':
      throw new MessageError(
        'KIQ_LABEL_INVALID',
        `Label "${key}" is a ${typeof value}, which cannot travel. Use text, a number, a boolean or bytes.`,
      )
  }
}

function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (Number.isFinite(value)) return String(value)
  return value > 0 ? 'inf' : '-inf'
}

function anyText(key: string, value: object): string {
  try {
    const text = value instanceof Date ? value.toISOString() : JSON.stringify(value)
    if (typeof text === 'string') return text
  } catch (error) {
    throw invalid(key, 'cannot be written as text: ' + String(error), error)
  }
  throw invalid(key, 'cannot be written as text')
}

function decodeLabel(key: string, value: unknown, type: unknown): unknown {
  switch (Number(type)) {
    case LABEL_TYPE.ANY:
      return value
    case LABEL_TYPE.INT:
      return decodeInt(key, value)
    case LABEL_TYPE.STR:
      return pythonText(value)
    case LABEL_TYPE.FLOAT:
      return decodeFloat(key, value)
    case LABEL_TYPE.BOOL:
      return pythonText(value).toLowerCase() === 'true'
    case LABEL_TYPE.BYTES:
      return decodeBytes(key, value)
    default:
      throw invalid(key, `has the type number ${String(type)}; known are 1 to 6`)
  }
}

function decodeInt(key: string, value: unknown): number | bigint {
  if (typeof value === 'number') return Math.trunc(value)
  if (typeof value === 'bigint') return value
  if (typeof value === 'boolean') return Number(value)
  if (typeof value !== 'string' || !/^\s*[+-]?\d+(_\d+)*\s*$/.test(value)) {
    throw invalid(key, `should be an integer but is ${show(value)}`)
  }
  const digits = value.trim().replaceAll('_', '')
  const number = Number(digits)
  return Number.isSafeInteger(number) ? number : BigInt(digits.startsWith('+') ? digits.slice(1) : digits)
}

const FLOAT = /^\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?)\s*$/

function decodeFloat(key: string, value: unknown): number {
  if (typeof value === 'number') return value
  if (typeof value === 'boolean' || typeof value === 'bigint') return Number(value)
  if (typeof value === 'string') {
    if (FLOAT.test(value)) return Number(value)
    const word = /^\s*([+-]?)(nan|inf|infinity)\s*$/i.exec(value)
    if (word) return word[2]?.toLowerCase() === 'nan' ? NaN : word[1] === '-' ? -Infinity : Infinity
  }
  throw invalid(key, `should be a number but is ${show(value)}`)
}

function decodeBytes(key: string, value: unknown): Uint8Array {
  const text = typeof value === 'string' ? value.replace(/[^A-Za-z0-9+/=]/g, '') : undefined
  if (text === undefined || text.length % 4 !== 0) throw invalid(key, `should be Base64 but is ${show(value)}`)
  return new Uint8Array(Buffer.from(text, 'base64'))
}

/** Python's `str()` for the values JSON can hold. */
function pythonText(value: unknown): string {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  return typeof value === 'bigint' ? value.toString() : show(value)
}

function invalid(key: string, what: string, cause?: unknown): MessageError {
  return new MessageError('KIQ_LABEL_INVALID', `Label "${key}" ${what}.`, { cause })
}

/** Assignment that treats `__proto__` as the plain key it is. */
function setOwn<V>(target: Record<string, V>, key: string, value: V): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true })
  } else {
    target[key] = value
  }
}
