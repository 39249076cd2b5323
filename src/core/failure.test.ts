import { describe, expect, it } from 'vitest'

import { ConfigError } from '../contract/index.ts'
import { decodeFailure, encodeFailure, toFailure } from './failure.ts'

class PaymentError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'PaymentError'
  }
}

class Unnamed extends RangeError {}

describe('toFailure', () => {
  it.each([
    ['an Error', new Error('x'), { name: 'Error', message: 'x', args: ['x'], module: 'builtins' }],
    ['a TypeError', new TypeError('x'), { name: 'TypeError', message: 'x', args: ['x'], module: 'builtins' }],
    ['a SyntaxError', new SyntaxError('x'), { name: 'SyntaxError', message: 'x', args: ['x'], module: 'builtins' }],
    ['a RangeError', new RangeError('x'), { name: 'RangeError', message: 'x', args: ['x'], module: 'javascript' }],
    ['an own class', new PaymentError('x'), { name: 'PaymentError', message: 'x', args: ['x'], module: 'javascript' }],
    ['an error without a message', new Error(), { name: 'Error', message: '', args: [], module: 'builtins' }],
    [
      'an error of Kiq',
      new ConfigError('KIQ_CONFIG_INVALID', 'x'),
      { name: 'ConfigError', message: 'x', args: ['x'], module: 'javascript', code: 'KIQ_CONFIG_INVALID' },
    ],
  ])('describes %s', (_what, thrown, facts) => {
    const { stack, ...failure } = toFailure(thrown)

    expect(failure).toEqual(facts)
    expect(stack).toContain('failure.test.ts')
  })

  it('keeps the code of Node errors', () => {
    expect(toFailure(Object.assign(new Error('x'), { code: 'ENOENT' })).code).toBe('ENOENT')
  })

  it('leaves a code that is no text out', () => {
    expect(toFailure(Object.assign(new Error('x'), { code: 42 }))).not.toHaveProperty('code')
  })

  it.each([
    ['text', 'boom', 'boom', ['boom']],
    ['undefined', undefined, 'null', [null]],
    ['null', null, 'null', [null]],
    ['a number', 42, '42', [42]],
    ['a bigint', 5n, '5', [5n]],
    ['an object', { a: [1] }, '{"a":[1]}', [{ a: [1] }]],
    ['a symbol', Symbol('x'), 'Symbol(x)', ['Symbol(x)']],
  ])('describes %s that was thrown', (_what, thrown, message, args) => {
    expect(toFailure(thrown)).toEqual({ name: 'Error', message, args, module: 'builtins' })
  })

  it('follows the causes', () => {
    const error = new Error('outer', { cause: new PaymentError('inner') })

    expect(toFailure(error)).toMatchObject({
      message: 'outer',
      cause: { name: 'PaymentError', message: 'inner' },
    })
  })

  it('describes a cause that is no error', () => {
    expect(toFailure(new Error('x', { cause: 'disk full' })).cause).toEqual({
      name: 'Error',
      message: 'disk full',
      args: ['disk full'],
      module: 'builtins',
    })
  })

  it('ends at a cycle of causes', () => {
    const first = new Error('first')
    const second = new Error('second', { cause: first })
    first.cause = second

    const failure = toFailure(first)

    expect(failure.cause?.message).toBe('second')
    expect(failure.cause?.cause).toBeUndefined()
  })

  it('keeps at most 16 causes', () => {
    let error = new Error('0')
    for (let i = 1; i <= 40; i += 1) error = new Error(String(i), { cause: error })

    let depth = 0
    for (let failure = toFailure(error).cause; failure; failure = failure.cause) depth += 1

    expect(depth).toBe(15)
  })

  it('cuts texts at 64 KiB', () => {
    const failure = toFailure(new Error('x'.repeat(1_000_000)))

    expect(failure.message.length).toBe(65_537)
    expect(failure.stack?.length).toBe(65_537)
  })

  it('survives errors whose fields are of other types', () => {
    const strange = Object.assign(new Error('x'), { name: 5, message: { a: 1 }, stack: undefined })

    expect(toFailure(strange)).toMatchObject({ name: '5', message: '[object Object]' })
  })

  it('survives errors whose fields throw', () => {
    const hostile = Object.defineProperty(new Error('x'), 'message', {
      get: () => {
        throw new Error('no message for you')
      },
    })

    expect(() => toFailure(hostile)).not.toThrow()
  })

  it('survives a thrown object that cannot become text', () => {
    expect(() => toFailure(Object.create(null))).not.toThrow()
    expect(() => toFailure({ f: () => {}, toString: 5, valueOf: 5 })).not.toThrow()
  })

  it('takes the class name of an error that sets no name of its own', () => {
    expect(toFailure(new Unnamed('x')).name).toBe('Unnamed')
  })
})

describe('encodeFailure', () => {
  it('writes what Python requires', () => {
    expect(encodeFailure({ name: 'RangeError', message: 'x', args: ['x'], module: 'javascript' })).toEqual({
      exc_type: 'RangeError',
      exc_message: ['x'],
      exc_module: 'javascript',
      exc_cause: null,
      exc_context: null,
      exc_suppress_context: false,
    })
  })

  it('writes null for a module that is not known', () => {
    expect(encodeFailure({ name: 'X', message: '', args: [] }).exc_module).toBeNull()
  })

  it('writes a name of which Python can make a class, and keeps its own beside it', () => {
    const wire = encodeFailure({ name: 'a\0b\ud800 😀', message: '', args: [], module: 'javascript' })

    expect(wire).toMatchObject({ exc_type: 'a\ufffdb\ufffd 😀', name: 'a\0b\ud800 😀' })
    expect(decodeFailure(wire)?.name).toBe('a\0b\ud800 😀')
  })

  it('calls the plain Error Exception, and keeps its own name beside it', () => {
    expect(encodeFailure({ name: 'Error', message: 'x', args: ['x'], module: 'builtins' })).toMatchObject({
      exc_type: 'Exception',
      exc_module: 'builtins',
      name: 'Error',
    })
  })

  it('keeps code and stack in keys that Python ignores', () => {
    const failure = { name: 'X', message: '', args: [], code: 'EX', stack: 'X\n  at y' }

    expect(encodeFailure(failure)).toMatchObject({ code: 'EX', stack: 'X\n  at y' })
  })

  it('suppresses the context exactly when there is a cause', () => {
    const inner = { name: 'In', message: '', args: [] }

    expect(encodeFailure({ name: 'X', message: '', args: [], cause: inner })).toMatchObject({
      exc_cause: { exc_type: 'In' },
      exc_suppress_context: true,
    })
    expect(encodeFailure({ name: 'X', message: '', args: [], context: inner })).toMatchObject({
      exc_context: { exc_type: 'In' },
      exc_suppress_context: false,
    })
  })
})

describe('decodeFailure', () => {
  it('gives back what encodeFailure was given', () => {
    const failure = toFailure(Object.assign(new Error('outer', { cause: new RangeError('inner') }), { code: 'EX' }))

    expect(decodeFailure(encodeFailure(failure))).toEqual(failure)
  })

  it('joins the arguments of a Python exception', () => {
    const wire = { exc_type: 'CustomError', exc_message: ['custom', 42, { k: [1, null] }], exc_module: 'broker' }

    expect(decodeFailure(wire)).toEqual({
      name: 'CustomError',
      message: 'custom, 42, {"k":[1,null]}',
      args: ['custom', 42, { k: [1, null] }],
      module: 'broker',
    })
  })

  it('reads bigints among the arguments', () => {
    expect(decodeFailure({ exc_type: 'X', exc_message: [2n ** 70n, { n: 1n }] })?.message).toBe(
      '1180591620717411303424, {"n":"1"}',
    )
  })

  it.each([
    ['null', null],
    ['text', 'ValueError'],
    ['no type', { exc_message: [] }],
    ['a message that is text', { exc_type: 'X', exc_message: 'x' }],
  ])('gives undefined for %s', (_what, wire) => {
    expect(decodeFailure(wire)).toBeUndefined()
  })

  it('ignores a cause of another shape', () => {
    expect(decodeFailure({ exc_type: 'X', exc_message: [], exc_module: null, exc_cause: 'x' })).toEqual({
      name: 'X',
      message: '',
      args: [],
    })
  })
})
