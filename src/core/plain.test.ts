import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { toPlain } from './plain.ts'

const plain = (value: unknown): unknown => toPlain(value, { root: 'args', code: 'KIQ_ARGUMENTS_UNSERIALIZABLE' })

class Point {
  readonly x = 1
  readonly #secret = 2
  get sum(): number {
    return this.x + this.#secret
  }
}

describe('toPlain', () => {
  it.each([
    ['null', null, null],
    ['undefined', undefined, null],
    ['text', 'x', 'x'],
    ['a boolean', false, false],
    ['a number', 1.5, 1.5],
    ['a bigint', 10n ** 30n, 10n ** 30n],
    ['NaN', NaN, null],
    ['Infinity', -Infinity, null],
    ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['UTF-8 bytes', new TextEncoder().encode('héllo'), 'héllo'],
    ['a buffer', Buffer.from('abc'), 'abc'],
    ['bytes with a byte order mark', new Uint8Array([0xef, 0xbb, 0xbf, 0x61]), '\ufeffa'],
    ['no bytes', new Uint8Array(), ''],
    ['a set', new Set([1, 'a']), [1, 'a']],
    ['a map', new Map([['a', 1]]), { a: 1 }],
    ['a URL', new URL('http://a/b'), 'http://a/b'],
    ['an instance of a class', new Point(), { x: 1 }],
    ['an object with toJSON', { toJSON: () => ({ when: new Date(0) }) }, { when: '1970-01-01T00:00:00.000Z' }],
    ['an object whose toJSON is no function', { toJSON: 1, a: NaN }, { toJSON: 1, a: null }],
    ['undefined in an array', [1, undefined], [1, null]],
    ['a hole in an array', [1, , 2], [1, null, 2]],
    ['undefined in an object', { a: undefined, b: 1 }, { b: 1 }],
    ['undefined in a map', new Map([['a', undefined]]), {}],
    ['NaN in an object', { a: NaN }, { a: null }],
    ['nested values', [{ a: [new Set([new Date(0)])] }], [{ a: [['1970-01-01T00:00:00.000Z']] }]],
    ['a number object', Object(5) as unknown, 5],
    ['a text object', Object('x') as unknown, 'x'],
    ['a boolean object', Object(false) as unknown, false],
  ])('reduces %s', (_what, value, expected) => {
    expect(plain(value)).toEqual(expected)
  })

  it('keeps the order of the keys', () => {
    expect(Object.keys(plain({ b: NaN, a: 1, c: new Date(0) }) as object)).toEqual(['b', 'a', 'c'])
  })

  it.each([
    ['an array', [1, [2, { a: null, b: 'x' }]]],
    ['an object', { a: { b: [true, 1n] }, '': 1 }],
    ['an object without prototype', Object.assign(Object.create(null) as object, { a: [1n] })],
  ])('gives the same object when there is nothing to change: %s', (_what, value) => {
    expect(plain(value)).toBe(value)
  })

  it('does not change what it was given', () => {
    const value = { a: [new Date(0)], b: undefined }

    plain(value)

    expect(value).toEqual({ a: [new Date(0)], b: undefined })
  })

  it('gives the same plain object twice when it stands in two places', () => {
    const twice = { at: new Date(0) }

    expect(plain([twice, twice])).toEqual([{ at: '1970-01-01T00:00:00.000Z' }, { at: '1970-01-01T00:00:00.000Z' }])
  })

  it('takes __proto__ for a plain key', () => {
    const value = JSON.parse('{"__proto__":{"x":1},"a":null}') as Record<string, unknown>
    Object.assign(value, { date: new Date(0) })

    const reduced = plain(value) as object

    expect(Object.getPrototypeOf(reduced)).toBe(Object.prototype)
    expect(Object.keys(reduced)).toEqual(['__proto__', 'a', 'date'])
  })

  const circular: unknown[] = []
  circular.push({ deep: circular })
  const selfJson = { toJSON: (): unknown => selfJson }

  it.each([
    ['a function', [{ cb: () => {} }], '`args[0].cb` is a function'],
    ['a symbol', [Symbol('x')], '`args[0]` is a symbol'],
    ['a class', [Point], '`args[0]` is a function'],
    ['a cycle', circular, '`args[0].deep` refers to itself'],
    ['a toJSON that gives itself', [selfJson], 'refers to itself'],
    ['an invalid date', [new Date(NaN)], '`args[0]` is an invalid Date'],
    ['bytes that are not UTF-8', [new Uint8Array([0xff])], '`args[0]` holds bytes that are not UTF-8'],
    ['a promise', [Promise.resolve(1)], '`args[0]` is a Promise'],
    ['an error', [new Error('x')], '`args[0]` is a Error'],
    ['a regular expression', [/x/], '`args[0]` is a RegExp'],
    ['a typed array', [new Float64Array(1)], '`args[0]` is a Float64Array'],
    ['an array buffer', [new ArrayBuffer(1)], '`args[0]` is a ArrayBuffer'],
    ['a weak map', [new WeakMap()], '`args[0]` is a WeakMap'],
    [
      'a map with keys that are no text',
      [new Map([[1, 2]])],
      '`args[0]` is a Map with a key that is not text (number)',
    ],
    ['a function in a set', [new Set([() => {}])], '`args[0][0]` is a function'],
  ])('refuses %s and names the path', (_what, value, message) => {
    expect(() => plain(value)).toThrow(
      expect.objectContaining({
        code: 'KIQ_ARGUMENTS_UNSERIALIZABLE',
        message: expect.stringContaining(message) as string,
      }),
    )
  })

  it('refuses what is nested without end', () => {
    const endless = (): object => ({ toJSON: endless })

    expect(() => plain(endless())).toThrow('nested deeper than 500 levels')
  })

  it('accepts 400 levels and refuses 600', () => {
    const nested = (levels: number): unknown => {
      let value: unknown = 1
      for (let level = 0; level < levels; level += 1) value = [value]
      return value
    }

    expect(plain(nested(400))).toEqual(nested(400))
    expect(() => plain(nested(600))).toThrow('nested deeper than 500 levels')
  })

  it('reduces a list of many objects in linear time', () => {
    const many = Array.from({ length: 200_000 }, (_, i) => ({ i, at: new Date(0) }))

    expect((plain(many) as unknown[]).length).toBe(200_000)
  })

  it('gives what JSON gives for values that JSON can hold', () => {
    fc.assert(
      fc.property(fc.object({ withDate: false, withNullPrototype: true }), (value) => {
        expect(JSON.parse(JSON.stringify(plain(value)))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})
