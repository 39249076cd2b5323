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
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new HttpError(400, `The body is not JSON: ${error instanceof Error ? error.message : String(error)}.`)
  }
  // So short a text cannot be nested deeply.
  if (text.length > 2 * MAX_DEPTH) assertDepth(value)
  return value
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

/** Level by level, since to go down recursively is what may fail. */
function assertDepth(value: unknown): void {
  let level = [value].filter(isObject)
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) {
      const message = `It has lists and objects within each other, more than ${MAX_DEPTH} deep. Send flatter values.`
      throw new InvalidInputError('The body', [{ path: '', message }])
    }
    level = level.flatMap((one) => Object.values(one).filter(isObject))
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
