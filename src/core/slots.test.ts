import { describe, expect, it } from 'vitest'

import type { Delivery } from '../contract/index.ts'
import { Slots } from './slots.ts'

function setup(concurrency: number, prefetch = 0): { slots: Slots; begun: string[]; handedBack: string[] } {
  const begun: string[] = []
  const handedBack: string[] = []
  const slots = new Slots({
    concurrency,
    prefetch,
    maxDeliveries: 5,
    begin: ({ taskId }) => begun.push(taskId ?? ''),
    handBack: async (deliveries) => void handedBack.push(...deliveries.map(({ taskId }) => taskId ?? '')),
    onFree: () => {},
  })
  return { slots, begun, handedBack }
}

function delivery(taskId: string, attempt = 1): Delivery {
  return { taskId, attempt, queue: 'q', body: '' }
}

describe('Slots', () => {
  it('begins as many as there are slots, and the rest in order as slots become free', () => {
    const { slots, begun } = setup(2, 2)
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((id) => delivery(id)) as [Delivery, Delivery, Delivery, Delivery]

    slots.accept([a, b, c, d])
    expect([begun, slots.free]).toEqual([['a', 'b'], 0])
    slots.done(b)

    expect([begun, slots.free, slots.running]).toEqual([['a', 'b', 'c'], 1, 2])
  })

  it('begins a third delivery only when nothing else runs or waits, and nothing beside it', async () => {
    const { slots, begun, handedBack } = setup(10)
    const [first, suspect, other, last] = ['first', 'suspect', 'other', 'last'].map((id) =>
      delivery(id, id === 'suspect' || id === 'other' ? 3 : 1),
    ) as [Delivery, Delivery, Delivery, Delivery]

    slots.accept([first])
    slots.accept([suspect, other, last])
    expect([begun, slots.free]).toEqual([['first'], 0])
    slots.done(first)
    await Promise.resolve()
    expect([begun, handedBack, slots.free]).toEqual([['first', 'suspect'], ['other', 'last'], 0])
    slots.done(suspect)

    expect([slots.free, slots.hasWaiting]).toEqual([10, false])
    slots.close()
  })

  it('begins nothing after it was closed, and gives out what waits', () => {
    const { slots, begun } = setup(1, 5)
    const [a, b, c] = [delivery('a'), delivery('b'), delivery('c', 3)]
    slots.accept([a])
    slots.accept([b, c])

    slots.close()
    slots.done(a)

    expect(begun).toEqual(['a'])
    expect(slots.takeWaiting().map(({ taskId }) => taskId)).toEqual(['c', 'b'])
    expect(slots.hasWaiting).toBe(false)
  })
})
