import { AssertionError } from 'node:assert'

import { describe, expect, it } from 'vitest'

import { until } from './until.ts'

describe('until', () => {
  it('resolves with the first truthy outcome', async () => {
    const outcomes = [undefined, 0, 'there', 'too late']

    expect(await until(() => outcomes.shift(), { timeoutMs: 1_000, everyMs: 1 })).toBe('there')
  })

  it('waits for conditions that take their time', async () => {
    expect(await until(() => Promise.resolve(7), { timeoutMs: 0 })).toBe(7)
  })

  it('gives up after the time, with the condition in the message', async () => {
    const outcome = until(() => undefined, { timeoutMs: 20, everyMs: 1 })

    await expect(outcome).rejects.toThrow(AssertionError)
    await expect(outcome).rejects.toThrow('Not so within 20 ms: () => undefined')
  })

  it('ends with what the condition throws', async () => {
    const failing = (): never => {
      throw new RangeError('broken')
    }

    await expect(until(failing, { timeoutMs: 1_000 })).rejects.toThrow('broken')
  })
})
