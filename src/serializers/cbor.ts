import type { Body, Serializer } from '../contract/index.ts'
import { expandStringRefs } from './cbor-string-refs.ts'
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
    return Uint8Array.from(this.#encoder.encode(value))
  }

  loadb(body: Body): unknown {
    return this.#encoder.decode(expandStringRefs(toBytes(body)))
  }
}
