/** Opcodes that plain data consists of, by the names they have in Python's `pickletools`. */
export const OP = {
  MARK: 0x28,
  EMPTY_TUPLE: 0x29,
  STOP: 0x2e,
  BINBYTES: 0x42,
  SHORT_BINBYTES: 0x43,
  BINFLOAT: 0x47,
  BININT: 0x4a,
  BININT1: 0x4b,
  BININT2: 0x4d,
  NONE: 0x4e,
  BINUNICODE: 0x58,
  EMPTY_LIST: 0x5d,
  APPEND: 0x61,
  APPENDS: 0x65,
  BINGET: 0x68,
  LONG_BINGET: 0x6a,
  BINPUT: 0x71,
  LONG_BINPUT: 0x72,
  SETITEM: 0x73,
  TUPLE: 0x74,
  SETITEMS: 0x75,
  EMPTY_DICT: 0x7d,
  PROTO: 0x80,
  TUPLE1: 0x85,
  TUPLE2: 0x86,
  TUPLE3: 0x87,
  NEWTRUE: 0x88,
  NEWFALSE: 0x89,
  LONG1: 0x8a,
  LONG4: 0x8b,
  SHORT_BINUNICODE: 0x8c,
  BINUNICODE8: 0x8d,
  BINBYTES8: 0x8e,
  MEMOIZE: 0x94,
  FRAME: 0x95,
} as const

/** Opcodes with which Python imports, calls or asks its program for something. None is ever carried out here. */
export const OBJECT_OPS: ReadonlyMap<number, string> = new Map([
  [0x50, 'PERSID'],
  [0x51, 'BINPERSID'],
  [0x52, 'REDUCE'],
  [0x62, 'BUILD'],
  [0x63, 'GLOBAL'],
  [0x69, 'INST'],
  [0x6f, 'OBJ'],
  [0x81, 'NEWOBJ'],
  [0x82, 'EXT1'],
  [0x83, 'EXT2'],
  [0x84, 'EXT4'],
  [0x92, 'NEWOBJ_EX'],
  [0x93, 'STACK_GLOBAL'],
  [0x97, 'NEXT_BUFFER'],
  [0x98, 'READONLY_BUFFER'],
])

/** Opcodes that do no harm and that Python does not write for what JSON can hold. */
export const UNUSED_OPS: ReadonlyMap<number, string> = new Map([
  [0x30, 'POP'],
  [0x31, 'POP_MARK'],
  [0x32, 'DUP'],
  [0x46, 'FLOAT'],
  [0x49, 'INT'],
  [0x4c, 'LONG'],
  [0x53, 'STRING'],
  [0x54, 'BINSTRING'],
  [0x55, 'SHORT_BINSTRING'],
  [0x56, 'UNICODE'],
  [0x64, 'DICT'],
  [0x67, 'GET'],
  [0x6c, 'LIST'],
  [0x70, 'PUT'],
  [OP.PROTO, 'PROTO'],
  [0x8f, 'EMPTY_SET'],
  [0x90, 'ADDITEMS'],
  [0x91, 'FROZENSET'],
  [0x96, 'BYTEARRAY8'],
])

/** Protocols whose pickles begin with a header. */
export const PROTOCOLS = { first: 2, last: 5 } as const

/** Whether there is a header of these protocols. */
export function hasHeader(bytes: Uint8Array): boolean {
  const protocol = bytes[1] ?? 0
  return bytes[0] === OP.PROTO && protocol >= PROTOCOLS.first && protocol <= PROTOCOLS.last
}

/** Levels of lists and dicts within each other, for reading and writing. */
export const MAX_DEPTH = 1_000

/** Items or pairs that one APPENDS or SETITEMS takes, as Python writes them; so a reader need not hold more at once. */
export const BATCH = 1_000

/** Bytes of one integer. More than anybody counts, and far below what the engine can hold. */
export const MAX_INTEGER_BYTES: number = 2 ** 20
