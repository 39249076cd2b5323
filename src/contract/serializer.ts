import type { Body } from './message.ts'

/**
 * Value ⇄ bytes. Gets values that are already plain: `null`, booleans, numbers, bigints, strings, arrays and plain
 * objects. Must be able to read what Python's serializer of the same name writes.
 */
export interface Serializer {
  /** For messages about a failure, for example `json`. */
  readonly name: string
  /** @throws when the value cannot be represented, for example a bigint beyond 64 bits in MsgPack. */
  dumpb(value: unknown): Body
  /** @throws when the bytes are not of this format. */
  loadb(body: Body): unknown
}
