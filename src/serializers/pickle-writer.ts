import { MessageError } from '../contract/index.ts'
import { show } from '../util/show.ts'
import { BATCH, MAX_DEPTH, MAX_INTEGER_BYTES, OP, PROTOCOLS } from './pickle-format.ts'
import { encodeText, hasLoneSurrogates } from './pickle-text.ts'

const INT32_MIN = -(2 ** 31)
const INT32_MAX = 2 ** 31 - 1
const UINT32_MAX = 2 ** 32 - 1

/** The first protocol that has bytes. */
const BYTES_PROTOCOL = 3

/**
 * Writes plain data as a pickle of protocol 2, without memo and frames; every Python 3 reads it.
 *
 * @throws {MessageError} `KIQ_ARGUMENTS_UNSERIALIZABLE` naming the value that is not plain.
 */
export function writePickle(value: unknown): Uint8Array {
  return new PickleWriter().write(value)
}

class PickleWriter {
  #bytes = Buffer.allocUnsafe(512)
  #length = 2
  #protocol: number = PROTOCOLS.first

  write(value: unknown): Uint8Array {
    this.#value(value, 0)
    this.#byte(OP.STOP)
    this.#bytes[0] = OP.PROTO
    this.#bytes[1] = this.#protocol
    // A copy: small buffers are parts of a larger one that others write to.
    return new Uint8Array(this.#bytes.subarray(0, this.#length))
  }

  #value(value: unknown, depth: number): void {
    switch (typeof value) {
      case 'string':
        this.#text(value)
        break
      case 'number':
        this.#number(value)
        break
      case 'bigint':
        this.#integer(value)
        break
      case 'boolean':
        this.#byte(value ? OP.NEWTRUE : OP.NEWFALSE)
        break
      case 'undefined':
        this.#byte(OP.NONE)
        break
      case 'object':
        if (value === null) this.#byte(OP.NONE)
        else this.#object(value, depth)
        break
      case 'function':
      case 'symbol':
        throw notPlain(value, `a ${typeof value}`)
    }
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      this.#smallInteger(value)
    } else {
      const at = this.#opcode(OP.BINFLOAT, 8)
      this.#bytes.writeDoubleBE(value, at)
    }
  }

  #smallInteger(value: number): void {
    if (value >= 0 && value <= 0xff) {
      const at = this.#opcode(OP.BININT1, 1)
      this.#bytes[at] = value
    } else if (value >= 0 && value <= 0xffff) {
      const at = this.#opcode(OP.BININT2, 2)
      this.#bytes.writeUInt16LE(value, at)
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
      const at = this.#opcode(OP.BININT, 4)
      this.#bytes.writeInt32LE(value, at)
    } else {
      this.#longInteger(BigInt(value))
    }
  }

  #integer(value: bigint): void {
    const narrow = Number(value)
    if (Number.isSafeInteger(narrow)) this.#smallInteger(narrow)
    else this.#longInteger(value)
  }

  /** Two's complement, the lowest byte first, with as few bytes as have room for the sign. */
  #longInteger(value: bigint): void {
    const count = Math.floor(bitLength(value < 0n ? ~value : value) / 8) + 1
    if (count > MAX_INTEGER_BYTES) {
      throw unserializable(`An integer has ${count} bytes, more than ${MAX_INTEGER_BYTES}. Send it as text.`)
    }
    const short = count <= 0xff
    const at = this.#opcode(short ? OP.LONG1 : OP.LONG4, (short ? 1 : 4) + count)
    if (short) this.#bytes[at] = count
    else this.#bytes.writeUInt32LE(count, at)
    const start = at + (short ? 1 : 4)
    const digits = BigInt.asUintN(count * 8, value).toString(16)
    this.#bytes.write(digits.padStart(count * 2, '0'), start, 'hex')
    this.#bytes.subarray(start, start + count).reverse()
  }

  #text(text: string): void {
    const count = Buffer.byteLength(text)
    const at = this.#opcode(OP.BINUNICODE, 4 + count)
    this.#bytes.writeUInt32LE(count, at)
    if (count === text.length || !hasLoneSurrogates(text)) this.#bytes.write(text, at + 4)
    else encodeText(text, this.#bytes, at + 4)
  }

  #binary(bytes: Uint8Array): void {
    if (bytes.length > UINT32_MAX) {
      throw unserializable(`A value has ${bytes.length} bytes, more than ${UINT32_MAX}. Send a reference to it.`)
    }
    this.#protocol = BYTES_PROTOCOL
    const at = this.#opcode(OP.BINBYTES, 4 + bytes.length)
    this.#bytes.writeUInt32LE(bytes.length, at)
    this.#bytes.set(bytes, at + 4)
  }

  #object(value: object, depth: number): void {
    if (value instanceof Uint8Array) {
      this.#binary(value)
    } else if (depth >= MAX_DEPTH) {
      throw unserializable(
        `A value is nested deeper than ${MAX_DEPTH} levels, or contains itself. Flatten it, or send a reference to it.`,
      )
    } else if (Array.isArray(value)) {
      this.#list(value, depth)
    } else {
      const prototype: unknown = Object.getPrototypeOf(value)
      if (prototype !== Object.prototype && prototype !== null) throw notPlain(value, `a ${className(prototype)}`)
      this.#dict(value as Record<string, unknown>, depth)
    }
  }

  #list(items: readonly unknown[], depth: number): void {
    this.#byte(OP.EMPTY_LIST)
    for (let i = 0; i < items.length; i += 1) {
      if (i % BATCH === 0) this.#batch(i, OP.APPENDS)
      this.#value(items[i], depth + 1)
    }
    if (items.length > 0) this.#byte(OP.APPENDS)
  }

  #dict(value: Readonly<Record<string, unknown>>, depth: number): void {
    this.#byte(OP.EMPTY_DICT)
    const keys = Object.keys(value)
    for (const [i, key] of keys.entries()) {
      if (i % BATCH === 0) this.#batch(i, OP.SETITEMS)
      this.#text(key)
      this.#value(value[key], depth + 1)
    }
    if (keys.length > 0) this.#byte(OP.SETITEMS)
  }

  #batch(written: number, end: number): void {
    if (written > 0) this.#byte(end)
    this.#byte(OP.MARK)
  }

  #byte(byte: number): void {
    this.#opcode(byte, 0)
  }

  /** @returns Position of the argument, for which there is room now. */
  #opcode(opcode: number, argumentBytes: number): number {
    const at = this.#length
    const end = at + 1 + argumentBytes
    if (end > this.#bytes.length) this.#grow(end)
    this.#bytes[at] = opcode
    this.#length = end
    return at + 1
  }

  #grow(end: number): void {
    const larger = Buffer.allocUnsafe(Math.max(end, this.#bytes.length * 2))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }
}

/** Of an integer that is not negative. */
function bitLength(value: bigint): number {
  const digits = value.toString(16)
  return (digits.length - 1) * 4 + (32 - Math.clz32(parseInt(digits.charAt(0), 16)))
}

function className(prototype: unknown): string {
  const { constructor: made } = prototype as { constructor?: unknown }
  return typeof made === 'function' && made.name !== '' ? made.name : 'class instance'
}

function notPlain(value: unknown, what: string): MessageError {
  return unserializable(`${show(value)} is ${what} and has no form in pickle here. Convert it to plain data first.`)
}

function unserializable(message: string): MessageError {
  return new MessageError('KIQ_ARGUMENTS_UNSERIALIZABLE', message)
}
