import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { JsonSerializer } from './json-serializer.ts'

const json = new JsonSerializer()
const roundTrip = (value: unknown): unknown => json.loadb(json.dumpb(value))

const hugeBigInt = fc
  .bigInt({ min: -(2n ** 300n), max: 2n ** 300n })
  .filter((big) => !Number.isSafeInteger(Number(big)))

describe('JsonSerializer', () => {
  it('is called json', () => {
    expect(json.name).toBe('json')
  })

  it('reads text and bytes alike', () => {
    expect(json.loadb('{"a":"é"}')).toEqual({ a: 'é' })
    expect(json.loadb(new TextEncoder().encode('{"a":"é"}'))).toEqual({ a: 'é' })
  })

  it.each([
    ['9007199254740991', 9007199254740991],
    ['-9007199254740991', -9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['9007199254740993', 9007199254740993n],
    ['-9007199254740993', -9007199254740993n],
    ['1180591620717411303424', 1180591620717411303424n],
    ['1180591620717411303425', 1180591620717411303425n],
    ['12345678901234567890.5', 12345678901234567890.5],
    ['1234567890123456789e3', 1234567890123456789e3],
    ['0.12345678901234567890', 0.1234567890123456789],
    ['"12345678901234567890"', '12345678901234567890'],
    ['"\\"12345678901234567890\\\\"', '"12345678901234567890\\'],
    ['{"12345678901234567890":12345678901234567890}', { '12345678901234567890': 12345678901234567890n }],
    ['[ 12345678901234567890 , -12345678901234567890 ]', [12345678901234567890n, -12345678901234567890n]],
    ['[1.0, 1e+20]', [1, 1e20]],
  ])('reads %s without rounding integers', (text, value) => {
    expect(json.loadb(text)).toEqual(value)
  })

  it.each([
    [10n, '10'],
    [{ n: -(2n ** 70n) }, '{"n":-1180591620717411303424}'],
    [[1n, 'é', 2n], '[1,"é",2]'],
  ])('writes bigints as plain digits', (value, text) => {
    expect(json.dumpb(value)).toBe(text)
  })

  it('round trips every JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        // JSON has no negative zero.
        const copy = JSON.parse(JSON.stringify(value)) as unknown
        expect(roundTrip(copy)).toEqual(copy)
      }),
    )
  })

  const text = fc.string({ unit: fc.constantFrom('"', '\\', '\u0001', ':', '-', '0', '9', 'n', 'é', '\u2028') })

  it('round trips bigints of any size beside any text', () => {
    const leaf = fc.oneof(hugeBigInt, fc.string(), text)
    const tree = fc.oneof(leaf, fc.array(leaf), fc.dictionary(text, fc.array(leaf), { noNullPrototype: true }))

    fc.assert(
      fc.property(tree, (value) => {
        expect(roundTrip(value)).toEqual(value)
      }),
    )
  })

  it('round trips text that looks like JSON, digits and markers beside bigints', () => {
    fc.assert(
      fc.property(text, hugeBigInt, (looksLike, big) => {
        const value = { [looksLike]: [looksLike, big, `${looksLike}${big}`, `\u0001${big}`] }

        expect(roundTrip(value)).toEqual(value)
      }),
    )
  })

  it('does not take text for a bigint that follows its own marking of another value', () => {
    // What a bigint looks like inside, as far as anybody outside can know it.
    const fakes = ['\u000100000000-0000-4000-8000-000000000000:5', '\u0001:12345678901234567890', '\\u0001x:5']

    expect(roundTrip([...fakes, 2n ** 80n + 1n])).toEqual([...fakes, 2n ** 80n + 1n])
  })

  it.each([
    [9007199254740992, '9.007199254740992e+15'],
    [[-1e20, 1n], '[-1e+20,1]'],
    [{ n: 2 ** 70 }, '{"n":1.1805916207174113e+21}'],
  ])('writes numbers beyond the safe integers as the floats they are, as Python does', (value, text) => {
    expect(json.dumpb(value)).toBe(text)
  })

  it('leaves digits in text alone', () => {
    expect(json.dumpb({ '12345678901234567890': '-12345678901234567890' })).toBe(
      '{"12345678901234567890":"-12345678901234567890"}',
    )
  })

  it('round trips a number beyond the safe integers as a number', () => {
    const numbers = [9007199254740992, 1.7e18, -1e20, 1e21, 1.7976931348623157e308, 5e-324]

    expect(roundTrip(numbers)).toEqual(numbers)
  })

  it.each(['', '{', 'nope', '[1,]', "{'a':1}", 'NaN', '\u0000'])('refuses %j', (body) => {
    expect(() => json.loadb(body)).toThrow(SyntaxError)
  })

  it('refuses bytes that are not UTF-8', () => {
    expect(() => json.loadb(new Uint8Array([0x22, 0xff, 0x22]))).toThrow(TypeError)
  })

  it('refuses cycles', () => {
    const circular: unknown[] = [1n]
    circular.push(circular)

    expect(() => json.dumpb(circular)).toThrow(TypeError)
  })

  it('reads ten megabytes of escaped text beside an integer that is not safe', () => {
    const value = ['"\\\n'.repeat(1_700_000), 12345678901234567890n]

    expect(roundTrip(value)).toEqual(value)
  })

  it('reads a million integers that are not safe', () => {
    const value = Array.from({ length: 1_000_000 }, () => 12345678901234567890n)

    expect(json.loadb(`[${value.join(',')}]`)).toEqual(value)
  })
})
