import type { Body } from '../../contract/index.ts'

/** A body as bytes: a transport may hand back either form, whatever was sent. */
export function bytesOf(body: Body): Uint8Array {
  return typeof body === 'string' ? new TextEncoder().encode(body) : body
}

export function textOf(body: Body): string {
  return typeof body === 'string' ? body : new TextDecoder('utf-8', { ignoreBOM: true }).decode(body)
}

/** Short and exact, for comparisons whose failure must stay readable. */
export function hexOf(body: Body): string {
  return Buffer.from(bytesOf(body)).toString('hex')
}

/** Bodies that adapters have been seen to damage, by what they are. */
export const AWKWARD_BODIES: readonly (readonly [what: string, body: Body])[] = [
  ['an empty body', ''],
  ['text with NUL', 'before\u0000after'],
  ['text beyond the basic plane', 'héllo 😀 \u{1F1EB}\u{1F1EE} \uFEFF'],
  ['1 MiB of text', 'kiq '.repeat(256 * 1024)],
  ['all 256 byte values', Uint8Array.from({ length: 256 }, (_, index) => index)],
]
