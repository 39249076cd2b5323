import { describe, expect, it } from 'vitest'

import { retryAfterMs } from './retry-after.ts'

const NOW = Date.UTC(2030, 0, 1)

describe('the header Retry-After', () => {
  it.each([
    ['0', 0],
    [' 120 ', 120_000],
    ['86400', 3_600_000],
    ['9'.repeat(400), 3_600_000],
    ['Tue, 01 Jan 2030 00:02:00 GMT', 120_000],
    ['Tuesday, 01-Jan-30 00:02:00 GMT', 120_000],
    ['Wed, 02 Jan 2030 00:00:00 GMT', 3_600_000],
    ['Mon, 31 Dec 2029 23:59:00 GMT', 0],
    ['Tue, 01 Foo 2030', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['2030-01-01', undefined],
    ['', undefined],
    [null, undefined],
  ])('%j is %j ms', (header, ms) => {
    expect(retryAfterMs(header, NOW)).toBe(ms)
  })
})
