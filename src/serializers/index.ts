export { CborSerializer } from './cbor.ts'
export { MsgPackSerializer } from './msgpack.ts'
export { PickleSerializer } from './pickle.ts'
