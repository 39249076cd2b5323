import { InvalidInputError } from '../invalid-input.ts'
import type { Call } from './environment.ts'
import { ClientGoneError, HttpError } from './problem.ts'

/** Lists and objects within each other: more than any input needs, and less than makes programs fail that go through them. */
const MAX_DEPTH = 200

export interface BodyLimits {
  readonly maxBytes: number
  /** For how long somebody waits for the request. */
  readonly signal: AbortSignal
}

/**
 * The body of a request as JSON.
 *
 * @throws {HttpError} 400, 408, 413 or 415.
 * @throws {InvalidInputError} for what is nested too deeply.
 */
export async function readJson(c: Call, { maxBytes, signal }: BodyLimits): Promise<unknown> {
  assertType(c)
  const text = await inTime(readText(c, maxBytes), signal)
  // So short a text cannot be nested deeply.
  if (text.length > 2 * MAX_DEPTH) assertDepth(text)
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new HttpError(400, `The body is not JSON: ${error instanceof Error ? error.message : String(error)}.`)
  }
}

function assertType(c: Call): void {
  const type = c.req.header('content-type') ?? ''
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new HttpError(
      415,
      `The body is ${type === '' ? 'of no type' : JSON.stringify(type)}. Send \`content-type: application/json\`.`,
    )
  }
  const encoding = c.req.header('content-encoding') ?? 'identity'
  if (encoding === 'identity') return
  throw new HttpError(415, `The body has the encoding ${JSON.stringify(encoding)}. Send it as it is, without encoding.`)
}

async function readText(c: Call, maxBytes: number): Promise<string> {
  const length = c.req.header('content-length')
  if (length !== undefined) {
    if (Number(length) > maxBytes) throw tooLarge(maxBytes)
    return await c.req.text()
  }
  const { body } = c.req.raw
  if (body === null) return ''
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) throw tooLarge(maxBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** A body may come slowly, or only in part. */
function inTime(text: Promise<string>, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = (): void => {
      const isGone = signal.reason instanceof ClientGoneError
      reject(isGone ? signal.reason : new HttpError(408, 'The body did not come in time.', CLOSE))
    }
    signal.addEventListener('abort', late, { once: true })
    const end = (): void => signal.removeEventListener('abort', late)
    text.then(
      (whole) => {
        end()
        resolve(whole)
      },
      (error: unknown) => {
        end()
        reject(error instanceof HttpError ? error : new ClientGoneError())
      },
    )
  })
}

/** What is left of the body is not read. */
const CLOSE = { connection: 'close' }

function tooLarge(maxBytes: number): HttpError {
  return new HttpError(
    413,
    `The body has more than ${maxBytes} bytes. Send less, or raise \`http_config.max_payload_bytes\`.`,
    CLOSE,
  )
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Of lists and objects. */
const OPEN = new Set([0x5b, 0x7b])
const CLOSED = new Set([0x5d, 0x7d])

/** Counts brackets outside of strings, in a text that need not be JSON. */
function assertDepth(text: string): void {
  let depth = 0
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) {
      i = endOfString(text, i)
    } else if (OPEN.has(code)) {
      depth += 1
      if (depth > MAX_DEPTH) {
        const message = `It has lists and objects within each other, more than ${MAX_DEPTH} deep. Send flatter values.`
        throw new InvalidInputError('The body', [{ path: '', message }])
      }
    } else if (CLOSED.has(code)) {
      depth -= 1
    }
  }
}

/** Position of the quote that ends the string; of the end of the text where there is none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes += 1
    if (escapes % 2 === 0) return end
  }
  return text.length
}
