import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { deferred } from '../../test/support/deferred.ts'
import { KiqError } from '../contract/index.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { Batcher } from './batcher.ts'
import type { BatcherOptions, BatchOutcome } from './batcher.ts'
import { BusyError } from './busy-error.ts'

type Options = Partial<BatcherOptions<number, number>>

/** A batcher that notes its batches, and whose work lasts until `finish` is called. */
function manual(options: Options = {}) {
  const clock = new FakeClock(0)
  const batches: number[][] = []
  const signals: AbortSignal[] = []
  const pending: (() => void)[] = []
  const batcher = new Batcher<number, number>({
    maxBatchSize: 4,
    clock,
    process: async (items, signal) => {
      batches.push([...items])
      signals.push(signal)
      await new Promise<void>((resolve) => pending.push(resolve))
      return items.map((value) => ({ value: value * 10 }))
    },
    ...options,
  })
  const finish = async (): Promise<void> => {
    pending.shift()?.()
    await turns()
  }
  return { batcher, clock, batches, signals, finish }
}

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve))
}

const errorOf = async (promise: Promise<unknown>): Promise<unknown> => await promise.catch((error: unknown) => error)

describe('a batcher', () => {
  it('puts what comes in one turn of the event loop into one batch', async () => {
    const { batcher, batches, finish } = manual()
    const results = [batcher.submit(1), batcher.submit(2), batcher.submit(3)]
    await turns()

    expect(batches).toEqual([[1, 2, 3]])
    await finish()
    expect(await Promise.all(results)).toEqual([10, 20, 30])
  })

  it('begins at once when a batch is full', async () => {
    const { batcher, batches } = manual({ waitMs: 1_000, concurrency: 2 })
    for (let i = 1; i <= 9; i += 1) void batcher.submit(i)
    await turns()

    expect(batches).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ])
    expect(batcher.stats).toEqual({ waiting: 1, running: 2, batches: 0, items: 0 })
  })

  it('waits for more from the first that waits, not from the last', async () => {
    const { batcher, batches, clock } = manual({ waitMs: 10 })
    void batcher.submit(1)
    await clock.advance(6)
    void batcher.submit(2)
    await clock.advance(3)
    expect(batches).toEqual([])
    await clock.advance(1)
    expect(batches).toEqual([[1, 2]])
  })

  it('collects while all places are taken, and does not wait again after that', async () => {
    const { batcher, batches, clock, finish } = manual({ waitMs: 10 })
    void batcher.submit(1)
    await clock.advance(10)
    void batcher.submit(2)
    void batcher.submit(3)
    await clock.advance(50)
    expect(batches).toEqual([[1]])
    await finish()
    expect(batches).toEqual([[1], [2, 3]])
  })

  it('begins full batches ahead, and no others', async () => {
    const { batcher, batches, finish } = manual({ ahead: 1 })
    for (let i = 1; i <= 9; i += 1) void batcher.submit(i)
    await turns()
    expect(batches).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ])
    await finish()
    expect(batches).toHaveLength(2)

    await finish()

    expect(batches.at(-1)).toEqual([9])
  })

  it('does not count as work what a batch has waited where it is done', async () => {
    const facts: unknown[] = []
    const clock = new FakeClock(0)
    const batcher = new Batcher<number, number>({
      maxBatchSize: 1,
      clock,
      process: async (items, _signal, begins) => {
        await clock.advance(50)
        begins()
        await clock.advance(7)
        return items.map((value) => ({ value }))
      },
      onBatch: (fact) => facts.push(fact),
    })

    await batcher.submit(1)
    await turns()

    expect(facts).toEqual([{ size: 1, ms: 7, waitedMs: [50] }])
  })

  it('ends a batch before the item that would be too much by weight, and lets a heavy one come alone', async () => {
    const { batcher, batches } = manual({ maxBatchSize: 10, weigh: (n) => n, maxBatchWeight: 5, concurrency: 9 })
    for (const n of [2, 2, 3, 9, 1, 1]) void batcher.submit(n)
    await turns()

    expect(batches).toEqual([[2, 2], [3], [9], [1, 1]])
  })

  it('refuses what is more than may wait, and says when to come again', async () => {
    const { batcher, clock, finish } = manual({ maxBatchSize: 1, maxQueueSize: 2 })
    void batcher.submit(1)
    await turns()
    await clock.advance(5_000)
    await finish()
    for (const n of [2, 3, 4]) void batcher.submit(n)
    await turns()

    const error = await errorOf(batcher.submit(5))
    expect(error).toBeInstanceOf(BusyError)
    expect(error).toMatchObject({ code: 'KIQ_SERVE_BUSY', retryAfterMs: 10_000 })
    expect(batcher.stats.waiting).toBe(2)
  })

  it('lets one that is given up leave the queue', async () => {
    const { batcher, batches, clock } = manual({ waitMs: 10, maxQueueSize: 3 })
    const stop = new AbortController()
    const first = errorOf(batcher.submit(1, { signal: stop.signal }))
    await clock.advance(5)
    void batcher.submit(2)
    stop.abort(new Error('gone'))

    expect(await first).toMatchObject({ message: 'gone' })
    expect(batcher.stats.waiting).toBe(1)
    await clock.advance(5)
    // The second has waited for 5 ms only: it is the one that waits longest now.
    expect(batches).toEqual([])
    await clock.advance(5)
    expect(batches).toEqual([[2]])
  })

  it('aborts a batch when nobody waits for any of its items', async () => {
    const { batcher, signals, finish } = manual()
    const stops = [new AbortController(), new AbortController()]
    const results = stops.map(async ({ signal }, i) => await errorOf(batcher.submit(i, { signal })))
    await turns()
    stops[0]?.abort(new Error('first'))
    expect(signals[0]?.aborted).toBe(false)
    stops[1]?.abort(new Error('second'))
    expect(signals[0]?.aborted).toBe(true)

    expect(await Promise.all(results)).toMatchObject([{ message: 'first' }, { message: 'second' }])
    await finish()
    expect(batcher.stats).toMatchObject({ running: 0, batches: 1 })
  })

  it('takes nothing of a signal that has aborted already', async () => {
    const { batcher } = manual()

    await expect(batcher.submit(1, { signal: AbortSignal.abort(new Error('late')) })).rejects.toThrow('late')
    expect(batcher.stats.waiting).toBe(0)
  })

  it('fails one item for itself, and all with what the work itself fails with', async () => {
    const process = async (items: readonly number[]): Promise<readonly BatchOutcome<number>[]> => {
      if (items.includes(0)) throw new Error('all')
      return await Promise.resolve(items.map((n) => (n === 2 ? { error: new Error('two') } : { value: n })))
    }
    const { batcher } = manual({ process, concurrency: 2 })

    const one = [1, 2, 3].map(async (n) => await errorOf(batcher.submit(n)))
    expect(await Promise.all(one)).toEqual([1, new Error('two'), 3])
    const all = [0, 1].map(async (n) => await errorOf(batcher.submit(n)))
    expect(await Promise.all(all)).toEqual([new Error('all'), new Error('all')])
  })

  it('fails an item for which the work gave no outcome', async () => {
    const { batcher } = manual({ process: async () => await Promise.resolve([{ value: 1 }]) })
    const results = [batcher.submit(1), errorOf(batcher.submit(2))]

    expect(await results[0]).toBe(1)
    expect(await results[1]).toMatchObject({ code: 'KIQ_PIPELINE_INVALID' })
  })

  it('works off what waits when it is closed, at once, and takes nothing more', async () => {
    const { batcher, batches, finish } = manual({ waitMs: 60_000 })
    const result = batcher.submit(1)
    const closed = batcher.close()
    await turns()

    expect(batches).toEqual([[1]])
    await expect(batcher.submit(2)).rejects.toMatchObject({ code: 'KIQ_SERVE_STOPPING' })
    await finish()
    expect(await result).toBe(10)
    await closed
    await batcher.close()
  })

  it('fails what waits, and ends what has begun, when it is closed so', async () => {
    const { batcher, finish } = manual({ maxBatchSize: 1 })
    const running = batcher.submit(1)
    await turns()
    const waiting = errorOf(batcher.submit(2))
    const closed = batcher.close({ waiting: 'fail' })

    expect(await waiting).toMatchObject({ code: 'KIQ_SERVE_STOPPING' })
    await finish()
    expect(await running).toBe(10)
    await closed
  })

  it.each([
    [{ maxBatchSize: 0 }, '`maxBatchSize` of a batcher is 0. Use a whole number ≥ 1.'],
    [{ maxQueueSize: 1.5 }, '`maxQueueSize` of a batcher is 1.5.'],
    [{ concurrency: -1 }, '`concurrency` of a batcher is -1.'],
    [{ waitMs: -1 }, '`waitMs` of a batcher is -1. Use milliseconds ≥ 0.'],
    [{ weigh: () => 1 }, '`weigh` and `maxBatchWeight` belong together.'],
  ] satisfies [Options, string][])('refuses %j', (options, message) => {
    expect(() => manual(options)).toThrow(message)
  })

  it('refuses an item that weighs nothing', async () => {
    const { batcher } = manual({ weigh: () => 0, maxBatchWeight: 1 })

    const error = await errorOf(batcher.submit(1))
    expect(KiqError.is(error, 'KIQ_PIPELINE_INVALID')).toBe(true)
  })

  it('gives every item its own outcome, in batches within the limits, whatever comes and goes', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('submit' as const), weight: fc.integer({ min: 1, max: 6 }) }),
      fc.record({ kind: fc.constant('abort' as const), index: fc.nat(30) }),
      fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 12 }) }),
    )
    const limits = fc.record({
      maxBatchSize: fc.integer({ min: 1, max: 5 }),
      waitMs: fc.integer({ min: 0, max: 10 }),
      concurrency: fc.integer({ min: 1, max: 3 }),
      adaptive: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(limits, fc.array(step, { maxLength: 40 }), async (options, steps) => {
        const clock = new FakeClock(0)
        const batches: (readonly { readonly id: number; readonly weight: number }[])[] = []
        const batcher = new Batcher<{ readonly id: number; readonly weight: number }, number>({
          ...options,
          clock,
          weigh: ({ weight }) => weight,
          maxBatchWeight: 8,
          process: async (items) => {
            batches.push(items)
            const done = deferred()
            clock.schedule(5, () => done.resolve())
            await done.promise
            return items.map(({ id }) => ({ value: id }))
          },
        })
        const stops: AbortController[] = []
        const results: Promise<unknown>[] = []
        for (const one of steps) {
          if (one.kind === 'submit') {
            const stop = new AbortController()
            const id = stops.push(stop) - 1
            results.push(errorOf(batcher.submit({ id, weight: one.weight }, { signal: stop.signal })))
          } else if (one.kind === 'abort') {
            stops[one.index]?.abort('given up')
          } else {
            await clock.advance(one.ms)
          }
        }
        const closed = batcher.close()
        await clock.advance(1_000)
        await closed

        const outcomes = await Promise.all(results)
        for (const [id, outcome] of outcomes.entries()) {
          expect([id, ...(stops[id]?.signal.aborted ? ['given up'] : [])]).toContain(outcome)
        }
        const ids = batches.flat().map(({ id }) => id)
        expect(ids).toEqual([...ids].sort((a, b) => a - b))
        expect(new Set(ids).size).toBe(ids.length)
        for (const batch of batches) {
          expect(batch.length).toBeLessThanOrEqual(options.maxBatchSize)
          const weight = batch.reduce((sum, item) => sum + item.weight, 0)
          expect(weight <= 8 || batch.length === 1).toBe(true)
        }
        expect(batcher.stats).toMatchObject({ waiting: 0, running: 0 })
      }),
      { numRuns: 200 },
    )
  })
})

describe('an adaptive batcher', () => {
  /** @param msOf - How long a batch of that size takes. */
  async function settledSize(msOf: (size: number) => number): Promise<readonly number[]> {
    const clock = new FakeClock(0)
    const sizes: number[] = []
    const batcher = new Batcher<number, number>({
      maxBatchSize: 32,
      maxQueueSize: 10_000,
      adaptive: true,
      clock,
      process: async (items) => {
        sizes.push(items.length)
        const done = deferred()
        clock.schedule(msOf(items.length), () => done.resolve())
        await done.promise
        return items.map((value) => ({ value }))
      },
    })
    const all = Array.from({ length: 4_000 }, (_, i) => batcher.submit(i))
    while (batcher.stats.items < 4_000) await clock.advance(1_000)
    await Promise.all(all)
    return sizes.slice(-20, -1)
  }

  it('takes as many as may be where a batch costs little more than an item', async () => {
    const sizes = await settledSize((size) => 10 + size)
    expect(sizes.filter((size) => size === 32).length).toBeGreaterThanOrEqual(18)
  })

  it('takes single items where a batch costs more than they do', async () => {
    const sizes = await settledSize((size) => 10 * size ** 1.2)
    expect(sizes.filter((size) => size === 1).length).toBeGreaterThanOrEqual(18)
  })

  it('stops at the size from which on nothing is gained', async () => {
    const sizes = await settledSize((size) => 20 + (size <= 8 ? size : 8 + 10 * (size - 8)))
    expect(sizes.filter((size) => size === 8).length).toBeGreaterThanOrEqual(18)
  })
})
