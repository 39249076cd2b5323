import { describe, expect, it } from 'vitest'

import { KiqError } from '../../contract/index.ts'
import type { BatchRun } from '../pipeline-host.ts'
import type { ItemOutcome } from '../run-pipeline.ts'
import { BatchAttempts } from './batch-attempts.ts'
import type { RunEnd } from './inference-worker.ts'

interface Out {
  readonly n: number
}

const { signal } = new AbortController()
const died = new KiqError('KIQ_SERVE_WORKER_DIED', 'died')
const lost: RunEnd<Out> = { kind: 'lost', error: died, blame: 'this' }
const innocent: RunEnd<Out> = { kind: 'lost', error: died, blame: 'other' }

type Attempt = (inputs: readonly number[], run: BatchRun<Out>) => RunEnd<Out> | Promise<RunEnd<Out>>

/** The outcomes, in short, and the batches that were tried. */
async function attempts(
  count: number,
  attempt: Attempt,
  options: { readonly retries?: number; readonly run?: BatchRun<Out> } = {},
) {
  const { retries = 1, run = { signal } } = options
  const tried: (readonly number[])[] = []
  const inputs = Array.from({ length: count }, (_, n) => n)
  const outcomes = await new BatchAttempts<number, Out>(inputs, run, {
    retries,
    attempt: async (part, partRun) => {
      tried.push(part)
      return await attempt(part, partRun)
    },
  }).outcomes()
  return { tried, outcomes: outcomes.map((one) => ('output' in one ? one.output.n : (one.error as Error).message)) }
}

function done(inputs: readonly number[], isPoisoned = false): RunEnd<Out> {
  return {
    kind: 'done',
    isPoisoned,
    outcomes: inputs.map((n): ItemOutcome<Out> => ({ output: { status: 'success', n } })),
  }
}

describe('the attempts at a batch', () => {
  it('are one when all goes well, also when inputs fail', async () => {
    const error = new Error('bad')

    const { tried, outcomes } = await attempts(2, () => ({
      kind: 'done',
      isPoisoned: false,
      outcomes: [{ output: { status: 'success', n: 0 } }, { error }],
    }))

    expect(outcomes).toEqual([0, 'bad'])
    expect(tried).toEqual([[0, 1]])
  })

  it('go on in halves when a worker dies, and for a single input as often as told', async () => {
    const { tried, outcomes } = await attempts(4, (part) => (part.includes(2) ? lost : done(part)), { retries: 2 })

    expect(outcomes).toEqual([0, 1, 'died', 3])
    expect(tried).toEqual([[0, 1, 2, 3], [0, 1], [2, 3], [2], [2], [2], [3]])
  })

  it('do not count when another batch was to blame, within a bound', async () => {
    let left = 3
    expect(await attempts(2, (part) => (left-- > 0 ? innocent : done(part)), { retries: 0 })).toMatchObject({
      outcomes: [0, 1],
      tried: [
        [0, 1],
        [0, 1],
        [0, 1],
        [0, 1],
      ],
    })

    const { outcomes } = await attempts(2, () => innocent, { retries: 0 })
    expect(outcomes).toEqual(['died', 'died'])
  })

  it('are for those only that a poisoned worker has failed', async () => {
    const error = new Error('poison')
    const attempt = (part: readonly number[]): RunEnd<Out> => ({
      kind: 'done',
      isPoisoned: part.includes(3),
      outcomes: part.map((n) => (part.includes(3) && n > 0 ? { error } : { output: { status: 'success', n } })),
    })

    const { tried, outcomes } = await attempts(4, attempt)

    expect(outcomes).toEqual([0, 1, 2, 'poison'])
    expect(tried).toEqual([[0, 1, 2, 3], [1, 2], [3], [3]])
  })

  it('leave out inputs that cannot be sent', async () => {
    const errors = new Map([[1, new KiqError('KIQ_ARGUMENTS_UNSERIALIZABLE', 'a function')]])

    const { tried, outcomes } = await attempts(3, (part) =>
      part.includes(1) ? { kind: 'unsendable', errors } : done(part),
    )

    expect(outcomes).toEqual([0, 'a function', 2])
    expect(tried).toEqual([
      [0, 1, 2],
      [0, 2],
    ])
  })

  it('end when there is no worker', async () => {
    const { tried, outcomes } = await attempts(2, () => Promise.reject(new Error('none')))

    expect(outcomes).toEqual(['none', 'none'])
    expect(tried).toHaveLength(1)
  })

  it('end with the reason when the signal aborts', async () => {
    const controller = new AbortController()
    const attempt = (): RunEnd<Out> => {
      controller.abort(new Error('late'))
      return {
        kind: 'done',
        isPoisoned: true,
        outcomes: [{ output: { status: 'success', n: 0 } }, { error: new Error('copy') }],
      }
    }

    const { tried, outcomes } = await attempts(2, attempt, { run: { signal: controller.signal } })

    expect(outcomes).toEqual([0, 'late'])
    expect(tried).toHaveLength(1)
  })

  it('end when an output was told, and tell it under its position in the whole batch', async () => {
    const told: unknown[] = []
    const run: BatchRun<Out> = { signal, followed: new Set([3]), onOutput: (index, { n }) => told.push([index, n]) }
    const attempt: Attempt = (part, { onOutput, followed }) => {
      if (part.length === 4) return lost
      for (const index of followed ?? []) onOutput?.(index, { status: 'success', n: part[index] ?? -1 })
      return part.includes(3) ? lost : done(part)
    }

    const { tried, outcomes } = await attempts(4, attempt, { run })

    expect(told).toEqual([[3, 3]])
    expect(outcomes).toEqual([0, 1, 'died', 'died'])
    expect(tried).toEqual([
      [0, 1, 2, 3],
      [0, 1],
      [2, 3],
    ])
  })
})
