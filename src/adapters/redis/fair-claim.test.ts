import { describe, expect, it } from 'vitest'

import type { RecordingLogger } from '../../../test/support/recording-logger.ts'
import { recordingLogger } from '../../../test/support/recording-logger.ts'
import { FairClaim } from './fair-claim.ts'
import type { Claimed } from './fair-claim.ts'

interface Rig {
  readonly fair: FairClaim<string>
  readonly logger: RecordingLogger
  readonly failures: unknown[]
}

function setup(): Rig {
  const logger = recordingLogger()
  const failures: unknown[] = []
  const fair = new FairClaim<string>({ longestMs: 5_000, logger, onFailure: () => failures.push('failed') })
  return { fair, logger, failures }
}

/** Gives as many as asked for, named after the queue. */
const full = async (queue: string, max: number): Promise<Claimed<string>> => {
  return { deliveries: Array.from({ length: max }, () => queue), waitMs: 5_000 }
}
const empty = async (): Promise<Claimed<string>> => ({ deliveries: [], waitMs: 5_000 })

describe('FairClaim', () => {
  it('asks one queue for everything', async () => {
    expect(await setup().fair.claim(['a'], 3, full)).toEqual({ deliveries: ['a', 'a', 'a'], waitMs: 5_000 })
  })

  it('asks each of several queues for its share', async () => {
    const { deliveries } = await setup().fair.claim(['a', 'b'], 4, full)

    expect(deliveries.toSorted()).toEqual(['a', 'a', 'b', 'b'])
  })

  it('gives every queue its turn when there are more than free slots', async () => {
    const { fair } = setup()
    const came: string[] = []
    for (let i = 0; i < 3; i += 1) came.push(...(await fair.claim(['a', 'b', 'c'], 1, full)).deliveries)

    expect(came.toSorted()).toEqual(['a', 'b', 'c'])
  })

  it('goes on to the next queues when the first have nothing', async () => {
    const { deliveries } = await setup().fair.claim(['a', 'b', 'c'], 1, (queue, max) =>
      queue === 'b' ? full(queue, max) : empty(),
    )

    expect(deliveries).toEqual(['b'])
  })

  it('tells when the first delayed message is due', async () => {
    const due = { a: 700, b: 300 } as const
    const claimFrom = async (queue: string): Promise<Claimed<string>> => {
      return { deliveries: [], waitMs: due[queue as 'a' | 'b'] }
    }

    expect(await setup().fair.claim(['a', 'b'], 10, claimFrom)).toEqual({ deliveries: [], waitMs: 300 })
  })

  it('leaves nothing behind that came from others when one queue fails', async () => {
    const { fair, logger, failures } = setup()
    const claimFrom = async (queue: string, max: number): Promise<Claimed<string>> => {
      if (queue === 'bad') throw new Error('WRONGTYPE')
      return await full(queue, max)
    }

    for (let i = 0; i < 3; i += 1) {
      expect((await fair.claim(['good', 'bad'], 2, claimFrom)).deliveries).toEqual(['good'])
    }

    expect(failures).toEqual(['failed', 'failed', 'failed'])
    // Not once for each claim.
    expect(logger.lines).toMatchObject([{ level: 'error', message: /the others go on/ }])
  })

  it('throws what one queue threw when the others have nothing', async () => {
    const claimFrom = async (queue: string): Promise<Claimed<string>> => {
      if (queue === 'bad') throw new Error('WRONGTYPE')
      return await empty()
    }

    await expect(setup().fair.claim(['good', 'bad'], 2, claimFrom)).rejects.toThrow('WRONGTYPE')
  })
})
