import { expect } from 'vitest'

import type { Body, MaybePromise, Serializer } from '../../contract/index.ts'
import { bytesOf, hexOf } from './bytes.ts'
import { deepFreeze } from './freeze.ts'
import type { Contract, Subject } from './suite.ts'
import { describeContract } from './suite.ts'

/** Bytes, as hexadecimal text, that are to be read as a value. */
export interface SerializerVector {
  readonly hex: string
  readonly value: unknown
}

/** How to exercise one serializer; see {@link describeSerializer}. */
export interface SerializerSubject extends Subject {
  readonly create: () => MaybePromise<Serializer>
  /** Recorded from Python's serializer of the same name. */
  readonly vectors?: readonly SerializerVector[] | undefined
}

/** Registers the serializer contract as vitest cases. Authors of serializers call this too. */
export function describeSerializer(subject: SerializerSubject): void {
  describeContract<Serializer>(subject, {
    open: subject.create,
    register: (contract) => {
      registerRoundTrips(contract)
      registerBigints(contract)
      registerForms(contract)
      registerGarbage(contract)
      for (const [index, { hex, value }] of (subject.vectors ?? []).entries()) {
        contract(`reads what Python wrote, vector ${index}`, async (serializer) => {
          expect(serializer.loadb(Buffer.from(hex, 'hex'))).toEqual(value)
        })
      }
    },
  })
}

const ROUND_TRIPS: Readonly<Record<string, readonly unknown[]>> = deepFreeze({
  'null and booleans': [null, true, false],
  'small integers': [0, 1, -1, 23, 24, 127, 128, -32, -33, -128, -129, 255, 256, 65_535, 65_536],
  'integers up to 2^53 - 1': [2 ** 31 - 1, 2 ** 31, -(2 ** 31) - 1, 2 ** 32, Number.MAX_SAFE_INTEGER, -(2 ** 53 - 1)],
  fractions: [0.5, -0.5, 0.1, 1 / 3, -1e-7, 1.5e10],
  'large and tiny numbers': [1e21, -1e300, Number.MAX_VALUE, Number.MIN_VALUE, 1e-300],
  strings: ['', 'plain', 'héllo', 'quote " and \\ backslash', 'line\nbreak\ttab', 'before\u0000after', '\u2028\u2029'],
  'text beyond the basic plane': ['😀', '\u{1F1EB}\u{1F1EE}', 'a😀b', '\u{10FFFF}', '\uFEFFmark'],
  'text that looks like something else': ['null', '12345678901234567890', '{"a":1}', '1e5', 'true'],
  'long strings': ['x'.repeat(31), 'x'.repeat(32), 'x'.repeat(255), 'x'.repeat(256), 'ä'.repeat(70_000)],
  arrays: [[], [[]], [1, 'two', null, [true, [0.5]]], Array.from({ length: 1_000 }, (_, index) => index)],
  objects: [{}, { a: 1 }, { '': 'empty key', 'ä 😀': 'key', 'with.dot': { nested: [{ deep: null }] } }],
  'objects with keys that look like numbers': [{ 1: 'one', 10: 'ten', '01': 'padded', '-1': 'minus one' }],
  'objects with many keys': [Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`key ${index}`, index]))],
  'repeated strings and objects': [['same text', 'same text', { 'same text': 'same text' }, { 'same text': 1 }]],
})

function registerRoundTrips(contract: Contract<Serializer>): void {
  contract('has a name', async (serializer) => {
    expect(serializer.name).not.toBe('')
  })

  for (const [what, values] of Object.entries(ROUND_TRIPS)) {
    contract(`reads ${what} as written`, async (serializer) => {
      for (const value of values) expect(serializer.loadb(serializer.dumpb(value))).toEqual(value)
      expect(serializer.loadb(serializer.dumpb(values))).toEqual(values)
    })
  }

  contract('reads negative zero as zero', async (serializer) => {
    expect(serializer.loadb(serializer.dumpb(-0)) === 0).toBe(true)
  })

  contract('reads what is nested a hundred levels deep', async (serializer) => {
    let value: unknown = 'core'
    for (let depth = 0; depth < 50; depth += 1) value = { inner: [value] }

    expect(serializer.loadb(serializer.dumpb(value))).toEqual(value)
  })

  contract('takes no prototype from a key', async (serializer) => {
    const value: unknown = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1, "kept": 2}')

    const read = serializer.loadb(serializer.dumpb(value)) as Record<string, unknown>

    expect([Object.getPrototypeOf(read), read['polluted'], read['kept']]).toEqual([Object.prototype, undefined, 2])
    expect('polluted' in {}).toBe(false)
  })
}

function registerBigints(contract: Contract<Serializer>): void {
  contract('reads bigints up to 2^53 - 1 as the same integer', async (serializer) => {
    for (const value of [0n, 5n, -5n, 2n ** 32n, 2n ** 53n - 1n]) {
      expect(integerOf(serializer.loadb(serializer.dumpb(value)))).toBe(value)
    }
  })

  contract('rounds no bigint beyond 2^53: keeps it, or refuses it', async (serializer) => {
    const exponents = [53n, 63n, 64n, 70n, 200n]
    for (const value of exponents.flatMap((exponent) => [2n ** exponent + 1n, -(2n ** exponent) - 1n])) {
      const dumped = attempt(() => serializer.dumpb({ value }))
      if (dumped === undefined) continue
      const read = serializer.loadb(dumped) as { readonly value: unknown }
      expect(integerOf(read.value), `${value}`).toBe(value)
    }
  })

  contract('leaves text beside a bigint alone', async (serializer) => {
    const value = { big: 2n ** 60n + 1n, text: '1152921504606846977', list: ['"1152921504606846977"', '\\"12'] }
    const dumped = attempt(() => serializer.dumpb(value))

    if (dumped !== undefined) expect(serializer.loadb(dumped)).toEqual(value)
  })
}

function registerForms(contract: Contract<Serializer>): void {
  const value = { text: 'héllo 😀', list: [1, 2.5, null] }

  contract('reads text also when it comes as bytes', async (serializer) => {
    expect(serializer.loadb(bytesOf(serializer.dumpb(value)))).toEqual(value)
  })

  contract('reads bytes that are part of a larger buffer', async (serializer) => {
    const bytes = bytesOf(serializer.dumpb(value))
    const larger = new Uint8Array(bytes.length + 20).fill(0xff)
    larger.set(bytes, 10)

    expect(serializer.loadb(larger.subarray(10, 10 + bytes.length))).toEqual(value)
    expect(serializer.loadb(Buffer.from(larger.buffer, 10, bytes.length))).toEqual(value)
  })

  contract('changes neither the value nor the bytes', async (serializer) => {
    const dumped = bytesOf(serializer.dumpb(deepFreeze(structuredClone(value))))
    const before = hexOf(dumped)
    serializer.loadb(dumped)

    expect(hexOf(dumped)).toBe(before)
  })

  contract('gives values that share nothing between two calls', async (serializer) => {
    const first = serializer.dumpb({ call: 1, text: 'a'.repeat(100) })
    const before = hexOf(first)
    for (let call = 0; call < 100; call += 1) serializer.dumpb({ call, text: 'b'.repeat(100) })

    expect(hexOf(first)).toBe(before)
  })
}

function registerGarbage(contract: Contract<Serializer>): void {
  contract('refuses empty bytes', async (serializer) => {
    expect(() => serializer.loadb(new Uint8Array())).toThrow()
  })

  contract('refuses garbage', async (serializer) => {
    expect(() => serializer.loadb(Uint8Array.of(0xff, 0xfe, 0xfd, 0xc1))).toThrow()
  })

  contract('refuses truncated bytes', async (serializer) => {
    const bytes = bytesOf(serializer.dumpb({ list: [1, 'two', { three: 3.5 }] }))

    for (let length = 1; length < bytes.length; length += 1) {
      expect(() => serializer.loadb(bytes.subarray(0, length)), `${length} of ${bytes.length} bytes`).toThrow()
    }
  })
}

/** A read integer as a bigint, so that both forms compare. */
function integerOf(value: unknown): unknown {
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value
}

/** What `dump` gives; `undefined` when it refuses. */
function attempt(dump: () => Body): Body | undefined {
  try {
    return dump()
  } catch {
    return undefined
  }
}
