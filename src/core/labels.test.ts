import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { decodeLabels, encodeLabels } from './labels.ts'

describe('encodeLabels', () => {
  it.each([
    ['text', 'x', 'x', 3],
    ['empty text', '', '', 3],
    ['true', true, 'True', 5],
    ['false', false, 'False', 5],
    ['zero', 0, '0', 2],
    ['negative zero', -0, '0', 2],
    ['a negative integer', -5, '-5', 2],
    ['the largest safe integer', 9007199254740991, '9007199254740991', 2],
    ['an integer beyond the safe ones', 9007199254740992, '9007199254740992', 4],
    ['an integer that prints with an exponent', 1e21, '1e+21', 4],
    ['a small fraction', 1e-7, '1e-7', 4],
    ['a fraction', 2.5, '2.5', 4],
    ['NaN', NaN, 'nan', 4],
    ['Infinity', Infinity, 'inf', 4],
    ['-Infinity', -Infinity, '-inf', 4],
    ['a bigint', 12345678901234567890n, '12345678901234567890', 2],
    ['bytes', new Uint8Array([0, 1, 255]), 'AAH/', 6],
    ['no bytes', new Uint8Array(), '', 6],
    ['a buffer', Buffer.from('hi'), 'aGk=', 6],
    ['an array', [1, 'a'], '[1,"a"]', 1],
    ['an object', { k: 1 }, '{"k":1}', 1],
    ['a date', new Date(0), '1970-01-01T00:00:00.000Z', 1],
  ])('writes %s as text with its type', (_what, value, text, type) => {
    expect(encodeLabels({ lab: value })).toEqual({ labels: { lab: text }, types: { lab: type } })
  })

  it('leaves null and undefined out', () => {
    expect(encodeLabels({ a: null, b: undefined, c: 1 })).toEqual({ labels: { c: '1' }, types: { c: 2 } })
  })

  it('takes __proto__ for a plain key', () => {
    const { labels, types } = encodeLabels(JSON.parse('{"__proto__":"x"}') as Record<string, unknown>)

    expect(Object.entries(labels)).toEqual([['__proto__', 'x']])
    expect(Object.entries(types)).toEqual([['__proto__', 3]])
  })

  const circular: Record<string, unknown> = {}
  circular['self'] = circular

  it.each([
    ['a function', () => {}],
    ['a symbol', Symbol('x')],
    ['a cycle', circular],
    ['an invalid date', new Date(NaN)],
    ['an object with a bigint in it', { n: 1n }],
    ['an object whose toJSON gives nothing', { toJSON: () => undefined }],
  ])('refuses %s and names the label', (_what, value) => {
    expect(() => encodeLabels({ lab: value })).toThrow(
      expect.objectContaining({ code: 'KIQ_LABEL_INVALID', message: expect.stringContaining('Label "lab"') as string }),
    )
  })
})

describe('decodeLabels', () => {
  it.each([
    ['INT', '7', 2, 7],
    ['INT with blanks, sign and underscores', ' +1_000 ', 2, 1000],
    ['INT beyond the safe ones', '12345678901234567890', 2, 12345678901234567890n],
    ['INT beyond the safe ones with a sign', '+12345678901234567890', 2, 12345678901234567890n],
    ['negative INT beyond the safe ones', '-12345678901234567890', 2, -12345678901234567890n],
    ['INT from a number', 5, 2, 5],
    ['INT from a fraction', 5.7, 2, 5],
    ['INT from a boolean', true, 2, 1],
    ['STR', 's', 3, 's'],
    ['STR from null', null, 3, 'None'],
    ['STR from a boolean', true, 3, 'True'],
    ['STR from a number', 1.5, 3, '1.5'],
    ['FLOAT', '2.5', 4, 2.5],
    ['FLOAT with an exponent', '1e+21', 4, 1e21],
    ['FLOAT without a leading digit', '.5', 4, 0.5],
    ['FLOAT from an integer', 3, 4, 3],
    ['FLOAT nan', 'nan', 4, NaN],
    ['FLOAT inf', 'inf', 4, Infinity],
    ['FLOAT -Infinity', '-Infinity', 4, -Infinity],
    ['BOOL True', 'True', 5, true],
    ['BOOL true', 'true', 5, true],
    ['BOOL False', 'False', 5, false],
    ['BOOL of any other text', '1', 5, false],
    ['BOOL from true', true, 5, true],
    ['BYTES', 'AAH/', 6, new Uint8Array([0, 1, 255])],
    ['BYTES with foreign characters between', 'A A\nH/', 6, new Uint8Array([0, 1, 255])],
    ['no BYTES', '', 6, new Uint8Array()],
    ['ANY', "[1, 'a']", 1, "[1, 'a']"],
    ['ANY that is not text', [1], 1, [1]],
    ['a type number as text', '7', '2', 7],
  ])('reads %s', (_what, value, type, decoded) => {
    expect(decodeLabels({ lab: value }, { lab: type })).toEqual({ lab: decoded })
  })

  it.each([
    ['INT', 'x', 2],
    ['INT', '', 2],
    ['INT', '1.0', 2],
    ['INT', '1e+21', 2],
    ['INT', null, 2],
    ['FLOAT', 'x', 4],
    ['FLOAT', '', 4],
    ['FLOAT', '0x10', 4],
    ['FLOAT', null, 4],
    ['BYTES with bad padding', 'AAH', 6],
    ['BYTES that are no text', 5, 6],
    ['the unknown type 0', 'x', 0],
    ['the unknown type 7', 'x', 7],
    ['the type null', 'x', null],
    ['the type "int"', 'x', 'int'],
  ])('refuses %s for %j', (_what, value, type) => {
    expect(() => decodeLabels({ lab: value }, { lab: type })).toThrow(
      expect.objectContaining({ code: 'KIQ_LABEL_INVALID', message: expect.stringContaining('Label "lab"') as string }),
    )
  })

  it('keeps labels without a type as they are', () => {
    expect(decodeLabels({ a: 1.5, b: { c: null } }, {})).toEqual({ a: 1.5, b: { c: null } })
  })

  it('skips types without a label', () => {
    expect(decodeLabels({ a: '1' }, { a: 2, gone: 9 })).toEqual({ a: 1 })
  })

  it.each([[null], [undefined]])('decodes nothing when the types are %s', (types) => {
    expect(decodeLabels({ a: '1' }, types)).toEqual({ a: '1' })
  })

  it('does not take inherited names for types', () => {
    expect(decodeLabels({ constructor: 'x', toString: 'y' }, {})).toEqual({ constructor: 'x', toString: 'y' })
  })

  it('gives back what encodeLabels was given', () => {
    const value = fc.oneof(
      fc.string(),
      fc.boolean(),
      fc.maxSafeInteger(),
      fc.double({ noDefaultInfinity: false }).filter((number) => !Object.is(number, -0)),
      fc.bigInt().filter((big) => big > 9007199254740991n || big < -9007199254740991n),
      fc.uint8Array(),
    )

    fc.assert(
      fc.property(fc.dictionary(fc.string(), value), (labels) => {
        const encoded = encodeLabels(labels)
        // A dictionary of fast-check may have no prototype.
        expect(Object.entries(decodeLabels(encoded.labels, encoded.types))).toEqual(Object.entries(labels))
      }),
    )
  })
})
