import { MessageError } from '../contract/index.ts'

/** First byte of what encoders make of half a surrogate pair: three bytes that are no UTF-8. */
const LEAD = 0xed
const LEAST_NEXT = 0xa0
const HALF = /\p{Surrogate}/u

/**
 * Refuses text with half a surrogate pair. It has no form in UTF-8; the encoders write something all the same, and readers
 * replace it without a word. Looks at the value only when the bytes give reason to.
 *
 * @throws {MessageError} `KIQ_ARGUMENTS_UNSERIALIZABLE` with the text.
 */
export function assertWellFormed(value: unknown, bytes: Uint8Array): void {
  for (let at = bytes.indexOf(LEAD); at >= 0; at = bytes.indexOf(LEAD, at + 1)) {
    if ((bytes[at + 1] ?? 0) < LEAST_NEXT) continue
    assertText(value)
    return
  }
}

function assertText(value: unknown): void {
  if (typeof value === 'string') {
    if (!HALF.test(value)) return
    throw new MessageError(
      'KIQ_ARGUMENTS_UNSERIALIZABLE',
      `The text ${JSON.stringify(value.slice(0, 100))} has half a surrogate pair, which this format cannot hold. Cut text ` +
        'between characters, not within one, or use JSON.',
    )
  }
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return
  for (const [key, item] of Object.entries(value)) {
    assertText(key)
    assertText(item)
  }
}
