import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { MessageError } from '../contract/index.ts'
import { OBJECT_OPS, OP, UNUSED_OPS } from './pickle-format.ts'
import { readPickle } from './pickle-reader.ts'
import { writePickle } from './pickle-writer.ts'

type Part = number | string | Uint8Array

/** Numbers are single bytes, text stands for its UTF-8. */
function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part))))
}

/** Written by Python 3.11, with protocols 2 to 5. */
const PYTHONS = [
  '80049571000000000000007d94288c0669735f65727294898c036c6f67944e8c0c72657475726e5f76616c7565945d94284b018c05c3a9eda080944d2c014a701101004afbffffff8a09000000000000000040473fe000000000000088658c066c6162656c73947d94288c01619468088c0162945d9468086175752e',
  '80049532000000000000007d94288c017494284b014b024b0385942974948c01629443056279746573948c016c945d94285d945d945d94617d9465752e',
  '80027d710028580600000069735f65727271018958030000006c6f6771024e580c00000072657475726e5f76616c756571035d7104284b015805000000c3a9eda08071054d2c014a701101004afbffffff8a09000000000000000040473fe0000000000000886558060000006c6162656c7371067d7107285801000000617108680858010000006271095d710a68086175752e',
  '80037d710028580600000069735f65727271018958030000006c6f6771024e580c00000072657475726e5f76616c756571035d7104284b015805000000c3a9eda08071054d2c014a701101004afbffffff8a09000000000000000040473fe0000000000000886558060000006c6162656c7371067d7107285801000000617108680858010000006271095d710a68086175752e',
  '80059571000000000000007d94288c0669735f65727294898c036c6f67944e8c0c72657475726e5f76616c7565945d94284b018c05c3a9eda080944d2c014a701101004afbffffff8a09000000000000000040473fe000000000000088658c066c6162656c73947d94288c01619468088c0162945d9468086175752e',
  '80037d7100285801000000747101284b014b024b0385710229747103580100000062710443056279746573710558010000006c71065d7107285d71085d71095d710a617d710b65752e',
  '80059532000000000000007d94288c017494284b014b024b0385942974948c01629443056279746573948c016c945d94285d945d945d94617d9465752e',
] as const

/** Opcodes with arguments that fit together. */
const STEPS: readonly (readonly Part[])[] = [
  [OP.NONE],
  [OP.BININT2, 1, 2],
  [OP.LONG1, 2, 0, 0x80],
  [OP.SHORT_BINUNICODE, 1, 'k'],
  [OP.BINUNICODE, 2, 0, 0, 0, 'é'],
  [OP.SHORT_BINBYTES, 1, 0],
  [OP.EMPTY_LIST],
  [OP.EMPTY_LIST, OP.MARK],
  [OP.EMPTY_DICT],
  [OP.EMPTY_DICT, OP.SHORT_BINUNICODE, 9, '__proto__'],
  [OP.MARK],
  [OP.MEMOIZE],
  [OP.APPEND],
  [OP.APPENDS],
  [OP.SETITEM],
  [OP.SETITEMS],
  [OP.TUPLE],
  [OP.TUPLE1],
  [OP.TUPLE2],
]

/** The value or the message of the error, which is never any but the documented one. */
function outcomeOf(body: Uint8Array): string {
  const started = performance.now()
  try {
    return `value ${JSON.stringify(readPickle(body), (_key, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item))}`
  } catch (error) {
    if (!(error instanceof MessageError) || error.code !== 'KIQ_MESSAGE_UNDECODABLE') throw error
    return error.message
  } finally {
    expect(performance.now() - started).toBeLessThan(2_000)
  }
}

describe('every byte', () => {
  it('is an opcode that is read, one that is refused by name, or none', () => {
    const accepted = new Set<number>(Object.values(OP).filter((opcode) => opcode !== OP.PROTO))
    for (let opcode = 0; opcode < 256; opcode += 1) {
      const hex = `0x${opcode.toString(16).padStart(2, '0')}`
      const name = OBJECT_OPS.get(opcode) ?? UNUSED_OPS.get(opcode)
      const outcome = outcomeOf(bytes(OP.PROTO, 4, opcode, Buffer.alloc(20), OP.STOP))

      if (accepted.has(opcode)) {
        expect([name, outcome], hex).toEqual([undefined, expect.not.stringContaining(`(${hex})`)])
      } else {
        expect(outcome, hex).toContain(name ? `opcode ${name} (${hex}) at byte 2 ` : `byte 2 (${hex}) is not an opcode`)
      }
    }
  })

  it('is no beginning, but that of the header', () => {
    for (let first = 0; first < 256; first += 1) {
      const outcome = outcomeOf(bytes(first, 4, OP.NONE, OP.STOP))
      expect(outcome).toMatch(first === OP.PROTO ? /^value null$/ : /not with 80 and a protocol from 02 to 05/)
    }
  })
})

describe('whatever comes', () => {
  const opcodes = fc.constantFrom<number>(...Object.values(OP), ...OBJECT_OPS.keys(), ...UNUSED_OPS.keys())
  const small = fc.integer({ min: 0, max: 3 })
  // Mostly complete opcodes with small arguments, so that many of them do something.
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...STEPS).map((parts) => bytes(...parts)) },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.constantFrom(OP.BINGET, OP.BINPUT, OP.BININT1), small).map((parts) => bytes(...parts)),
    },
    { weight: 1, arbitrary: opcodes.map((opcode) => bytes(opcode)) },
  )
  const valid = fc.oneof(
    fc.jsonValue().map((value) => Buffer.from(writePickle(value))),
    fc.constantFrom(...PYTHONS.map((hex) => Buffer.from(hex, 'hex'))),
  )
  const change = fc.record({
    at: fc.nat(),
    byte: fc.oneof(opcodes, fc.nat(255)),
    kind: fc.constantFrom('set', 'cut', 'put'),
  })

  it('random bytes are a value or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (body) => {
        outcomeOf(body)
        outcomeOf(bytes(OP.PROTO, 4, body))
      }),
      { numRuns: 3_000 },
    )
  })

  it('random opcodes are a value or refused', () => {
    let values = 0
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        if (outcomeOf(bytes(OP.PROTO, 5, ...steps, OP.STOP)).startsWith('value')) values += 1
      }),
      { numRuns: 5_000 },
    )
    expect(values).toBeGreaterThan(10)
  })

  it('changed pickles are a value or refused', () => {
    fc.assert(
      fc.property(valid, fc.array(change, { minLength: 1, maxLength: 5 }), (body, changes) => {
        let changed: Uint8Array = body
        for (const { at, byte, kind } of changes) {
          const place = 2 + (at % Math.max(1, changed.length - 2))
          const after = changed.subarray(kind === 'put' ? place : place + 1)
          changed = kind === 'cut' ? changed.subarray(0, place) : bytes(changed.subarray(0, place), byte, after)
        }
        outcomeOf(changed)
      }),
      { numRuns: 5_000 },
    )
  })

  it('values of which a byte was changed, each byte to each other', () => {
    const body = Buffer.from(PYTHONS[0], 'hex')
    for (let at = 2; at < body.length; at += 1) {
      const changed = Buffer.from(body)
      for (let byte = 0; byte < 256; byte += 1) {
        changed[at] = byte
        outcomeOf(changed)
      }
    }
  })
})
