import { describe, expect, it } from 'vitest'

import { requirePeer, toBytes } from './peer.ts'

describe('requirePeer', () => {
  it('loads an installed package', () => {
    expect(requirePeer('msgpackr', 'a test')).toHaveProperty('Packr')
  })

  it('names the install command of a missing one', () => {
    expect(() => requirePeer('no-such-package-of-ours', 'MsgPackSerializer')).toThrow(
      expect.objectContaining({
        name: 'ConfigError',
        code: 'KIQ_PEER_MISSING',
        message:
          'MsgPackSerializer needs the package "no-such-package-of-ours", which is not installed. ' +
          'Run `npm install no-such-package-of-ours`.',
      }),
    )
  })
})

describe('toBytes', () => {
  it('writes text as UTF-8 and leaves bytes alone', () => {
    const bytes = new Uint8Array([1])

    expect(toBytes('é')).toEqual(Buffer.from([0xc3, 0xa9]))
    expect(toBytes(bytes)).toBe(bytes)
  })
})
