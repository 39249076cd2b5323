import { describe, expect, it } from 'vitest'

import { randomTaskId } from './task-id.ts'

describe('randomTaskId', () => {
  it('is a UUIDv7 without dashes, of now', () => {
    const before = Date.now()

    const id = randomTaskId()

    expect(id).toMatch(/^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/)
    expect(parseInt(id.slice(0, 12), 16)).toBeGreaterThanOrEqual(before)
    expect(parseInt(id.slice(0, 12), 16)).toBeLessThanOrEqual(Date.now())
  })

  it('does not repeat', () => {
    const ids = Array.from({ length: 100_000 }, randomTaskId)

    expect(new Set(ids).size).toBe(100_000)
  })
})
