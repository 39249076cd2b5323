import { describe, expect, it } from 'vitest'

import { Heap } from './heap.ts'

function numbers(items: readonly number[]): Heap<number> {
  const heap = new Heap<number>((a, b) => a < b)
  for (const item of items) heap.push(item)
  return heap
}

function drain(heap: Heap<number>): number[] {
  const drained: number[] = []
  while (heap.size > 0) drained.push(heap.pop() as number)
  return drained
}

/** Small linear congruential generator: the same shuffles in every run. */
function pseudoRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

describe('Heap', () => {
  it('gives undefined when empty', () => {
    const heap = numbers([])

    expect([heap.size, heap.peek(), heap.pop()]).toEqual([0, undefined, undefined])
  })

  it.each([[[1]], [[2, 1]], [[3, 1, 2]], [[5, 5, 1, 5]], [[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]])('sorts %j', (items) => {
    expect(drain(numbers(items))).toEqual([...items].sort((a, b) => a - b))
  })

  it('shows the first item without taking it', () => {
    const heap = numbers([3, 1, 2])

    expect([heap.peek(), heap.size]).toEqual([1, 3])
  })

  it('iterates over all items', () => {
    expect([...numbers([3, 1, 2])].sort()).toEqual([1, 2, 3])
  })

  it('extracts what fits and keeps the order of the rest', () => {
    const heap = numbers([8, 3, 5, 1, 9, 2, 7])

    const odd = heap.extract((item) => item % 2 === 1)

    expect(odd.sort()).toEqual([1, 3, 5, 7, 9])
    expect(drain(heap)).toEqual([2, 8])
  })

  it('agrees with a sorted array over random pushes, pops and extractions', () => {
    const random = pseudoRandom(7)
    const heap = numbers([])
    let model: number[] = []
    for (let step = 0; step < 5_000; step += 1) {
      const choice = random()
      if (choice < 0.6) {
        const item = Math.floor(random() * 100)
        heap.push(item)
        model = [...model, item].sort((a, b) => a - b)
      } else if (choice < 0.98) {
        expect(heap.pop()).toBe(model.shift())
      } else {
        const limit = Math.floor(random() * 100)
        heap.extract((item) => item > limit)
        model = model.filter((item) => item <= limit)
      }
      expect(heap.size).toBe(model.length)
    }
    expect(drain(heap)).toEqual(model)
  })
})
