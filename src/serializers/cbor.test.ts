import { readFileSync } from 'node:fs'

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { CborSerializer } from './cbor.ts'

const cbor = new CborSerializer()
const hexOf = (value: unknown): string => Buffer.from(cbor.dumpb(value) as Uint8Array).toString('hex')
const fromHex = (hex: string): unknown => cbor.loadb(Buffer.from(hex, 'hex'))

interface Golden {
  readonly cbor: { readonly message_hex: string; readonly result_hex: string }
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

describe('CborSerializer', () => {
  it('keeps the names of keys', () => {
    const value = JSON.parse(
      '{"list": [{"__proto__": {"a": [1, null]}, "__proto_": 2, "b": 9007199254740993.5}]}',
    ) as unknown

    const read = cbor.loadb(cbor.dumpb(value))

    expect(JSON.stringify(read)).toBe(JSON.stringify(value))
  })

  it('is called cbor', () => {
    expect(cbor.name).toBe('cbor')
  })

  it('reads what Python wrote', () => {
    expect(fromHex(golden.cbor.message_hex)).toEqual(MESSAGE)
    expect(fromHex(golden.cbor.result_hex)).toEqual(RESULT)
  })

  it('writes what it reads alike', () => {
    expect(cbor.loadb(cbor.dumpb(MESSAGE))).toEqual(fromHex(golden.cbor.message_hex))
    expect(cbor.loadb(cbor.dumpb(RESULT))).toEqual(fromHex(golden.cbor.result_hex))
  })

  it('writes maps of the standard, which Python reads', () => {
    expect(hexOf({ a: [1, 'b'], c: null })).toBe('a261618201616261' + '63f6')
  })

  // Written by Python's cbor2 with string_referencing=True.
  it.each([
    ['a repeated text', 'd90100826568656c6c6fd81900', ['hello', 'hello']],
    [
      'repeated keys and values, short ones left alone',
      'd90100a265616c7068616462657461646c69737484d81900d81901626162626162',
      { alpha: 'beta', list: ['alpha', 'beta', 'ab', 'ab'] },
    ],
    ['texts that are not ASCII', 'd901008268c3a9e4b896e7958cd81900', ['é世界', 'é世界']],
    [
      'bigints, whose bytes are counted too',
      'd9010083c24940000000000000000063616263d81901',
      [1180591620717411303424n, 'abc', 'abc'],
    ],
    [
      'integers at the edges of 64 bits',
      'd9010084c3493fffffffffffffffff3bffffffffffffffff1bffffffffffffffffc249010000000000000000',
      [-1180591620717411303424n, -18446744073709551616n, 18446744073709551615n, 18446744073709551616n],
    ],
    ['values of every kind', 'd9010085fb3ff8000000000000f6f580a0', [1.5, null, true, [], {}]],
    [
      'a namespace within a namespace',
      'd9010084656f75746572d901008265696e6e6572d81900d81900646c617374',
      ['outer', ['inner', 'inner'], 'outer', 'last'],
    ],
    ['lists of unknown length', 'd901009f6568656c6c6fd81900ff', ['hello', 'hello']],
    ['maps of unknown length', 'd90100bf6568656c6c6fd81900ff', { hello: 'hello' }],
    [
      'a reference of two bytes, for which texts of three are not counted',
      'd90100981d' +
        '637330306373303163733032637330336373303463733035637330366373303763733038637330396373313063733131' +
        '637331326373313363733134637331356373313663733137637331386373313963733230637332316373323263733233' +
        '63616263636162636461626364d8191818d81917',
      [...Array.from({ length: 24 }, (_, i) => `s${String(i).padStart(2, '0')}`), 'abc', 'abc', 'abcd', 'abcd', 's23'],
    ],
  ])('reads %s', (_what, hex, value) => {
    expect(fromHex(hex)).toEqual(value)
  })

  it('reads repeated bytes', () => {
    expect(fromHex('d90100824461626364d81900')).toEqual([Buffer.from('abcd'), Buffer.from('abcd')])
  })

  it('counts only texts of five bytes and more from the 257th on', () => {
    const texts = Array.from({ length: 256 }, (_, i) => `s${String(i).padStart(3, '0')}`)
    const encoded = texts.map((text) => '64' + Buffer.from(text).toString('hex')).join('')
    // Two of four bytes, which are not counted, two of five, the second of them a reference; the last and first of all.
    const hex = `d90100990106${encoded}6461626364646162636465616263646` + '5d819190100d81918ffd81900'

    expect(fromHex(hex)).toEqual([...texts, 'abcd', 'abcd', 'abcde', 'abcde', 's255', 's000'])
  })

  it.each([
    ['5000000000', '1b000000012a05f200', 5_000_000_000],
    ['-5000000000', '3b000000012a05f1ff', -5_000_000_000],
    ['2^53 - 1', '1b001fffffffffffff', 9007199254740991],
    ['2^53', '1b0020000000000000', 9007199254740992n],
    ['-2^64', '3bffffffffffffffff', -18446744073709551616n],
  ])('reads the integer %s as JSON would', (_what, hex, value) => {
    expect(fromHex(hex)).toBe(value)
  })

  it.each([
    ['0', 0, '00'],
    ['-1', -1, '20'],
    ['2^32 - 1', 4_294_967_295, '1affffffff'],
    ['2^32', 4_294_967_296, '1b0000000100000000'],
    ['-5000000000', -5_000_000_000, '3b000000012a05f1ff'],
    ['2^70', 1180591620717411303424n, 'c249400000000000000000'],
  ])('writes the integer %s as an integer', (_what, value, hex) => {
    expect(hexOf(value)).toBe(hex)
  })

  it.each([
    ['nothing', ''],
    ['a list that is cut off', '82'],
    ['a text that is cut off', '6561'],
    ['a namespace that is cut off', 'd90100'],
    ['a list that is cut off in a namespace', 'd901008265'],
    ['a text that is cut off in a namespace', 'd90100656865'],
    ['a length that is cut off in a namespace', 'd901009900'],
    ['something after the end', '0101'],
    ['something after the end of a namespace', 'd9010082616101' + '00'],
    ['a reference to nothing', 'd9010082626162d81900'],
    ['a reference beyond the last text', 'd90100826568656c6c6fd81901'],
    ['a reference that is no number', 'd90100826568656c6c6fd8196130'],
    ['a reference that is negative', 'd90100826568656c6c6fd81920'],
    ['a reference outside of a namespace', '826568656c6c6fd81900'],
    ['a break without a beginning', 'd9010082ff00'],
    ['a list longer than the data', 'd901009a7fffffff'],
    ['a list longer than anything', 'd901009bffffffffffffffff'],
    ['a list longer than the data, without a namespace', '9a7fffffff'],
    ['an item that does not exist', 'd901001c'],
    ['a list of unknown length without an end', 'd901009f01'],
    // Python writes no texts of unknown length, and cbor-x reads none.
    ['a text of unknown length', '7f6361626363646566ff'],
    ['a reference inside a text of unknown length', 'd90100826568656c6c6f7fd81900ff'],
  ])('refuses %s', (_what, hex) => {
    expect(() => fromHex(hex)).toThrow()
  })

  it('refuses a namespace nested without end', () => {
    const deep = Buffer.concat([Buffer.from('d90100', 'hex'), Buffer.alloc(100_000, 0x81)])

    expect(() => cbor.loadb(deep)).toThrow('nested deeper than 1000 levels')
  })

  it('hands out bytes of its own, which the next message does not change', () => {
    const first = cbor.dumpb({ a: 'first' })
    cbor.dumpb({ a: 'other' })

    expect(cbor.loadb(first)).toEqual({ a: 'first' })
  })

  it('round trips every JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const copy = JSON.parse(JSON.stringify(value).replaceAll('__proto__', 'proto')) as unknown
        expect(cbor.loadb(cbor.dumpb(copy))).toEqual(copy)
      }),
    )
  })

  it('round trips bigints of any size', () => {
    const big = fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n })

    fc.assert(
      fc.property(
        big.filter((one) => !Number.isSafeInteger(Number(one))),
        (value) => {
          expect(cbor.loadb(cbor.dumpb([value]))).toEqual([value])
        },
      ),
    )
  })
})
