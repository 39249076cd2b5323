import { MessageError } from '../contract/index.ts'
import type { Body, Serializer } from '../contract/index.ts'
import { expandStringRefs } from './cbor-string-refs.ts'
import { narrowIntegers, widenIntegers } from './integers.ts'
import { requirePeer, toBytes } from './peer.ts'

interface Encoder {
  encode(value: unknown): Uint8Array
  decode(bytes: Uint8Array): unknown
}

/**
 * CBOR as Python's `CBORSerializer` reads and writes it, string references (tags 256 and 25) included. Needs the package
 * `cbor-x`. Integers of any size.
 */
export class CborSerializer implements Serializer {
  readonly name = 'cbor'
  readonly #encoder: Encoder

  /** @throws {ConfigError} `KIQ_PEER_MISSING` */
  constructor() {
    const { Encoder } = requirePeer('cbor-x', 'CborSerializer') as { Encoder: new (options: object) => Encoder }
    this.#encoder = new Encoder({ useRecords: false, mapsAsObjects: true, variableMapSize: true })
  }

  dumpb(value: unknown): Body {
    return Uint8Array.from(this.#encoder.encode(widenIntegers(value)))
  }

  loadb(body: Body): unknown {
    const value = this.#encoder.decode(expandStringRefs(toBytes(body)))
    refuseTags(value)
    return narrowIntegers(value)
  }
}

/** What the library does not know comes back as an object of its own, which no task expects. */
function refuseTags(value: unknown): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Date) return
  if (value.constructor.name === 'Tag' && 'tag' in value) {
    throw new MessageError(
      'KIQ_MESSAGE_UNDECODABLE',
      `The CBOR document has tag ${String(value.tag)}, which has no JavaScript value here. Send plain data.`,
    )
  }
  for (const item of Object.values(value)) refuseTags(item)
}
