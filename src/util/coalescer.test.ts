import { describe, expect, it } from 'vitest'

import { Coalescer } from './coalescer.ts'

interface Batch {
  readonly items: readonly number[]
  readonly answer: (outcomes: readonly string[]) => void
  readonly fail: (error: unknown) => void
}

/** A coalescer whose batches the test answers. */
function setup(maxBatch = 100) {
  const batches: Batch[] = []
  let arrived = (): void => {}
  const coalescer = new Coalescer<number, string>((items) => {
    return new Promise((answer, fail) => {
      batches.push({ items, answer, fail })
      arrived()
    })
  }, maxBatch)
  const batch = async (position: number): Promise<Batch> => {
    while (batches[position] === undefined) await new Promise<void>((resolve) => (arrived = resolve))
    return batches[position]
  }
  return { coalescer, batches, batch }
}

/** Until the loop has turned a few times. */
async function turns(): Promise<void> {
  for (let i = 0; i < 5; i += 1) await new Promise(setImmediate)
}

describe('Coalescer', () => {
  it('hands over what was added in one turn as one batch, in order', async () => {
    const { coalescer, batch } = setup()

    const outcomes = [coalescer.add([1, 2]), coalescer.add([3]), Promise.resolve().then(() => coalescer.add([4]))]
    const first = await batch(0)
    first.answer(['a', 'b', 'c', 'd'])

    expect(first.items).toEqual([1, 2, 3, 4])
    expect(await Promise.all(outcomes)).toEqual([['a', 'b'], ['c'], ['d']])
  })

  it('collects what is added while a batch is under way', async () => {
    const { coalescer, batch, batches } = setup()
    const outcomes = [coalescer.add([1])]
    const first = await batch(0)

    outcomes.push(coalescer.add([2]))
    await turns()
    outcomes.push(coalescer.add([3]))
    expect(batches.length).toBe(1)
    first.answer(['a'])
    const second = await batch(1)
    second.answer(['b', 'c'])

    expect(second.items).toEqual([2, 3])
    expect(await Promise.all(outcomes)).toEqual([['a'], ['b'], ['c']])
  })

  it('hands over at most maxBatch at once, one batch after the other', async () => {
    const { coalescer, batch, batches } = setup(2)
    const outcomes = [1, 2, 3, 4, 5].map((item) => coalescer.add([item]))

    ;(await batch(0)).answer(['a', 'b'])
    ;(await batch(1)).answer(['c', 'd'])
    ;(await batch(2)).answer(['e'])

    expect(await Promise.all(outcomes)).toEqual([['a'], ['b'], ['c'], ['d'], ['e']])
    expect(batches.map(({ items }) => items)).toEqual([[1, 2], [3, 4], [5]])
  })

  it('keeps a group together that is larger than a batch', async () => {
    const { coalescer, batch, batches } = setup(2)
    const outcomes = [coalescer.add([1]), coalescer.add([2, 3, 4]), coalescer.add([5])]

    ;(await batch(0)).answer(['a'])
    ;(await batch(1)).answer(['b', 'c', 'd'])
    ;(await batch(2)).answer(['e'])

    expect(await Promise.all(outcomes)).toEqual([['a'], ['b', 'c', 'd'], ['e']])
    expect(batches.map(({ items }) => items)).toEqual([[1], [2, 3, 4], [5]])
  })

  it('gives every group no outcomes when the flush has nothing to say', async () => {
    const { coalescer, batch } = setup()
    const outcomes = [coalescer.add([1]), coalescer.add([2, 3])]

    ;(await batch(0)).answer([])

    expect(await Promise.all(outcomes)).toEqual([[], []])
  })

  it('rejects a whole batch when its flush rejects, and goes on', async () => {
    const { coalescer, batch } = setup()
    const failing = [coalescer.add([1]), coalescer.add([2])].map((one) => one.catch((error: unknown) => error))
    ;(await batch(0)).fail('down')

    const next = coalescer.add([3])
    ;(await batch(1)).answer(['up'])

    expect(await Promise.all(failing)).toEqual(['down', 'down'])
    expect(await next).toEqual(['up'])
  })

  it('rejects also when the flush rejects with nothing', async () => {
    const { coalescer, batch } = setup()
    const failing = coalescer.add([1]).catch((error: unknown) => error)

    ;(await batch(0)).fail(undefined)

    expect(await failing).toBeInstanceOf(Error)
  })

  it('tells a group once, with its outcomes or the error', async () => {
    const { coalescer, batch } = setup()
    const told: unknown[] = []

    coalescer.push([1], (error, outcomes) => told.push([error, outcomes]))
    ;(await batch(0)).answer(['a'])
    await turns()
    coalescer.push([2], (error, outcomes) => told.push([error, outcomes]))
    ;(await batch(1)).fail('down')
    await turns()

    expect(told).toEqual([
      [undefined, ['a']],
      [{ reason: 'down' }, []],
    ])
  })

  it('is drained at once when nothing waits', async () => {
    await setup().coalescer.drained()
  })

  it('is drained when the last batch is answered, failed ones included', async () => {
    const { coalescer, batch } = setup(1)
    const outcomes = [coalescer.add([1]), coalescer.add([2]).catch((error: unknown) => error)]
    let drained = false
    const drain = coalescer.drained().then(() => (drained = true))

    ;(await batch(0)).answer(['a'])
    const last = await batch(1)
    await turns()
    expect(drained).toBe(false)
    last.fail('down')

    await drain
    expect(await Promise.all(outcomes)).toEqual([['a'], 'down'])
  })
})
