export { CborSerializer } from './cbor.ts'
export { MsgPackSerializer } from './msgpack.ts'
