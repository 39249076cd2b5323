import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { MAX_WAITING_OUTPUTS } from '../../../src/serve/jobs/follow-job.ts'
import { deferred } from '../../support/deferred.ts'
import { followSuite, short } from './follow-suite.ts'
import type { Infer } from './kit.ts'
import { ended, makeJobs, memory, sentiment, sqlite, startJobs, temporaryFolder } from './kit.ts'

followSuite('in memory', () => memory())
followSuite('in a file', () => sqlite())

describe('followers of jobs', () => {
  it('that do not read lose older progress, and are ended when too many outputs wait', async () => {
    const told = deferred()
    const gate = deferred()
    const infer: Infer = async (input, { onOutput, onProgress, ...options }) => {
      for (let i = 0; i < 100_000; i += 1) onProgress?.(i)
      told.resolve()
      await gate.promise
      for (let i = 0; i <= MAX_WAITING_OUTPUTS; i += 1) onOutput?.({ i })
      return await sentiment(input, options)
    }
    const { jobs } = makeJobs({ infer, executes: false })
    await jobs.start()
    const { job } = await jobs.submit('m', { message: { text: 'good' } })
    const events = jobs.follow(job.job_id)[Symbol.asyncIterator]()
    await events.next()
    await told.promise

    const seen: unknown[] = []
    for (let one = await events.next(); one.done !== true; one = await events.next()) {
      seen.push(short(one.value))
      if (typeof seen.at(-1) === 'object') break
    }
    gate.resolve()
    await ended(jobs, job.job_id)

    expect(seen.at(-1)).toEqual({ progress: 99_999 })
    await expect(events.next()).rejects.toMatchObject({ code: 'KIQ_SERVE_BUSY' })
  })

  it('see the states and the progress of a job that another process executes', async () => {
    const path = join(temporaryFolder(), 'jobs.db')
    const gates = [deferred(), deferred()]
    const infer: Infer = async (input, { onProgress, ...options }) => {
      onProgress?.('half')
      await gates[1]?.promise
      return await sentiment(input, options)
    }
    const { jobs } = await startJobs({ broker: sqlite(path), executes: false, appName: 'app' })
    const worker = await startJobs({ broker: sqlite(path), infer, appName: 'app' })
    const { job } = await jobs.submit('m', { message: { text: 'good' } })

    const seen: unknown[] = []
    for await (const event of jobs.follow(job.job_id)) {
      seen.push(short(event))
      if (typeof event === 'object' && event.type === 'progress') gates[1]?.resolve()
    }

    expect(seen.filter((one) => one !== 'queued' && one !== 'running')).toEqual([{ progress: 'half' }, 'succeeded'])
    await worker.jobs.stop({ timeoutMs: 1_000 })
  })
})
