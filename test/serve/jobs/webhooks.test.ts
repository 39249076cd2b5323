import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import { makeJobs, memory, sqlite, temporaryFolder } from './kit.ts'
import { receiver, start, webhookIn, webhooksSuite } from './webhooks-suite.ts'

webhooksSuite('in memory', () => memory())
webhooksSuite('in a file', () => sqlite())

describe('webhooks of jobs', () => {
  it('are sent after a restart between the end of the job and them', async () => {
    const path = join(temporaryFolder(), 'jobs.db')
    let isUp = false
    const { url, calls } = await receiver((response) => response.writeHead(isUp ? 200 : 503).end())
    const before = await start({ broker: sqlite(path), appName: 'app', webhookBackoff: { baseMs: 200, maxMs: 200 } })
    const { job } = await before.jobs.submit('m', { message: { text: 'good' }, webhook: { url } })
    await until(() => calls.length > 0, { timeoutMs: 10_000 })
    await before.jobs.stop({ timeoutMs: 5_000 })
    isUp = true

    const after = await start({ broker: sqlite(path), appName: 'app' })

    expect((await webhookIn(after.jobs, job.job_id, 'delivered'))?.attempts).toBeGreaterThan(1)
    expect(calls.at(-1)?.body).toMatchObject({ type: 'job.succeeded', data: { job_id: job.job_id } })
  })

  it('that are not allowed, or not sent here, are refused with the request', async () => {
    const { jobs } = await start({})
    const without = makeJobs()

    const request = { message: 1, webhook: { url: 'ftp://host/' } }
    await expect(jobs.submit('m', request)).rejects.toMatchObject({ code: 'KIQ_ARGUMENTS_INVALID' })
    await without.jobs.start()
    await expect(without.jobs.submit('m', { message: 1, webhook: { url: 'http://127.0.0.1/' } })).rejects.toMatchObject(
      { code: 'KIQ_ARGUMENTS_INVALID' },
    )
  })
})
