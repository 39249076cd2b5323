import { describe, expect, it } from 'vitest'

import { sentAt } from './sent-at.ts'

describe('sentAt()', () => {
  // The example of RFC 9562, appendix A.6.
  const ID = '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'
  const SENT = new Date('2022-02-22T19:22:22Z')

  it.each([ID, ID.toUpperCase(), ID.replaceAll('-', '')])('reads the time of %s', (id) => {
    expect(sentAt(id)).toEqual(SENT)
  })

  it('reads all 48 bits', () => {
    expect(sentAt('00000000-0000-7000-8000-000000000000')).toEqual(new Date(0))
    expect(sentAt('00000000-0001-7000-8000-000000000000')).toEqual(new Date(1))
    expect(sentAt('00010000-0000-7000-bfff-ffffffffffff')).toEqual(new Date(2 ** 32))
  })

  it.each([
    ['a random UUID', 'f47ac10b-58cc-4372-a567-0e02b2c3d479'],
    ['a random UUID without dashes', 'f47ac10b58cc4372a5670e02b2c3d479'],
    ['another variant', '017f22e2-79b0-7cc3-c8c4-dc0c0c07398f'],
    ['text', 'nightly-report'],
    ['nothing', ''],
    ['too much', `${ID}0`],
    ['a time alone', '017f22e279b0'],
  ])('knows no time of %s', (_title, id) => {
    expect(sentAt(id)).toBeUndefined()
  })
})
