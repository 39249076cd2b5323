import { MessageError } from '../contract/index.ts'
import { BATCH, hasHeader, MAX_DEPTH, MAX_INTEGER_BYTES, OBJECT_OPS, OP, UNUSED_OPS } from './pickle-format.ts'
import { decodeText, MAX_TEXT_BYTES } from './pickle-text.ts'

/** Room for a full batch of pairs on every level: what Python writes within the depth never needs more. */
const MAX_STACK = MAX_DEPTH * (2 * BATCH + 2)

/** How much larger than the pickle a value may be when every shared part of it is counted each time it occurs. */
const MAX_SHARED_SIZE = 2 ** 26

const NO_SCALAR = Symbol('no scalar')

/** A list, tuple or dict, and what must be known of it when it becomes part of another one. */
class Container {
  readonly value: unknown[] | Record<string, unknown>
  /** Containers within each other, this one included. */
  levels = 1
  /** Values, characters and bytes in it, shared parts counted each time: what whoever walks through it meets. */
  size = 1
  /** Part of another, or referred to. It changes no more, so that nothing can come to contain itself. */
  sealed = false

  constructor(value: unknown[] | Record<string, unknown>) {
    this.value = value
  }
}

/**
 * Reads a pickle of plain data. It is a machine for building values and nothing else: there is no opcode here that
 * looks up a name or calls anything.
 *
 * @throws {MessageError} `KIQ_MESSAGE_UNDECODABLE` for everything else, with opcode and position.
 */
export function readPickle(bytes: Uint8Array): unknown {
  return new PickleReader(bytes).read()
}

class PickleReader {
  readonly #bytes: Buffer
  readonly #maxSize: number
  readonly #memo: unknown[] = []
  readonly #marks: number[] = []
  readonly #stack: unknown[] = []
  /** Values on the stack; what lies beyond them is old. */
  #height = 0
  /** Lowest position that may be taken from the stack: that of the last mark. */
  #floor = 0
  #at = 0
  #opcodeAt = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    // Each value and each character takes a byte at least, so that only sharing can exceed this.
    this.#maxSize = bytes.length + MAX_SHARED_SIZE
  }

  read(): unknown {
    this.#header()
    for (;;) {
      this.#opcodeAt = this.#at
      const opcode = this.#uint8()
      if (opcode === OP.STOP) return this.#result()
      const scalar = this.#scalar(opcode)
      if (scalar === NO_SCALAR) this.#structure(opcode)
      else this.#push(scalar)
    }
  }

  #header(): void {
    if (!hasHeader(this.#bytes)) {
      const found = this.#bytes.length === 0 ? 'is empty' : `begins with ${this.#bytes.toString('hex', 0, 2)}`
      throw unreadable(
        `it ${found}, and not with 80 and a protocol from 02 to 05. Read it with the serializer that wrote it`,
      )
    }
    this.#at = 2
  }

  #result(): unknown {
    if (this.#at !== this.#bytes.length) throw this.#broken('the pickle ends, and more bytes follow')
    if (this.#height !== 1 || this.#marks.length > 0) {
      throw this.#broken(
        `the pickle ends with ${this.#height} values and ${this.#marks.length} open marks, not one value`,
      )
    }
    return valueOf(this.#stack[0])
  }

  /** @returns What the opcode stands for, or {@link NO_SCALAR}. */
  #scalar(opcode: number): unknown {
    switch (opcode) {
      case OP.SHORT_BINUNICODE:
        return this.#text(this.#uint8())
      case OP.BINUNICODE:
        return this.#text(this.#uint32())
      case OP.BINUNICODE8:
        return this.#text(this.#uint64())
      case OP.BININT1:
        return this.#uint8()
      case OP.BININT2:
        return this.#bytes.readUInt16LE(this.#take(2))
      case OP.BININT:
        return this.#bytes.readInt32LE(this.#take(4))
      case OP.LONG1:
        return this.#integer(this.#uint8())
      case OP.LONG4:
        return this.#integer(this.#uint32())
      case OP.BINFLOAT:
        return this.#bytes.readDoubleBE(this.#take(8))
      case OP.NONE:
        return null
      case OP.NEWTRUE:
        return true
      case OP.NEWFALSE:
        return false
      case OP.SHORT_BINBYTES:
        return this.#binary(this.#uint8())
      case OP.BINBYTES:
        return this.#binary(this.#uint32())
      case OP.BINBYTES8:
        return this.#binary(this.#uint64())
      default:
        return NO_SCALAR
    }
  }

  #structure(opcode: number): void {
    switch (opcode) {
      case OP.MEMOIZE:
        this.#memoize(this.#memo.length)
        break
      case OP.BINPUT:
        this.#memoize(this.#uint8())
        break
      case OP.LONG_BINPUT:
        this.#memoize(this.#uint32())
        break
      case OP.BINGET:
        this.#recall(this.#uint8())
        break
      case OP.LONG_BINGET:
        this.#recall(this.#uint32())
        break
      case OP.MARK:
        this.#mark()
        break
      case OP.FRAME:
        this.#frame()
        break
      default:
        this.#container(opcode)
    }
  }

  #container(opcode: number): void {
    switch (opcode) {
      case OP.EMPTY_DICT:
        this.#push(new Container({}))
        break
      case OP.EMPTY_LIST:
        this.#push(new Container([]))
        break
      case OP.SETITEM:
        this.#setItems(this.#height - 2)
        break
      case OP.SETITEMS:
        this.#setItems(this.#unmark())
        break
      case OP.APPEND:
        this.#appendItems(this.#height - 1)
        break
      case OP.APPENDS:
        this.#appendItems(this.#unmark())
        break
      case OP.EMPTY_TUPLE:
        this.#tuple(this.#height)
        break
      case OP.TUPLE1:
        this.#tuple(this.#height - 1)
        break
      case OP.TUPLE2:
        this.#tuple(this.#height - 2)
        break
      case OP.TUPLE3:
        this.#tuple(this.#height - 3)
        break
      case OP.TUPLE:
        this.#tuple(this.#unmark())
        break
      default:
        throw this.#refused(opcode)
    }
  }

  #push(value: unknown): void {
    if (this.#height === MAX_STACK) throw this.#broken(`more than ${MAX_STACK} values wait for their list or dict`)
    this.#stack[this.#height] = value
    this.#height += 1
  }

  #text(length: number): string {
    const start = this.#take(length)
    if (length > MAX_TEXT_BYTES) throw this.#broken(`a text has ${length} bytes, more than ${MAX_TEXT_BYTES}`)
    try {
      return decodeText(this.#bytes, start, this.#at)
    } catch (error) {
      throw this.#broken('a text is not UTF-8', error)
    }
  }

  #binary(length: number): Uint8Array {
    const start = this.#take(length)
    return new Uint8Array(this.#bytes.subarray(start, this.#at))
  }

  #integer(length: number): number | bigint {
    const start = this.#take(length)
    if (length > MAX_INTEGER_BYTES) throw this.#broken(`an integer has ${length} bytes, more than ${MAX_INTEGER_BYTES}`)
    return length === 0 ? 0 : readInteger(this.#bytes, start, length)
  }

  #frame(): void {
    const length = this.#uint64()
    if (length > this.#bytes.length - this.#at) throw this.#broken('it is cut off')
  }

  #memoize(index: number): void {
    // Python counts from 0 too. Other numbers would allow a memo far larger than the pickle.
    if (index !== this.#memo.length) {
      throw this.#broken(`a value is remembered as number ${index}, not as ${this.#memo.length}`)
    }
    if (this.#height <= this.#floor) throw this.#broken('a value is remembered where there is none')
    const value = this.#stack[this.#height - 1]
    // Python never does that either; a huge one could be had a million times for two bytes each.
    if (typeof value === 'bigint') throw this.#broken('an integer is remembered')
    this.#memo.push(value)
  }

  #recall(index: number): void {
    if (index >= this.#memo.length) throw this.#broken(`it refers to value ${index}, which is not there`)
    const value = this.#memo[index]
    if (value instanceof Container) value.sealed = true
    this.#push(value)
  }

  #mark(): void {
    // Each open mark is of a container within that of the mark before.
    if (this.#marks.length === MAX_DEPTH) throw this.#tooDeep()
    this.#marks.push(this.#height)
    this.#floor = this.#height
  }

  /** @returns Position of the first value after the mark. */
  #unmark(): number {
    const mark = this.#marks.pop()
    if (mark === undefined) throw this.#broken('items end that have not begun')
    this.#floor = this.#marks.at(-1) ?? 0
    return mark
  }

  #appendItems(from: number): void {
    const target = this.#targetOf(from)
    const list = target.value
    if (!Array.isArray(list)) throw this.#broken('items are appended to what is no list')
    for (let i = from; i < this.#height; i += 1) list.push(this.#adopt(target, this.#stack[i]))
    this.#shrink(target, from)
  }

  #setItems(from: number): void {
    const target = this.#targetOf(from)
    const dict = target.value
    if (Array.isArray(dict)) throw this.#broken('keys are set on what is no dict')
    if ((this.#height - from) % 2 !== 0) throw this.#broken('a key has no value')
    for (let i = from; i < this.#height; i += 2) {
      const key = this.#stack[i]
      if (typeof key !== 'string') throw this.#broken('a key of a dict is not text; JSON has no other keys either')
      target.size += sizeOf(key)
      setOwn(dict, key, this.#adopt(target, this.#stack[i + 1]))
    }
    this.#shrink(target, from)
  }

  #tuple(from: number): void {
    if (from < this.#floor) throw this.#broken('a tuple is made of values that are not there')
    const list: unknown[] = []
    const tuple = new Container(list)
    for (let i = from; i < this.#height; i += 1) list.push(this.#adopt(tuple, this.#stack[i]))
    tuple.sealed = true
    this.#shrink(tuple, from)
    this.#push(tuple)
  }

  /** The container below the values from a position on, to which they are added. */
  #targetOf(from: number): Container {
    const target = from > this.#floor ? this.#stack[from - 1] : undefined
    if (!(target instanceof Container)) throw this.#broken('values are added to what is no list and no dict')
    if (target.sealed) {
      throw this.#broken('a list or dict is changed after it was used; what contains itself cannot be read')
    }
    return target
  }

  /** The value as it stands in a container. */
  #adopt(container: Container, item: unknown): unknown {
    if (!(item instanceof Container)) {
      container.size += sizeOf(item)
      return item
    }
    item.sealed = true
    container.size += item.size
    if (item.levels >= container.levels) {
      if (item.levels === MAX_DEPTH) throw this.#tooDeep()
      container.levels = item.levels + 1
    }
    return item.value
  }

  /** Ends what has been added to a container. */
  #shrink(container: Container, height: number): void {
    this.#height = height
    if (container.size > this.#maxSize) {
      throw this.#broken(`it refers to the same parts so often that it has more than ${this.#maxSize} values`)
    }
  }

  #uint8(): number {
    return this.#bytes[this.#take(1)] as number
  }

  #uint32(): number {
    return this.#bytes.readUInt32LE(this.#take(4))
  }

  #uint64(): number {
    return Number(this.#bytes.readBigUInt64LE(this.#take(8)))
  }

  /** @returns Where these bytes begin. */
  #take(count: number): number {
    const start = this.#at
    if (count > this.#bytes.length - start) throw this.#broken('it is cut off')
    this.#at = start + count
    return start
  }

  #refused(opcode: number): MessageError {
    const hex = `0x${opcode.toString(16).padStart(2, '0')}`
    const position = this.#opcodeAt
    const object = OBJECT_OPS.get(opcode)
    if (object !== undefined) {
      return unreadable(
        `opcode ${object} (${hex}) at byte ${position} asks for an object of Python, and only plain data is read. ` +
          'Store None, bool, int, float, str, list and dict on the Python side, or use its JSONSerializer',
      )
    }
    const unused = UNUSED_OPS.get(opcode)
    if (unused === undefined) return unreadable(`byte ${position} (${hex}) is not an opcode of pickle`)
    return unreadable(
      `opcode ${unused} (${hex}) at byte ${position} is not one of those that Python writes for None, bool, int, float, ` +
        'str, list and dict. Store only these, with protocol 2 to 5',
    )
  }

  #tooDeep(): MessageError {
    return this.#broken(`it is nested deeper than ${MAX_DEPTH} levels`)
  }

  #broken(why: string, cause?: unknown): MessageError {
    return unreadable(`${why} (opcode at byte ${this.#opcodeAt} of ${this.#bytes.length})`, cause)
  }
}

function sizeOf(scalar: unknown): number {
  return typeof scalar === 'string' || scalar instanceof Uint8Array ? 1 + scalar.length : 1
}

function valueOf(item: unknown): unknown {
  return item instanceof Container ? item.value : item
}

function setOwn(dict: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') dict[key] = value
  // As JSON.parse does: assigning would change the prototype.
  else Object.defineProperty(dict, key, { value, writable: true, enumerable: true, configurable: true })
}

/** Two's complement, the lowest byte first. A number where it is exact, as from JSON. */
function readInteger(bytes: Buffer, start: number, length: number): number | bigint {
  if (length <= 6) return bytes.readIntLE(start, length)
  const digits = Buffer.from(bytes.subarray(start, start + length))
    .reverse()
    .toString('hex')
  const value = BigInt.asIntN(length * 8, BigInt(`0x${digits}`))
  const narrow = Number(value)
  return Number.isSafeInteger(narrow) ? narrow : value
}

function unreadable(why: string, cause?: unknown): MessageError {
  return new MessageError('KIQ_MESSAGE_UNDECODABLE', `The pickle cannot be read: ${why}.`, { cause })
}
