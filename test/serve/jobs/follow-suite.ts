import { describe, expect, it } from 'vitest'

import type { Broker } from '../../../src/index.ts'
import type { JobEvent, Jobs } from '../../../src/serve/jobs/index.ts'
import { deferred } from '../../support/deferred.ts'
import type { Infer } from './kit.ts'
import { ended, endless, inState, sentiment, startJobs } from './kit.ts'

/** Events in short: states by their name. */
export function short(event: JobEvent): unknown {
  if (event.type === 'state') return event.job.state
  return event.type === 'progress' ? { progress: event.value } : event.output
}

async function all(jobs: Jobs, id: string): Promise<unknown[]> {
  const events: unknown[] = []
  for await (const event of jobs.follow(id)) events.push(short(event))
  return events
}

/** What followers see on every engine. */
export function followSuite(name: string, makeBroker: () => Broker): void {
  describe(`followers of jobs ${name}`, () => {
    it('see every state, what the model tells meanwhile, and the end last', async () => {
      const gate = deferred()
      const infer: Infer = async (input, { onOutput, onProgress, ...options }) => {
        await gate.promise
        onProgress?.({ page: 1 })
        onOutput?.({ chunk: 'a' })
        onOutput?.({ chunk: 'b' })
        onProgress?.({ page: 2 })
        return await sentiment(input, options)
      }
      const { jobs } = await startJobs({ broker: makeBroker(), infer, concurrency: 1 })
      const first = await jobs.submit('m', { message: { text: 'good' } })
      await inState(jobs, first.job.job_id, 'running')
      const { job } = await jobs.submit('m', { message: { text: 'good' } })

      const seen = all(jobs, job.job_id)
      gate.resolve()

      expect(await seen).toEqual([
        'queued',
        'running',
        { progress: { page: 1 } },
        { chunk: 'a' },
        { chunk: 'b' },
        { progress: { page: 2 } },
        'succeeded',
      ])
      expect(await jobs.get(job.job_id)).toMatchObject({ progress: { page: 2 } })
    })

    it('of a job that has ended see its state and no more', async () => {
      const { jobs } = await startJobs({ broker: makeBroker() })
      const { job } = await jobs.submit('m', { message: { text: 'poison' } })
      await ended(jobs, job.job_id)

      expect(await all(jobs, job.job_id)).toEqual(['failed'])
    })

    it('see the end of a job that is cancelled in its queue', async () => {
      const { jobs } = await startJobs({ broker: makeBroker(), infer: endless, concurrency: 1 })
      const first = await jobs.submit('m', { message: 1 })
      await inState(jobs, first.job.job_id, 'running')
      const { job } = await jobs.submit('m', { message: 2 })

      const seen = all(jobs, job.job_id)
      await jobs.cancel(job.job_id)

      expect((await seen).at(-1)).toBe('cancelled')
    })

    it('leave by their signal', async () => {
      const { jobs } = await startJobs({ broker: makeBroker(), infer: endless })
      const { job } = await jobs.submit('m', { message: 1 })
      const leave = new AbortController()

      const seen: unknown[] = []
      for await (const event of jobs.follow(job.job_id, { signal: leave.signal })) {
        seen.push(short(event))
        if (seen.at(-1) === 'running') leave.abort()
      }

      expect(seen.at(-1)).toBe('running')
    })

    it('of no job are told so', async () => {
      const { jobs } = await startJobs({ broker: makeBroker() })

      await expect(all(jobs, 'nothing')).rejects.toMatchObject({ code: 'KIQ_SERVE_JOB_UNKNOWN' })
      await expect(jobs.cancel('nothing')).rejects.toMatchObject({ code: 'KIQ_SERVE_JOB_UNKNOWN' })
      await expect(jobs.retry('nothing')).rejects.toMatchObject({ code: 'KIQ_SERVE_JOB_UNKNOWN' })
      expect(await jobs.get('nothing')).toBeUndefined()
    })
  })
}
