import { MessageError } from '../contract/index.ts'
import type { Body, Serializer } from '../contract/index.ts'
import { expandStringRefs } from './cbor-string-refs.ts'
import { narrowIntegers, widenIntegers } from './integers.ts'
import { requirePeer, toBytes } from './peer.ts'
import { hasProtoKey, objectsFromMaps } from './proto-keys.ts'
import { assertWellFormed } from './well-formed.ts'

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
  readonly #mapReader: Encoder

  /** @throws {ConfigError} `KIQ_PEER_MISSING` */
  constructor() {
    const { Encoder } = requirePeer('cbor-x', 'CborSerializer') as { Encoder: new (options: object) => Encoder }
    this.#encoder = new Encoder({ useRecords: false, mapsAsObjects: true, variableMapSize: true })
    this.#mapReader = new Encoder({ useRecords: false, mapsAsObjects: false })
  }

  dumpb(value: unknown): Body {
    const bytes = Uint8Array.from(this.#encoder.encode(widenIntegers(value)))
    assertWellFormed(value, bytes)
    return bytes
  }

  loadb(body: Body): unknown {
    const bytes = expandStringRefs(toBytes(body))
    const value = hasProtoKey(bytes) ? objectsFromMaps(this.#mapReader.decode(bytes)) : this.#encoder.decode(bytes)
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
