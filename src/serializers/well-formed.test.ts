import { describe, expect, it } from 'vitest'

import { CborSerializer, MsgPackSerializer } from './index.ts'

const HALF = '\u{1F600}'.slice(0, 1)

describe.each([
  ['MsgPack', new MsgPackSerializer()],
  ['CBOR', new CborSerializer()],
])('%s', (_name, serializer) => {
  it.each([
    ['a value', [`a${HALF}`]],
    ['a key', { [`a${HALF}`]: 1 }],
    ['a value far inside', { a: [{ b: `${HALF}a` }] }],
  ])('refuses half a surrogate pair in %s', (_what, value) => {
    expect(() => serializer.dumpb(value)).toThrow(/surrogate.*JSON/)
  })

  it('takes whole characters, and the replacement character itself', () => {
    const value = { '\uFFFD': ['\uFFFD', '\u{1F600}', 'é'] }

    expect(serializer.loadb(serializer.dumpb(value))).toEqual(value)
  })
})
