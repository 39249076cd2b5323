import { describe, expect, it } from 'vitest'

import { sleep } from './abort.ts'

describe('sleep', () => {
  it('takes its time', async () => {
    const startedAt = performance.now()

    await sleep(20)

    expect(performance.now() - startedAt).toBeGreaterThan(18)
  })

  it('ends when the signal aborts', async () => {
    const stop = new AbortController()
    const asleep = sleep(1e9, stop.signal)

    stop.abort()

    await asleep
  })

  it('ends at once when the signal aborted before', async () => {
    await sleep(1e9, AbortSignal.abort())
  })

  it('does not end early when the time is longer than a timer can be', async () => {
    const stop = new AbortController()
    const asleep = sleep(1e12, stop.signal).then(() => 'woke')
    const first = await Promise.race([asleep, sleep(20).then(() => 'still asleep')])

    stop.abort()

    expect(first).toBe('still asleep')
    await asleep
  })

  it('leaves no listener behind', async () => {
    const { signal } = new AbortController()
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1
      remove(...args)
    }

    await sleep(1, signal)

    expect(listeners).toBe(0)
  })
})
