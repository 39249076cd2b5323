import { afterAll, beforeAll, expect, it } from 'vitest'

import { RedisPubSubBroker, RedisStreamBroker } from '../../../src/adapters/redis/index.ts'
import { silentLogger } from '../../../src/index.ts'
import type { Broker } from '../../../src/index.ts'
import { engineSuite } from '../../support/engine-suite.ts'
import type { RedisServer } from '../../support/redis-server.ts'
import { redisEngine, startRedis } from '../../support/redis-server.ts'
import { until } from '../../../src/testing/until.ts'
import { deferred } from '../../support/deferred.ts'
import { followSuite } from './follow-suite.ts'
import { jobsSuite } from './jobs-suite.ts'
import type { Infer } from './kit.ts'
import { ended, sentiment, startJobs } from './kit.ts'
import { submitFromTwo } from './shared-suite.ts'
import { webhooksSuite } from './webhooks-suite.ts'

engineSuite('jobs on Redis', [redisEngine], () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())
  let connections = 0
  /** With connections of its own, as another process has. */
  const makeBroker = (): Broker => {
    connections += 1
    return new RedisStreamBroker({
      url: server.url,
      logger: silentLogger,
      clientOptions: { connectionName: `jobs-${connections}` },
    })
  }

  jobsSuite('in Redis', makeBroker)
  followSuite('in Redis', makeBroker)
  webhooksSuite('in Redis', makeBroker)

  it('on a transport that neither cancels nor keeps messages are executed, and refuse what it cannot', async () => {
    const broker = new RedisPubSubBroker({ url: server.url, logger: silentLogger })
    const gate = deferred()
    const infer: Infer = async (input, options) => {
      await gate.promise
      return await sentiment(input, options)
    }
    const { jobs } = await startJobs({ broker, infer })
    // What is sent before the worker listens is lost.
    const job = await until(
      async () => {
        const sent = await jobs.submit('m', { message: { text: 'poison' } })
        await broker.waitResult(sent.job.job_id, { timeout: 100 }).catch(() => undefined)
        const seen = await jobs.get(sent.job.job_id)
        return seen?.state === 'running' ? seen : undefined
      },
      { timeoutMs: 15_000 },
    )

    await expect(jobs.cancel(job.job_id)).rejects.toMatchObject({ code: 'KIQ_UNSUPPORTED' })
    gate.resolve()
    expect(await ended(jobs, job.job_id)).toMatchObject({ state: 'failed' })
    await expect(jobs.retry(job.job_id)).rejects.toMatchObject({ code: 'KIQ_UNSUPPORTED' })
  })

  it('of one key that two services are sent at once are one job', async () => {
    const { ids, news, runs } = await submitFromTwo(makeBroker)

    expect(new Set(ids).size).toBe(1)
    expect(news).toBeGreaterThanOrEqual(1)
    expect(runs).toBe(1)
  })
})
