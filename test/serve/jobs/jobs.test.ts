import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import { deferred } from '../../support/deferred.ts'
import { FakeTransport } from '../../support/fake-transport.ts'
import { Broker, InMemoryBroker, KiqError, silentLogger, Worker } from '../../../src/index.ts'
import type { JobState } from '../../../src/serve/jobs/index.ts'
import { jobsSuite } from './jobs-suite.ts'
import type { Infer } from './kit.ts'
import { ended, endless, inState, makeJobs, memory, sentiment, sqlite, startJobs, temporaryFolder } from './kit.ts'
import { submitFromTwo } from './shared-suite.ts'

jobsSuite('in memory', () => memory())
jobsSuite('in a file', () => sqlite())

describe('jobs', () => {
  it('of one key that two services on one file are sent at once are one job', async () => {
    const path = join(temporaryFolder(), 'jobs.db')

    const { ids, news, runs } = await submitFromTwo(() => sqlite(path))

    expect(new Set(ids).size).toBe(1)
    expect(news).toBeGreaterThanOrEqual(1)
    expect(runs).toBe(1)
  })

  it('run at once as many as the models allow, also in memory', async () => {
    for (const broker of [memory(), sqlite()]) {
      const gate = deferred()
      let running = 0
      let most = 0
      const infer: Infer = async (input, options) => {
        running += 1
        most = Math.max(most, running)
        await gate.promise
        running -= 1
        return await sentiment(input, options)
      }
      const { jobs } = await startJobs({ broker, infer, concurrency: 3 })
      const sent = await Promise.all(Array.from({ length: 9 }, () => jobs.submit('m', { message: { text: 'good' } })))
      await until(() => running === 3, { timeoutMs: 10_000 })
      gate.resolve()
      await Promise.all(sent.map(({ job }) => ended(jobs, job.job_id)))

      expect(most).toBe(3)
    }
  })

  it('that run are finished when their service stops, and those that wait are executed by the next', async () => {
    const path = join(temporaryFolder(), 'jobs.db')
    const gate = deferred()
    const infer: Infer = async (input, options) => {
      await gate.promise
      return await sentiment(input, options)
    }
    const first = await startJobs({ broker: sqlite(path), appName: 'app', infer, concurrency: 1 })
    const sent = [1, 2, 3].map(() => first.jobs.submit('m', { message: { text: 'good' }, success_queue: 's' }))
    const ids = (await Promise.all(sent)).map(({ job }) => job.job_id)
    await until(
      async () => (await Promise.all(ids.map((id) => first.jobs.get(id)))).some((job) => job?.state === 'running'),
      { timeoutMs: 10_000 },
    )

    const stopped = first.jobs.stop({ timeoutMs: 10_000 })
    gate.resolve()
    await stopped
    const second = await startJobs({ broker: sqlite(path), appName: 'app', executes: false })
    const states = (await Promise.all(ids.map((id) => second.jobs.get(id)))).map((job) => job?.state)
    const third = await startJobs({ broker: sqlite(path), appName: 'app' })
    const done = await Promise.all(ids.map((id) => ended(third.jobs, id)))

    expect(states.sort()).toEqual(['queued', 'queued', 'succeeded'])
    expect(done.map(({ state, attempt }) => [state, attempt])).toEqual(ids.map(() => ['succeeded', 1]))
  })

  it('that do not end in time when their service stops go back to their queue, and are no failure', async () => {
    const path = join(temporaryFolder(), 'jobs.db')
    const first = await startJobs({ broker: sqlite(path), appName: 'app', infer: endless })
    const { job } = await first.jobs.submit('m', { message: { text: 'good' }, failure_queue: 'f' })
    await inState(first.jobs, job.job_id, 'running')

    await first.jobs.stop({ timeoutMs: 20 })
    const second = await startJobs({ broker: sqlite(path), appName: 'app', executes: false })

    expect(await second.jobs.get(job.job_id)).toMatchObject({ state: 'queued', started_at: null, attempt: 0 })
    expect(first.queues.messages('f')).toEqual([])
    const third = await startJobs({ broker: sqlite(path), appName: 'app' })
    expect(await ended(third.jobs, job.job_id)).toMatchObject({ state: 'succeeded', attempt: 1 })
  })

  it('that wait for a busy model go back at once when their service stops', async () => {
    const path = join(temporaryFolder(), 'jobs.db')
    const infer: Infer = async () => await Promise.reject(new KiqError('KIQ_SERVE_BUSY', 'full'))
    const first = await startJobs({ broker: sqlite(path), appName: 'app', infer })
    const { job } = await first.jobs.submit('m', { message: { text: 'good' } })
    await inState(first.jobs, job.job_id, 'running')

    await first.jobs.stop({ timeoutMs: 60_000 })
    const second = await startJobs({ broker: sqlite(path), appName: 'app' })

    expect(await ended(second.jobs, job.job_id)).toMatchObject({ state: 'succeeded' })
  })

  it('are executed by any worker of their broker, within the limits of the models', async () => {
    const path = join(temporaryFolder(), 'jobs.db')
    const { jobs } = await startJobs({ broker: sqlite(path), appName: 'app', executes: false })
    const gate = deferred()
    let running = 0
    let most = 0
    const infer: Infer = async (input, options) => {
      running += 1
      most = Math.max(most, running)
      await gate.promise
      running -= 1
      return await sentiment(input, options)
    }
    const elsewhere = makeJobs({ broker: sqlite(path), appName: 'app', infer, concurrency: 2 })
    const worker = new Worker(elsewhere.broker)
    await worker.start()
    const sent = await Promise.all(Array.from({ length: 6 }, () => jobs.submit('m', { message: { text: 'good' } })))
    await until(() => running === 2, { timeoutMs: 10_000 })
    gate.resolve()
    const done = await Promise.all(sent.map(({ job }) => ended(jobs, job.job_id)))

    expect(done.map(({ state }) => state)).toEqual(sent.map(() => 'succeeded'))
    expect(most).toBe(2)
    await worker.stop()
  })

  it('are told with each of their states', async () => {
    const told: (readonly [string, JobState])[] = []
    const { jobs } = await startJobs({ onJob: (model, state) => void told.push([model, state]) })

    for (const text of ['good', 'poison']) {
      const { job } = await jobs.submit('m', { message: { text } })
      await ended(jobs, job.job_id)
    }

    expect(told.map(([, state]) => state)).toEqual(['queued', 'running', 'succeeded', 'queued', 'running', 'failed'])
    expect(new Set(told.map(([model]) => model))).toEqual(new Set(['m']))
  })

  it('are not what they cannot be', async () => {
    const { jobs } = await startJobs()

    const refused = [
      ['other', { message: 1 }, 'KIQ_SERVE_MODEL_UNKNOWN'],
      ['m', {}, 'KIQ_ARGUMENTS_INVALID'],
      ['m', { message: 1, priority: 1 }, 'KIQ_ARGUMENTS_INVALID'],
      ['m', { message: 1, success_queue: 7 }, 'KIQ_ARGUMENTS_INVALID'],
      ['m', { message: 1, meta: [] }, 'KIQ_ARGUMENTS_INVALID'],
      ['m', { message: 1, webhook: 'http://host/' }, 'KIQ_ARGUMENTS_INVALID'],
      ['m', [], 'KIQ_ARGUMENTS_INVALID'],
    ] as const
    for (const [model, request, code] of refused) {
      await expect(jobs.submit(model, request as never)).rejects.toMatchObject({ code })
    }
  })

  it('that are not accepted by the engine are not known afterwards', async () => {
    const broker = new InMemoryBroker({ logger: silentLogger })
    const { jobs } = await startJobs({ broker })
    broker.withMiddlewares({
      preSend: () => {
        throw new Error('no room')
      },
    })

    const key = { idempotencyKey: 'k' }
    await expect(jobs.submit('m', { message: 1 }, key)).rejects.toThrow('no room')
    await expect(jobs.submit('m', { message: 2 }, key)).rejects.toThrow('no room')
  })

  it('need a broker that keeps results, and say what its transport cannot', async () => {
    const without = makeJobs({ broker: new Broker(new FakeTransport({ events: [] })) })

    await expect(without.jobs.start()).rejects.toMatchObject({ code: 'KIQ_NO_RESULT_BACKEND' })
  })
})
