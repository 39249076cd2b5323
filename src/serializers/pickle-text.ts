import { constants } from 'node:buffer'

/** Bytes of the longest text that is read: the engine can hold no longer one. */
export const MAX_TEXT_BYTES: number = constants.MAX_STRING_LENGTH

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const REPLACEMENT = '\uFFFD'
const LONE_SURROGATES = /(\p{Surrogate})/u

/**
 * UTF-8 as Python pickles text: a surrogate without its other half, which UTF-8 has no form for, is three bytes as any
 * other unit of its size.
 *
 * @throws when the bytes are not that.
 */
export function decodeText(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end)
  // The mark of a byte that could not be read, unless somebody sent it.
  return text.includes(REPLACEMENT) ? decodeStrictly(bytes.subarray(start, end)) : text
}

function decodeStrictly(bytes: Buffer): string {
  let text = ''
  let from = 0
  for (let at = bytes.indexOf(0xed); at !== -1 && at + 2 < bytes.length; at = bytes.indexOf(0xed, at + 1)) {
    const middle = bytes[at + 1] as number
    const last = bytes[at + 2] as number
    if (middle < 0xa0 || middle > 0xbf || last < 0x80 || last > 0xbf) continue
    if (from < at) text += strict.decode(bytes.subarray(from, at))
    text += String.fromCharCode(0xd000 | ((middle & 0x3f) << 6) | (last & 0x3f))
    from = at + 3
  }
  return from < bytes.length ? text + strict.decode(bytes.subarray(from)) : text
}

/** Writes what {@link decodeText} reads, in `Buffer.byteLength(text)` bytes: it counts three for a lone surrogate too. */
export function encodeText(text: string, bytes: Buffer, start: number): void {
  let at = start
  for (const [index, part] of text.split(LONE_SURROGATES).entries()) {
    if (index % 2 === 0) {
      at += bytes.write(part, at)
    } else {
      const unit = part.charCodeAt(0)
      bytes[at] = 0xed
      bytes[at + 1] = 0x80 | ((unit >> 6) & 0x3f)
      bytes[at + 2] = 0x80 | (unit & 0x3f)
      at += 3
    }
  }
}

/** Whether only {@link encodeText} writes this text without a loss. */
export function hasLoneSurrogates(text: string): boolean {
  return LONE_SURROGATES.test(text)
}
