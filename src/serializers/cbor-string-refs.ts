import { MessageError } from '../contract/index.ts'

const TAG_NAMESPACE = 256
const TAG_REFERENCE = 25
const BREAK = 0xff
const MAX_DEPTH = 1_000

interface Head {
  readonly major: number
  /** Value, length or tag number; `undefined` = indefinite length. */
  readonly argument: number | undefined
  /** First byte after the head. */
  readonly end: number
}

/**
 * Rewrites a CBOR document whose repeated strings are references into one without: Python's encoder writes them by
 * default, and cbor-x does not resolve them. A document without the namespace tag is returned as it is.
 *
 * @see {@link http://cbor.schmorp.de/stringref} for the tags and the rule which strings are counted.
 * @throws {MessageError} `KIQ_MESSAGE_UNDECODABLE` when the document is cut off or refers to a string that is not there.
 */
export function expandStringRefs(bytes: Uint8Array): Uint8Array {
  const { major, argument } = readHead(bytes, 0)
  if (major !== 6 || argument !== TAG_NAMESPACE) return bytes
  const out: Uint8Array[] = []
  const end = copyItem(bytes, 0, { out, strings: undefined, depth: 0 })
  if (end !== bytes.length) throw broken('it goes on after its end')
  return Buffer.concat(out)
}

interface Target {
  readonly out: Uint8Array[]
  /** Strings of the namespace so far, as encoded; `undefined` outside of one. */
  readonly strings: Uint8Array[] | undefined
  readonly depth: number
}

/** @returns Position after the item. */
function copyItem(bytes: Uint8Array, start: number, target: Target): number {
  if (target.depth > MAX_DEPTH) throw broken(`it is nested deeper than ${MAX_DEPTH} levels`)
  const { major, argument, end } = readHead(bytes, start)
  const inner = { ...target, depth: target.depth + 1 }
  switch (major) {
    case 2:
    case 3:
      return copyString(bytes, start, { major, argument, end }, target)
    case 4:
    case 5:
      target.out.push(bytes.subarray(start, end))
      return copyItems(bytes, end, argument === undefined ? undefined : argument * (major - 3), inner)
    case 6:
      if (argument === TAG_NAMESPACE) return copyItem(bytes, end, { ...inner, strings: [] })
      if (argument === TAG_REFERENCE && target.strings) return copyReference(bytes, end, target)
      target.out.push(bytes.subarray(start, end))
      return copyItem(bytes, end, inner)
    default:
      target.out.push(bytes.subarray(start, end))
      return end
  }
}

/** @param count - `undefined` = until the break code. */
function copyItems(bytes: Uint8Array, start: number, count: number | undefined, target: Target): number {
  let position = start
  for (let i = 0; count === undefined || i < count; i += 1) {
    if (count === undefined && bytes[position] === BREAK) {
      target.out.push(bytes.subarray(position, position + 1))
      return position + 1
    }
    position = copyItem(bytes, position, target)
  }
  return position
}

function copyString(bytes: Uint8Array, start: number, head: Head, target: Target): number {
  const { argument: length, end: content } = head
  if (length === undefined) {
    target.out.push(bytes.subarray(start, content))
    return copyItems(bytes, content, undefined, { ...target, strings: undefined })
  }
  const end = content + length
  if (end > bytes.length) throw broken('it is cut off')
  const encoded = bytes.subarray(start, end)
  target.out.push(encoded)
  if (target.strings && length >= shortestCounted(target.strings.length)) target.strings.push(encoded)
  return end
}

function copyReference(bytes: Uint8Array, start: number, target: Target): number {
  const { major, argument, end } = readHead(bytes, start)
  const found = major === 0 && argument !== undefined ? target.strings?.[argument] : undefined
  if (found === undefined) throw broken(`it refers to string ${String(argument)}, which is not there`)
  target.out.push(found)
  return end
}

/** Strings for which a reference would not be shorter are not counted. */
function shortestCounted(nextIndex: number): number {
  if (nextIndex < 24) return 3
  if (nextIndex < 256) return 4
  if (nextIndex < 65_536) return 5
  return nextIndex < 2 ** 32 ? 7 : 11
}

function readHead(bytes: Uint8Array, start: number): Head {
  const first = bytes[start]
  if (first === undefined) throw broken('it is cut off')
  const major = first >> 5
  const info = first & 0x1f
  if (info < 24) return { major, argument: info, end: start + 1 }
  if (info === 31) return { major, argument: undefined, end: start + 1 }
  if (info > 27) throw broken(`byte ${start} is not the start of an item`)
  const size = 1 << (info - 24)
  if (start + 1 + size > bytes.length) throw broken('it is cut off')
  const view = new DataView(bytes.buffer, bytes.byteOffset + start + 1, size)
  const argument =
    size === 1 ? view.getUint8(0) : size === 2 ? view.getUint16(0) : size === 4 ? view.getUint32(0) : wide(view)
  return { major, argument, end: start + 1 + size }
}

function wide(view: DataView): number {
  return Number(view.getBigUint64(0))
}

function broken(why: string): MessageError {
  return new MessageError('KIQ_MESSAGE_UNDECODABLE', `The CBOR document cannot be read: ${why}.`)
}
