import type { Body, Serializer } from '../contract/index.ts'
import { widenIntegers } from './integers.ts'
import { requirePeer, toBytes } from './peer.ts'

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

  /** @throws {ConfigError} `KIQ_PEER_MISSING` */
  constructor() {
    const { Packr } = requirePeer('msgpackr', 'MsgPackSerializer') as { Packr: new (options: object) => Packr }
    this.#packr = new Packr({ useRecords: false, int64AsType: 'auto', mapsAsObjects: true, useTimestamp32: false })
  }

  dumpb(value: unknown): Body {
    // msgpackr reuses the buffer it returns a part of; a message may wait in a batch meanwhile.
    return Uint8Array.from(this.#packr.pack(widenIntegers(value)))
  }

  loadb(body: Body): unknown {
    return this.#packr.unpack(toBytes(body))
  }
}
