import { randomUUID } from 'node:crypto'

import type { Body, Serializer } from '../contract/index.ts'

// Stands before the digits of a bigint inside a JSON string. Random per process, so that no text from outside can
// pretend to be one.
const MARK = `\u0001${randomUUID()}:`
const MARKED = new RegExp(`"${JSON.stringify(MARK).slice(1, -1).replaceAll('\\', '\\\\')}([-+.e\\d]+)"`, 'g')

const TOKENS = /"(?:[^"\\]+|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/** Only a run of so many digits can be an integer beyond 2^53 - 1; nearly all messages have none. */
const LONG_RUN = 16

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * JSON as Taskiq's default serializer reads it. Integers beyond 2^53 - 1 are read as `bigint`, and bigints are written
 * as plain digits, as Python writes its integers: none is rounded. Numbers beyond 2^53 - 1 are written with an exponent,
 * as the floats they are.
 */
export class JsonSerializer implements Serializer {
  readonly name = 'json'

  dumpb(value: unknown): Body {
    try {
      const text = JSON.stringify(value)
      if (!hasLongRun(text)) return text
    } catch (error) {
      if (!(error instanceof TypeError) || !error.message.includes('BigInt')) throw error
    }
    return JSON.stringify(value, mark).replace(MARKED, '$1')
  }

  loadb(body: Body): unknown {
    const text = typeof body === 'string' ? body : decoder.decode(body)
    const value: unknown = JSON.parse(text)
    if (!hasLongRun(text)) return value
    const marked = text.replace(TOKENS, (token) => (isUnsafeInteger(token) ? JSON.stringify(MARK + token) : token))
    return marked === text ? value : JSON.parse(marked, unmark)
  }
}

function isUnsafeInteger(token: string): boolean {
  return token.length >= 16 && /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token))
}

function mark(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return MARK + value.toString()
  return typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER ? MARK + value.toExponential() : value
}

function unmark(_key: string, value: unknown): unknown {
  return typeof value === 'string' && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value
}

/** Whether digits follow each other so long. Such a run covers every sixteenth character, and so only those are looked at. */
function hasLongRun(text: string): boolean {
  for (let i = LONG_RUN - 1; i < text.length; i += LONG_RUN) {
    if (!isDigit(text, i)) continue
    let first = i
    let last = i
    while (isDigit(text, first - 1)) first -= 1
    while (isDigit(text, last + 1)) last += 1
    if (last - first >= LONG_RUN - 1) return true
  }
  return false
}

/** False outside of the text. */
function isDigit(text: string, index: number): boolean {
  const code = text.charCodeAt(index)
  return code >= 48 && code <= 57
}
