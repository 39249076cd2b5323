import type { Body, Serializer } from '../contract/index.ts'
import { widenIntegers } from './integers.ts'
import { requirePeer, toBytes } from './peer.ts'
import { hasProtoKey, objectsFromMaps } from './proto-keys.ts'
import { assertWellFormed } from './well-formed.ts'

interface Packr {
  pack(value: unknown): Uint8Array
  unpack(bytes: Uint8Array): unknown
}

/**
 * MessagePack as Python's `MsgPackSerializer` reads and writes it. Needs the package `msgpackr`. Integers up to 64 bits;
 * larger bigints are refused, not rounded.
 */
export class MsgPackSerializer implements Serializer {
  readonly name = 'msgpack'
  readonly #packr: Packr
  readonly #mapReader: Packr

  /** @throws {ConfigError} `KIQ_PEER_MISSING` */
  constructor() {
    const { Packr } = requirePeer('msgpackr', 'MsgPackSerializer') as { Packr: new (options: object) => Packr }
    const options = { useRecords: false, int64AsType: 'auto', useTimestamp32: false }
    this.#packr = new Packr({ ...options, mapsAsObjects: true })
    this.#mapReader = new Packr({ ...options, mapsAsObjects: false })
  }

  dumpb(value: unknown): Body {
    // msgpackr reuses the buffer it returns a part of; a message may wait in a batch meanwhile.
    const bytes = Uint8Array.from(this.#packr.pack(widenIntegers(value)))
    assertWellFormed(value, bytes)
    return bytes
  }

  loadb(body: Body): unknown {
    const bytes = toBytes(body)
    return hasProtoKey(bytes) ? objectsFromMaps(this.#mapReader.unpack(bytes)) : this.#packr.unpack(bytes)
  }
}
