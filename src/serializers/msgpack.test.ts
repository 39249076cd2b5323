import { readFileSync } from 'node:fs'

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { MsgPackSerializer } from './msgpack.ts'

const msgpack = new MsgPackSerializer()
const hexOf = (value: unknown): string => Buffer.from(msgpack.dumpb(value) as Uint8Array).toString('hex')
const fromHex = (hex: string): unknown => msgpack.loadb(Buffer.from(hex, 'hex'))

interface Golden {
  readonly msgpack: { readonly message_hex: string; readonly result_hex: string }
}

const golden = JSON.parse(
  readFileSync(new URL('../../test/fixtures/golden/_results_progress_serializers.json', import.meta.url), 'utf8'),
) as Golden

const MESSAGE = {
  task_id: 'tid',
  task_name: 'add',
  labels: { n: '1' },
  labels_types: { n: 2 },
  args: [1, 2.5, 'é', null, true],
  kwargs: { k: [1] },
}

const RESULT = {
  is_err: true,
  log: null,
  return_value: null,
  execution_time: 0.5,
  labels: {},
  error: {
    exc_type: 'ValueError',
    exc_message: ['boom', 1],
    exc_module: 'builtins',
    exc_cause: null,
    exc_context: null,
    exc_suppress_context: false,
  },
}

describe('MsgPackSerializer', () => {
  it('keeps the names of keys', () => {
    const value = JSON.parse(
      '{"list": [{"__proto__": {"a": [1, null]}, "__proto_": 2, "b": 9007199254740993.5}]}',
    ) as unknown

    const read = msgpack.loadb(msgpack.dumpb(value))

    expect(JSON.stringify(read)).toBe(JSON.stringify(value))
  })

  it('is called msgpack', () => {
    expect(msgpack.name).toBe('msgpack')
  })

  it('reads what Python wrote', () => {
    expect(fromHex(golden.msgpack.message_hex)).toEqual(MESSAGE)
    expect(fromHex(golden.msgpack.result_hex)).toEqual(RESULT)
  })

  it('writes what it reads alike', () => {
    expect(msgpack.loadb(msgpack.dumpb(MESSAGE))).toEqual(fromHex(golden.msgpack.message_hex))
    expect(msgpack.loadb(msgpack.dumpb(RESULT))).toEqual(fromHex(golden.msgpack.result_hex))
  })

  it('writes maps of the standard, which Python reads', () => {
    // A map of 16-bit length is longer than needed, and every reader takes it.
    expect(hexOf({ a: [1, 'b'] })).toMatch(/^(81|de0001)a1619201a162$/)
  })

  // What Python's msgpack 1.2 writes.
  it.each([
    ['5000000000', 5_000_000_000, 'cf000000012a05f200'],
    ['-5000000000', -5_000_000_000, 'd3fffffffed5fa0e00'],
    ['2^53 - 1', 9007199254740991, 'cf001fffffffffffff'],
    ['2^53 + 1', 9007199254740993n, 'cf0020000000000001'],
    ['2^64 - 1', 18446744073709551615n, 'cfffffffffffffffff'],
    ['-2^63', -9223372036854775808n, 'd38000000000000000'],
  ])('reads the integer %s', (_what, value, hex) => {
    expect(fromHex(hex)).toBe(value)
  })

  it.each([
    ['0', 0, '00'],
    ['-1', -1, 'ff'],
    ['2^32 - 1', 4_294_967_295, 'ceffffffff'],
    ['2^32', 4_294_967_296, 'd30000000100000000'],
    ['5000000000', 5_000_000_000, 'd3000000012a05f200'],
    ['-5000000000', -5_000_000_000, 'd3fffffffed5fa0e00'],
    ['2^64 - 1', 18446744073709551615n, 'cfffffffffffffffff'],
  ])('writes the integer %s as an integer', (_what, value, hex) => {
    expect(hexOf(value)).toBe(hex)
  })

  it('reads bin as bytes', () => {
    expect(fromHex('c403616263')).toEqual(Buffer.from('abc'))
  })

  it('refuses integers beyond 64 bits', () => {
    expect(() => msgpack.dumpb({ n: 2n ** 64n })).toThrow(RangeError)
    expect(() => msgpack.dumpb({ n: -(2n ** 63n) - 1n })).toThrow(RangeError)
  })

  it.each([
    ['nothing', ''],
    ['a list that is cut off', '91'],
    ['a map that is cut off', '8101'],
    ['a text that is cut off', 'a361'],
    ['bytes that are cut off', 'c405'],
    ['something after the end', '9101ff'],
    ['a list longer than the data', 'dd7fffffff'],
    ['JSON', '7b2261223a317d'],
  ])('refuses %s', (_what, hex) => {
    expect(() => fromHex(hex)).toThrow()
  })

  it('hands out bytes of its own, which the next message does not change', () => {
    const first = msgpack.dumpb({ a: 'first' })
    msgpack.dumpb({ a: 'other' })

    expect(msgpack.loadb(first)).toEqual({ a: 'first' })
  })

  it('round trips every JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const copy = JSON.parse(JSON.stringify(value).replaceAll('__proto__', 'proto')) as unknown
        expect(msgpack.loadb(msgpack.dumpb(copy))).toEqual(copy)
      }),
    )
  })

  it('round trips bigints of 64 bits', () => {
    const big = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n })

    fc.assert(
      fc.property(
        big.filter((one) => !Number.isSafeInteger(Number(one))),
        (value) => {
          expect(msgpack.loadb(msgpack.dumpb([value]))).toEqual([value])
        },
      ),
    )
  })
})
