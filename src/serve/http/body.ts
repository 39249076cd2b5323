import type { Call } from './environment.ts'
import { HttpError } from './problem.ts'

/**
 * The body of a request as JSON.
 *
 * @throws {HttpError} 400, 413 or 415.
 */
export async function readJson(c: Call, maxBytes: number): Promise<unknown> {
  const type = c.req.header('content-type') ?? ''
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    throw new HttpError(
      415,
      `The body is ${type === '' ? 'of no type' : JSON.stringify(type)}. Send \`content-type: application/json\`.`,
    )
  }
  const text = await readText(c, maxBytes)
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new HttpError(400, `The body is not JSON: ${error instanceof Error ? error.message : String(error)}.`)
  }
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

function tooLarge(maxBytes: number): HttpError {
  return new HttpError(
    413,
    `The body has more than ${maxBytes} bytes. Send less, or raise \`http_config.max_payload_bytes\`.`,
    // What is left of the body is not read.
    { connection: 'close' },
  )
}
