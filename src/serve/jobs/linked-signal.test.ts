import { getEventListeners } from 'node:events'

import { describe, expect, it } from 'vitest'

import { linkedSignal } from './linked-signal.ts'

describe('a linked signal', () => {
  it('aborts with the first of the others, and leaves no listener', () => {
    const [a, b] = [new AbortController(), new AbortController()]
    const { signal } = linkedSignal(a.signal, b.signal)

    b.abort('why')

    expect(signal.reason).toBe('why')
    expect(getEventListeners(a.signal, 'abort')).toEqual([])
  })

  it('is aborted from the start when one of the others is', () => {
    const other = new AbortController()
    const { signal } = linkedSignal(other.signal, AbortSignal.abort('over'))

    expect(signal.reason).toBe('over')
    expect(getEventListeners(other.signal, 'abort')).toEqual([])
  })

  it('does not abort once it is unlinked', () => {
    const other = new AbortController()
    const { signal, unlink } = linkedSignal(other.signal)

    unlink()
    other.abort()

    expect(signal.aborted).toBe(false)
  })
})
