import { describe, expect, it } from 'vitest'

import { OP } from './pickle-format.ts'
import { readPickle } from './pickle-reader.ts'
import { writePickle } from './pickle-writer.ts'

type Part = number | string | Uint8Array

/** Numbers are single bytes, text stands for its UTF-8. */
function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part))))
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}
const times = (count: number, ...parts: readonly Part[]): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => bytes(...parts)))

/** A pickle of protocol 4 with these opcodes and the end. */
const read = (...parts: readonly Part[]): unknown => readPickle(bytes(OP.PROTO, 4, ...parts, OP.STOP))

const unreadable = (message: string | RegExp): unknown =>
  expect.objectContaining({
    name: 'MessageError',
    code: 'KIQ_MESSAGE_UNDECODABLE',
    message: expect.stringMatching(message) as string,
  })

describe('opcodes', () => {
  it.each<[opcodes: string, parts: readonly Part[], value: unknown]>([
    ['NONE', [OP.NONE], null],
    ['NEWTRUE', [OP.NEWTRUE], true],
    ['NEWFALSE', [OP.NEWFALSE], false],
    ['BININT1', [OP.BININT1, 255], 255],
    ['BININT2', [OP.BININT2, 0xff, 0xff], 65_535],
    ['BININT', [OP.BININT, u32(0x8000_0000)], -(2 ** 31)],
    ['LONG1 of nothing', [OP.LONG1, 0], 0],
    ['LONG1', [OP.LONG1, 1, 0x80], -128],
    ['LONG1 of 6 bytes', [OP.LONG1, 6, Buffer.from('ffffffffff7f', 'hex')], 2 ** 47 - 1],
    ['LONG1 of 7 bytes', [OP.LONG1, 7, Buffer.from('010000000000e0', 'hex')], -Number.MAX_SAFE_INTEGER],
    ['LONG1 that is not safe', [OP.LONG1, 7, Buffer.from('000000000000e0', 'hex')], -(2n ** 53n)],
    ['LONG1 longer than need be', [OP.LONG1, 12, Buffer.alloc(12, 0xff)], -1],
    ['LONG4', [OP.LONG4, u32(300), Buffer.alloc(299), 1], 2n ** 2_392n],
    ['BINFLOAT', [OP.BINFLOAT, Buffer.from('c000000000000000', 'hex')], -2],
    ['SHORT_BINUNICODE', [OP.SHORT_BINUNICODE, 2, 'é'], 'é'],
    ['BINUNICODE', [OP.BINUNICODE, u32(4), '😀'], '😀'],
    ['BINUNICODE8', [OP.BINUNICODE8, u64(1n), 'a'], 'a'],
    ['a surrogate without its other half', [OP.SHORT_BINUNICODE, 4, Buffer.from('61edbfbf', 'hex')], 'a\udfff'],
    ['two halves', [OP.SHORT_BINUNICODE, 6, Buffer.from('eda0bdedb880', 'hex')], '😀'],
    ['a byte order mark and a replacement character', [OP.SHORT_BINUNICODE, 6, '\ufeff\ufffd'], '\ufeff\ufffd'],
    ['SHORT_BINBYTES', [OP.SHORT_BINBYTES, 2, 0xff, 0], new Uint8Array([255, 0])],
    ['BINBYTES', [OP.BINBYTES, u32(1), 7], new Uint8Array([7])],
    ['BINBYTES8', [OP.BINBYTES8, u64(0n)], new Uint8Array()],
    ['EMPTY_LIST', [OP.EMPTY_LIST], []],
    ['APPEND', [OP.EMPTY_LIST, OP.NONE, OP.APPEND], [null]],
    ['APPENDS', [OP.EMPTY_LIST, OP.MARK, OP.NONE, OP.NEWTRUE, OP.APPENDS], [null, true]],
    ['APPENDS of nothing', [OP.EMPTY_LIST, OP.MARK, OP.APPENDS], []],
    [
      'several batches',
      [OP.EMPTY_LIST, times(3, OP.MARK, OP.NONE, OP.APPENDS), OP.NEWTRUE, OP.APPEND],
      [null, null, null, true],
    ],
    ['EMPTY_DICT', [OP.EMPTY_DICT], {}],
    ['SETITEM', [OP.EMPTY_DICT, OP.SHORT_BINUNICODE, 1, 'a', OP.NONE, OP.SETITEM], { a: null }],
    [
      'SETITEMS, the last of two equal keys',
      [
        OP.EMPTY_DICT,
        OP.MARK,
        ...['a', 'b', 'a'].flatMap((key, i) => [OP.SHORT_BINUNICODE, 1, key, OP.BININT1, i]),
        OP.SETITEMS,
      ],
      { a: 2, b: 1 },
    ],
    ['EMPTY_TUPLE', [OP.EMPTY_TUPLE], []],
    ['TUPLE1', [OP.NONE, OP.TUPLE1], [null]],
    ['TUPLE2', [OP.NONE, OP.NEWTRUE, OP.TUPLE2], [null, true]],
    ['TUPLE3', [OP.NONE, OP.NEWTRUE, OP.NEWFALSE, OP.TUPLE3], [null, true, false]],
    ['TUPLE', [OP.MARK, OP.NONE, OP.EMPTY_TUPLE, OP.NONE, OP.NONE, OP.TUPLE], [null, [], null, null]],
    ['FRAME', [OP.FRAME, u64(2n), OP.NONE], null],
    ['MEMOIZE, BINGET', [OP.EMPTY_LIST, OP.MARK, OP.BININT1, 9, OP.MEMOIZE, OP.BINGET, 0, OP.APPENDS], [9, 9]],
    [
      'BINPUT, LONG_BINGET',
      [OP.EMPTY_LIST, OP.BINPUT, 0, OP.MARK, OP.BININT1, 9, OP.BINPUT, 1, OP.LONG_BINGET, u32(1), OP.APPENDS],
      [9, 9],
    ],
    ['LONG_BINPUT', [OP.EMPTY_LIST, OP.LONG_BINPUT, u32(0)], []],
  ])('reads %s', (_opcodes, parts, value) => {
    expect(read(...parts)).toEqual(value)
  })

  it.each([2, 3, 4, 5])('reads protocol %d', (protocol) => {
    expect(readPickle(bytes(OP.PROTO, protocol, OP.NONE, OP.STOP))).toBe(null)
  })

  it('reads what is referred to as the same object', () => {
    const inner = [OP.EMPTY_LIST, OP.MEMOIZE, OP.NONE, OP.APPEND]
    const [first, second] = read(OP.EMPTY_LIST, OP.MARK, ...inner, OP.BINGET, 0, OP.APPENDS) as unknown[]

    expect(first).toEqual([null])
    expect(second).toBe(first)
  })

  it('reads bytes as a copy of its own', () => {
    const body = bytes(OP.PROTO, 4, OP.SHORT_BINBYTES, 1, 7, OP.STOP)
    const value = readPickle(body)
    body.fill(0)

    expect(value).toEqual(new Uint8Array([7]))
  })

  /** Python would run a command for these. */
  it.each([
    ['GLOBAL', '63 6f730a73797374656d0a 8c026964 85 52'],
    ['STACK_GLOBAL', '8c026f73 8c0673797374656d 93 8c026964 85 52'],
    ['INST', '28 8c026964 69 6f730a73797374656d0a'],
    ['REDUCE', '4e 29 52'],
    ['BUILD', '7d 7d 62'],
    ['OBJ', '28 4e 6f'],
    ['NEWOBJ', '4e 29 81'],
    ['NEWOBJ_EX', '4e 29 7d 92'],
    ['EXT1', '82 01'],
    ['EXT2', '83 0100'],
    ['EXT4', '84 01000000'],
    ['PERSID', '50 69640a'],
    ['BINPERSID', '4e 51'],
    ['NEXT_BUFFER', '97'],
    ['READONLY_BUFFER', '7d 98'],
  ])('that reach code are refused: %s', (name, hex) => {
    expect(() => read(Buffer.from(hex.replaceAll(' ', ''), 'hex'))).toThrow(
      unreadable(
        new RegExp(
          `^The pickle cannot be read: opcode ${name} \\(0x[0-9a-f]{2}\\) at byte \\d+ asks for an object of Python, ` +
            'and only plain data is read\\. Store None, bool, int, float, str, list and dict on the Python side, ' +
            'or use its JSONSerializer\\.$',
        ),
      ),
    )
  })

  it('that Python does not write for data are refused', () => {
    expect(() => read(OP.EMPTY_LIST, 0x8f)).toThrow(
      unreadable(/opcode EMPTY_SET \(0x8f\) at byte 3 is not one of those that Python writes for None/),
    )
  })
})

const key = (name: string): Buffer => bytes(OP.SHORT_BINUNICODE, name.length, name)

describe('what is broken is refused:', () => {
  it.each<[what: string, parts: readonly Part[], message: RegExp]>([
    ['no value', [], /ends with 0 values/],
    ['two values', [OP.NONE, OP.NONE], /ends with 2 values/],
    ['an open mark', [OP.NONE, OP.MARK], /ends with 1 values and 1 open marks/],
    ['bytes after the end', [OP.NONE, OP.STOP], /the pickle ends, and more bytes follow/],
    ['a list item without a list', [OP.NONE, OP.APPEND], /added to what is no list/],
    ['items without a list', [OP.MARK, OP.NONE, OP.APPENDS], /added to what is no list/],
    ['items of a number', [OP.BININT1, 1, OP.NONE, OP.APPEND], /added to what is no list/],
    ['items of a dict', [OP.EMPTY_DICT, OP.NONE, OP.APPEND], /appended to what is no list/],
    ['keys of a list', [OP.EMPTY_LIST, key('a'), OP.NONE, OP.SETITEM], /set on what is no dict/],
    ['a list below a mark', [OP.EMPTY_LIST, OP.MARK, OP.NONE, OP.APPEND], /added to what is no list/],
    ['a list below two marks', [OP.EMPTY_LIST, OP.MARK, OP.MARK, OP.NONE, OP.APPENDS], /added to what is no list/],
    ['a tuple across a mark', [OP.NONE, OP.MARK, OP.NONE, OP.TUPLE2], /tuple is made of values that are not there/],
    ['a tuple of nothing', [OP.TUPLE1], /tuple is made of values that are not there/],
    ['an end without a mark', [OP.EMPTY_LIST, OP.APPENDS], /items end that have not begun/],
    ['a dict item without values', [OP.EMPTY_DICT, OP.SETITEM], /added to what is no list/],
    ['a key without a value', [OP.EMPTY_DICT, OP.MARK, key('a'), OP.SETITEMS], /a key has no value/],
    ['a number as key', [OP.EMPTY_DICT, OP.BININT1, 1, OP.NONE, OP.SETITEM], /a key of a dict is not text/],
    ['None as key', [OP.EMPTY_DICT, OP.NONE, OP.NONE, OP.SETITEM], /a key of a dict is not text/],
    ['a tuple as key', [OP.EMPTY_DICT, OP.EMPTY_TUPLE, OP.NONE, OP.SETITEM], /a key of a dict is not text/],
    ['bytes as key', [OP.EMPTY_DICT, OP.SHORT_BINBYTES, 1, 97, OP.NONE, OP.SETITEM], /a key of a dict is not text/],
    ['nothing to remember', [OP.MEMOIZE], /remembered where there is none/],
    ['nothing to remember above a mark', [OP.NONE, OP.MARK, OP.MEMOIZE], /remembered where there is none/],
    ['an integer to remember', [OP.LONG1, 8, u64(2n ** 62n), OP.MEMOIZE], /an integer is remembered/],
    ['a number that is left out', [OP.NONE, OP.BINPUT, 1], /remembered as number 1, not as 0/],
    ['a number far away', [OP.NONE, OP.LONG_BINPUT, u32(2 ** 32 - 1)], /remembered as number 4294967295, not as 0/],
    ['a number given twice', [OP.NONE, OP.BINPUT, 0, OP.BINPUT, 0], /remembered as number 0, not as 1/],
    ['a reference to nothing', [OP.BINGET, 0], /refers to value 0, which is not there/],
    ['a reference to later', [OP.NONE, OP.MEMOIZE, OP.LONG_BINGET, u32(1)], /refers to value 1, which is not there/],
    ['a frame longer than the pickle', [OP.FRAME, u64(3n), OP.NONE], /cut off/],
    ['a frame longer than anything', [OP.FRAME, u64(2n ** 64n - 1n), OP.NONE], /cut off/],
    ['a second header', [OP.PROTO, 4, OP.NONE], /opcode PROTO \(0x80\) at byte 2/],
  ])('%s', (_what, parts, message) => {
    expect(() => read(...parts)).toThrow(unreadable(message))
  })

  it.each<[what: string, parts: readonly Part[]]>([
    ['a list that contains itself', [OP.EMPTY_LIST, OP.MEMOIZE, OP.BINGET, 0, OP.APPEND]],
    ['a dict that contains itself', [OP.EMPTY_DICT, OP.MEMOIZE, key('a'), OP.BINGET, 0, OP.SETITEM]],
    [
      'a list in a dict in the list',
      [OP.EMPTY_LIST, OP.MEMOIZE, OP.EMPTY_DICT, key('a'), OP.BINGET, 0, OP.SETITEM, OP.APPEND],
    ],
    [
      'a tuple with a list with the tuple',
      [OP.EMPTY_LIST, OP.MEMOIZE, OP.TUPLE1, OP.MEMOIZE, OP.BINGET, 0, OP.BINGET, 1, OP.APPEND],
    ],
    ['a part that changes afterwards', [OP.EMPTY_LIST, OP.MEMOIZE, OP.EMPTY_LIST, OP.BINGET, 0, OP.APPEND, OP.APPEND]],
    ['a tuple that changes', [OP.EMPTY_TUPLE, OP.NONE, OP.APPEND]],
  ])('%s', (_what, parts) => {
    expect(() => read(...parts)).toThrow(unreadable(/changed after it was used; what contains itself cannot be read/))
  })

  it.each([
    ['a byte that is never UTF-8', 'ff'],
    ['text that is cut off', 'c3'],
    ['a character longer than need be', 'c080'],
    ['half a surrogate', '61eda0'],
    ['a surrogate that is cut off by a letter', 'eda041'],
    ['one byte beside a surrogate', 'eda08080'],
    ['a character beyond the last', 'f4908080'],
  ])('%s', (_what, hex) => {
    const text = Buffer.from(hex, 'hex')

    expect(() => read(OP.SHORT_BINUNICODE, text.length, text)).toThrow(unreadable(/a text is not UTF-8/))
  })

  it.each([
    ['nothing', '', /it is empty, and not with 80/],
    ['a header that is cut off', '80', /it begins with 80, /],
    ['protocol 1', '80014e2e', /it begins with 8001, /],
    ['protocol 6', '80064e2e', /it begins with 8006, /],
    ['a pickle without a header', '4e2e', /it begins with 4e2e, /],
    ['JSON', '7b2261223a317d', /it begins with 7b22, /],
    ['a header alone', '8004', /cut off/],
  ])('%s', (_what, hex, message) => {
    expect(() => readPickle(Buffer.from(hex, 'hex'))).toThrow(unreadable(message))
  })

  it('every pickle that is cut off', () => {
    const whole = writePickle({ list: [1, 300, -70_000, 2n ** 70n, 0.5, 'text', new Uint8Array(3)], more: { a: null } })

    for (let length = 0; length < whole.length; length += 1) {
      expect(() => readPickle(whole.subarray(0, length)), `${length} bytes`).toThrow(unreadable(/cut off|begins|empty/))
    }
  })
})

describe('bounds', () => {
  it.each<[what: string, parts: readonly Part[]]>([
    ['BINUNICODE', [OP.BINUNICODE, u32(2 ** 32 - 1)]],
    ['BINUNICODE8', [OP.BINUNICODE8, u64(2n ** 64n - 1n)]],
    ['BINBYTES', [OP.BINBYTES, u32(2 ** 32 - 1)]],
    ['BINBYTES8', [OP.BINBYTES8, u64(2n ** 40n)]],
    ['LONG1', [OP.LONG1, 255]],
    ['LONG4', [OP.LONG4, u32(2 ** 31 - 1)]],
    ['LONG4 of less than nothing', [OP.LONG4, u32(2 ** 32 - 1)]],
  ])('nothing is made for a length beyond the pickle: %s', (_what, parts) => {
    expect(() => read(...parts)).toThrow(unreadable(/cut off \(opcode at byte 2 of \d+\)/))
  })

  it('an integer has at most a mebibyte', () => {
    const integer = (count: number): unknown => read(OP.LONG4, u32(count), Buffer.alloc(count - 1), 1)

    expect(integer(2 ** 20) === 2n ** 8_388_600n).toBe(true)
    expect(() => integer(2 ** 20 + 1)).toThrow(unreadable(/an integer has 1048577 bytes, more than 1048576/))
  })

  it('a value has at most 1,000 levels, however it is made', () => {
    const lists = (levels: number): Buffer => bytes(times(levels, OP.EMPTY_LIST), times(levels - 1, OP.APPEND))
    const marked = (levels: number): Buffer => bytes(times(levels, OP.MARK), times(levels, OP.TUPLE))
    const tuples = (levels: number): Buffer => bytes(OP.EMPTY_TUPLE, times(levels - 1, OP.TUPLE1))
    // Each list holds the one before, which is taken from the memo; none is open for long.
    const recalled = (levels: number): Buffer =>
      Buffer.concat([
        bytes(OP.MARK, OP.EMPTY_LIST, OP.MEMOIZE),
        ...Array.from({ length: levels - 2 }, (_, i) =>
          bytes(OP.EMPTY_LIST, OP.LONG_BINGET, u32(i), OP.APPEND, OP.MEMOIZE),
        ),
        Buffer.of(OP.TUPLE),
      ])

    for (const made of [lists, marked, tuples, recalled]) {
      expect(() => read(made(1_000))).not.toThrow()
      expect(() => read(made(1_001))).toThrow(unreadable(/nested deeper than 1000 levels/))
      expect(() => read(made(100_000))).toThrow(unreadable(/nested deeper than 1000 levels/))
    }
  })

  it('a reader holds at most two million values that wait for their list', () => {
    expect(() => read(times(2_002_001, OP.NONE))).toThrow(unreadable(/more than 2002000 values wait/))
  })

  it('a value that is shared often is the same object everywhere', () => {
    const value = read(...doubled(20)) as unknown[][]

    expect(value[0]).toBe(value[1])
    expect(JSON.stringify(value)).toHaveLength(5 * 2 ** 20 - 3)
  })

  it('a value has no more parts than anybody can walk through, shared ones counted each time', () => {
    expect(() => read(...doubled(60))).toThrow(unreadable(/refers to the same parts so often that it has more than/))
    expect(() => read(...doubled(900))).toThrow(unreadable(/refers to the same parts so often/))
  })

  it('text that is shared counts as often as it occurs', () => {
    const text = [OP.BINUNICODE, u32(1_000_000), 'x'.repeat(1_000_000), OP.MEMOIZE]
    const list = (count: number): unknown =>
      read(OP.EMPTY_LIST, OP.MARK, ...text, times(count - 1, OP.BINGET, 0), OP.APPENDS)

    expect(list(60)).toHaveLength(60)
    expect(() => list(100)).toThrow(unreadable(/refers to the same parts so often/))
  })

  it('what is not shared may be as large as the pickle', () => {
    const lists = bytes(
      OP.PROTO,
      4,
      OP.EMPTY_LIST,
      times(2_000, OP.MARK, times(1_000, OP.EMPTY_LIST), OP.APPENDS),
      OP.STOP,
    )

    expect(readPickle(lists)).toHaveLength(2_000_000)
  })
})

/** A list that holds the same list twice, which holds the same list twice, and so on. */
function doubled(levels: number): readonly Part[] {
  return [
    times(levels, OP.EMPTY_LIST, OP.MARK),
    bytes(OP.EMPTY_LIST, OP.MEMOIZE),
    ...Array.from({ length: levels }, (_, level) => bytes(OP.LONG_BINGET, u32(level), OP.APPENDS, OP.MEMOIZE)),
  ]
}
