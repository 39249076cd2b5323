import { randomUUID } from 'node:crypto'

import type { Broker } from '../../../src/index.ts'
import type { Infer } from './kit.ts'
import { ended, sentiment, startJobs } from './kit.ts'

export interface SubmittedTwice {
  readonly ids: readonly string[]
  /** Requests that were told that their job is new. */
  readonly news: number
  /** Executions. */
  readonly runs: number
}

/** Twenty requests with one key, half of them to another service on the same engine. */
export async function submitFromTwo(makeBroker: () => Broker): Promise<SubmittedTwice> {
  let runs = 0
  const infer: Infer = async (input, options) => {
    runs += 1
    return await sentiment(input, options)
  }
  const appName = randomUUID()
  const first = await startJobs({ broker: makeBroker(), appName, infer })
  const second = await startJobs({ broker: makeBroker(), appName, infer })
  const submitted = await Promise.all(
    Array.from({ length: 20 }, (_, i) => {
      const { jobs } = i % 2 === 0 ? first : second
      return jobs.submit('m', { message: { text: 'good' } }, { idempotencyKey: 'k' })
    }),
  )
  const ids = submitted.map(({ job }) => job.job_id)
  await ended(second.jobs, ids[0] ?? '')
  // A second message would be before this one.
  const { job } = await second.jobs.submit('m', { message: { text: 'good' } })
  await ended(first.jobs, job.job_id)
  return { ids, news: submitted.filter(({ isNew }) => isNew).length, runs: runs - 1 }
}
