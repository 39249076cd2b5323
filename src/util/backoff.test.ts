import { describe, expect, it } from 'vitest'

import { backoffMs } from './backoff.ts'

const options = { baseMs: 100, maxMs: 1_000 }

describe('backoffMs', () => {
  it.each([
    [1, 50, 100],
    [2, 100, 200],
    [3, 200, 400],
    [4, 400, 800],
    [5, 500, 1_000],
    [1_000, 500, 1_000],
  ])('keeps attempt %i between %i and %i ms', (attempt, least, most) => {
    expect(backoffMs(attempt, options, () => 0)).toBe(least)
    expect(backoffMs(attempt, options, () => 0.999999)).toBe(most)
  })

  it('draws the upper half', () => {
    expect(backoffMs(1, options, () => 0.5)).toBe(75)
  })

  it('draws at random unless told', () => {
    const drawn = new Set(Array.from({ length: 50 }, () => backoffMs(4, { baseMs: 1e6, maxMs: 1e9 })))

    expect(drawn.size).toBeGreaterThan(40)
  })
})
