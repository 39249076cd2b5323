import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { isPickle, PickleSerializer } from './pickle.ts'

const pickle = new PickleSerializer()
const hexOf = (value: unknown): string => Buffer.from(pickle.dumpb(value) as Uint8Array).toString('hex')
const fromHex = (hex: string): unknown => pickle.loadb(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const roundTrip = (value: unknown): unknown => pickle.loadb(pickle.dumpb(value))

class Point {
  readonly x = 1
}
const Nameless = (() =>
  class {
    readonly x = 1
  })()

/** Lists within each other, so many that the innermost is on that level. */
function nested(levels: number): unknown {
  let value: unknown = []
  for (let level = 1; level < levels; level += 1) value = [value]
  return value
}

function depthOf(value: unknown): number {
  let depth = 0
  for (let inner = value; Array.isArray(inner); inner = (inner as unknown[])[0]) depth += 1
  return depth
}

const unserializable = (message: string | RegExp): unknown =>
  expect.objectContaining({
    name: 'MessageError',
    code: 'KIQ_ARGUMENTS_UNSERIALIZABLE',
    message: typeof message === 'string' ? message : (expect.stringMatching(message) as string),
  })

describe('PickleSerializer', () => {
  it('is called pickle', () => {
    expect(pickle.name).toBe('pickle')
  })

  it('reads the result that the wire format gives as an example', () => {
    const text = (value: string): string => Buffer.from(value).toString('hex')

    expect(
      fromHex(
        `80 04 95 5c 00 00 00 00 00 00 00 7d 94 28 8c 06 ${text('is_err')} 94 89 8c 03 ${text('log')} 94 4e ` +
          `8c 0c ${text('return_value')} 94 4b 01 8c 0e ${text('execution_time')} 94 47 3f e0 00 00 00 00 00 00 ` +
          `8c 06 ${text('labels')} 94 7d 94 8c 01 ${text('a')} 94 4b 01 73 8c 05 ${text('error')} 94 4e 75 2e`,
      ),
    ).toEqual({ is_err: false, log: null, return_value: 1, execution_time: 0.5, labels: { a: 1 }, error: null })
  })

  it('reads text as a body of bytes', () => {
    expect(() => pickle.loadb('\u0080\u0004N.')).toThrow(
      'The pickle cannot be read: it begins with c280, and not with 80 and a protocol from 02 to 05. ' +
        'Read it with the serializer that wrote it.',
    )
  })
})

describe('writing', () => {
  it.each<[what: string, value: unknown, hex: string]>([
    ['null', null, '4e'],
    ['undefined as None', undefined, '4e'],
    ['true', true, '88'],
    ['false', false, '89'],
    ['0', 0, '4b00'],
    ['255', 255, '4bff'],
    ['256', 256, '4d0001'],
    ['65535', 65_535, '4dffff'],
    ['65536', 65_536, '4a00000100'],
    ['-1', -1, '4affffffff'],
    ['2^31 - 1', 2 ** 31 - 1, '4affffff7f'],
    ['-2^31', -(2 ** 31), '4a00000080'],
    ['2^31', 2 ** 31, '8a050000008000'],
    ['-2^31 - 1', -(2 ** 31) - 1, '8a05ffffff7fff'],
    ['-2^39', -(2 ** 39), '8a050000000080'],
    ['2^39', 2 ** 39, '8a06000000008000'],
    ['2^53 - 1', Number.MAX_SAFE_INTEGER, '8a07ffffffffffff1f'],
    ['a small bigint', 7n, '4b07'],
    ['2^63', 2n ** 63n, '8a09000000000000008000'],
    ['-2^63', -(2n ** 63n), '8a080000000000000080'],
    ['an integer of 255 bytes', 2n ** 2_038n, `8aff${'00'.repeat(254)}40`],
    ['an integer of 256 bytes', 2n ** 2_040n, `8b00010000${'00'.repeat(255)}01`],
    ['0.5', 0.5, '473fe0000000000000'],
    ['-0 as a float', -0, '478000000000000000'],
    ['2^53, which is no safe integer, as a float', 2 ** 53, '474340000000000000'],
    ['1e21', 1e21, '47444b1ae4d6e2ef50'],
    ['NaN, as MsgPack and CBOR do', NaN, '477ff8000000000000'],
    ['-Infinity', -Infinity, '47fff0000000000000'],
    ['empty text', '', '5800000000'],
    ['text', 'é😀', '5806000000c3a9f09f9880'],
    ['a surrogate without its other half', 'a\ud800b', '580500000061eda08062'],
    ['an empty list', [], '5d'],
    ['a list', [1, 'a'], '5d284b01580100000061' + '65'],
    ['a list with holes', Object.assign([], { length: 2 }), '5d284e4e65'],
    ['an empty dict', {}, '7d'],
    ['a dict', { a: null, b: undefined }, '7d285801000000614e5801000000624e75'],
    ['a dict without a prototype', Object.assign(Object.create(null) as object, { a: 1 }), '7d285801000000614b0175'],
  ])('writes %s', (_what, value, hex) => {
    expect(hexOf(value)).toBe(`8002${hex}2e`)
  })

  it('announces protocol 3 for bytes, which protocol 2 has not', () => {
    expect(hexOf([new Uint8Array([0, 255])])).toBe('80035d28420200000000ff652e')
    expect(hexOf(Buffer.alloc(0))).toBe('800342000000002e')
  })

  it('writes a thousand items or pairs at a time, as Python does', () => {
    const items = Array.from({ length: 2_001 }, () => true)
    const pairs = Object.fromEntries(items.map((_, index) => [`k${index}`, null]))
    const count = (value: unknown, opcode: number): number =>
      (pickle.dumpb(value) as Uint8Array).filter((byte) => byte === opcode).length

    expect(hexOf(items)).toBe(`80025d28${'88'.repeat(1_000)}6528${'88'.repeat(1_000)}652888652e`)
    expect(count(pairs, 0x28)).toBe(3)
    expect(roundTrip(items)).toEqual(items)
    expect(roundTrip(pairs)).toEqual(pairs)
  })

  it.each<[what: string, value: unknown, message: string | RegExp]>([
    [
      'a function',
      { list: [function named() {}] },
      '[function named] is a function and has no form in pickle here. Convert it to plain data first.',
    ],
    ['a symbol', Symbol('mine'), /^Symbol\(mine\) is a symbol/],
    ['a Date', [new Date(0)], /^"1970-01-01T00:00:00\.000Z" is a Date/],
    ['a Map', new Map(), /^{} is a Map/],
    ['a Set', new Set(), /^{} is a Set/],
    ['a RegExp', /a/, /^{} is a RegExp/],
    ['another typed array', new Float64Array(1), /^{"0":0} is a Float64Array/],
    ['an ArrayBuffer', new ArrayBuffer(1), /^{} is a ArrayBuffer/],
    ['an instance of a class', new Point(), /^{"x":1} is a Point/],
    ['an instance of a class without a name', new Nameless(), /^{"x":1} is a class instance/],
    ['an object whose prototype is an object', Object.create({ constructor: 1 }), /^{} is a class instance/],
    ['an integer beyond all measure', 2n ** 8_388_607n, /^An integer has 1048577 bytes, more than 1048576/],
  ])('refuses %s', (_what, value, message) => {
    expect(() => pickle.dumpb(value)).toThrow(unserializable(message))
  })

  it('writes 1,000 levels and refuses more, and with them what contains itself', () => {
    const circular: unknown[] = []
    circular.push({ circular })

    expect(depthOf(roundTrip(nested(1_000)))).toBe(1_000)
    expect(() => pickle.dumpb(nested(1_001))).toThrow(unserializable(/nested deeper than 1000 levels, or contains/))
    expect(() => pickle.dumpb(nested(100_000))).toThrow(unserializable(/nested deeper/))
    expect(() => pickle.dumpb(circular)).toThrow(unserializable(/or contains itself/))
  })

  it('hands out bytes of its own, which the next message does not change', () => {
    const first = pickle.dumpb({ a: 'first' }) as Uint8Array
    pickle.dumpb({ a: 'other' })

    expect(pickle.loadb(first)).toEqual({ a: 'first' })
    expect(first.byteLength).toBe(first.buffer.byteLength)
  })

  it('may be called by a value that is being written', () => {
    const value = {
      get inner() {
        return pickle.dumpb('inner')
      },
      after: 1,
    }

    expect(roundTrip(value)).toEqual({ inner: pickle.dumpb('inner'), after: 1 })
  })
})

describe('round trips', () => {
  // Halves of pairs too, and pairs by chance.
  const unit = fc.oneof(
    fc.integer({ min: 0, max: 0xffff }),
    fc.constantFrom(0x41, 0xe9, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xfffd, 0xfeff),
  )
  const anyText = fc.array(unit).map((units) => String.fromCharCode(...units))
  const integer = fc.oneof(
    fc.integer(),
    fc.maxSafeInteger(),
    fc.bigInt({ min: -(2n ** 2_100n), max: 2n ** 2_100n }).filter((big) => !Number.isSafeInteger(Number(big))),
  )
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.oneof(fc.constantFrom(null, true, false), integer, fc.double(), anyText, fc.uint8Array()),
      fc.array(tie('tree')),
      fc.dictionary(anyText, tie('tree'), { noNullPrototype: true }),
    ),
  }))

  it('keeps every JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(roundTrip(value)).toEqual(value)
      }),
    )
  })

  it('keeps bigints, bytes, any text and any number beside them', () => {
    fc.assert(
      fc.property(tree, (value) => {
        expect(roundTrip(value)).toEqual(value)
      }),
      { numRuns: 500 },
    )
  })

  it('keeps any text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(roundTrip(text)).toBe(text)
      }),
      { numRuns: 1_000 },
    )
  })

  it('keeps integers next to every power of two', () => {
    for (let bits = 0n; bits < 300n; bits += 1n) {
      for (const value of [2n ** bits - 1n, 2n ** bits, -(2n ** bits), -(2n ** bits) - 1n]) {
        const read = roundTrip(value) as number | bigint

        expect(BigInt(read)).toBe(value)
        expect(typeof read).toBe(Number.isSafeInteger(Number(value)) ? 'number' : 'bigint')
      }
    }
  })

  it('keeps the largest integers', () => {
    expect(roundTrip(2n ** 8_388_607n - 1n) === 2n ** 8_388_607n - 1n).toBe(true)
    expect(roundTrip(-(2n ** 8_388_607n)) === -(2n ** 8_388_607n)).toBe(true)
  })

  it('keeps a key named __proto__ as a key, as JSON does', () => {
    const value = JSON.parse('{"__proto__": {"polluted": true}, "kept": 1}') as object
    const read = roundTrip(value) as Record<string, unknown>

    expect(Object.getPrototypeOf(read)).toBe(Object.prototype)
    expect(Object.entries(read)).toEqual([
      ['__proto__', { polluted: true }],
      ['kept', 1],
    ])
    expect(read['polluted']).toBeUndefined()
  })

  it('keeps a list of a million numbers and a text of 40 megabytes', () => {
    const list = Array.from({ length: 1_000_000 }, (_, index) => index)
    const text = 'é'.repeat(20_000_000)

    expect(roundTrip(list)).toEqual(list)
    expect(roundTrip(text) === text).toBe(true)
  })
})

describe('isPickle', () => {
  it.each([
    [true, 'a pickle of ours', pickle.dumpb(null)],
    [true, 'protocol 5', new Uint8Array([0x80, 5])],
    [false, 'protocol 1', new Uint8Array([0x80, 1])],
    [false, 'protocol 6', new Uint8Array([0x80, 6])],
    [false, 'one byte', new Uint8Array([0x80])],
    [false, 'nothing', new Uint8Array()],
    [false, 'JSON as bytes', new TextEncoder().encode('{"a":1}')],
    [false, 'JSON as text', '{"a":1}'],
    [false, 'text with the same units', '\u0080\u0004'],
  ])('is %s for %s', (expected, _what, body) => {
    expect(isPickle(body)).toBe(expected)
  })
})
