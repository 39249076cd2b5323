export { decodeInfer } from './decode.ts'
export { encodeInfer } from './encode.ts'
export { modelMetadata, serverMetadata } from './metadata.ts'
