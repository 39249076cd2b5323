import { describe, expect, it } from 'vitest'

import { JobSlots } from './job-slots.ts'

const never = new AbortController().signal
const LONG = 60_000

describe('slots of jobs', () => {
  it('are held by as many as there are, and then by who waits longest', async () => {
    const slots = new JobSlots(1)
    const order: string[] = []
    expect(await slots.acquire({ ms: LONG, signal: never })).toBe('held')
    const first = slots.acquire({ ms: LONG, signal: never }).then((outcome) => order.push(`first ${outcome}`))
    const second = slots.acquire({ ms: LONG, signal: never }).then((outcome) => order.push(`second ${outcome}`))

    slots.release()
    await first
    slots.release()
    await second
    slots.release()

    expect(order).toEqual(['first held', 'second held'])
    expect(await slots.acquire({ ms: LONG, signal: never })).toBe('held')
  })

  it('are not waited for longer than allowed, nor after the signal, nor after they are closed', async () => {
    const slots = new JobSlots(1)
    await slots.acquire({ ms: LONG, signal: never })
    const leave = new AbortController()
    const left = slots.acquire({ ms: LONG, signal: leave.signal })
    const closed = slots.acquire({ ms: LONG, signal: never })

    expect(await slots.acquire({ ms: 1, signal: never })).toBe('over')
    leave.abort()
    expect(await left).toBe('over')
    slots.close()
    expect(await closed).toBe('over')
    slots.release()
    expect(await slots.acquire({ ms: LONG, signal: never })).toBe('over')
  })
})
