import { expect, it, onTestFinished } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { engineSuite } from '../support/engine-suite.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import type { ServeSetting } from './serve-project.ts'
import { ServeProject, SOON } from './serve-project.ts'

const JOBS = 100
const LONG = { timeoutMs: 60_000 }

async function open(): Promise<{ readonly redis: RedisServer; readonly setting: ServeSetting }> {
  const redis = await startRedis({ appendonly: 'always' })
  onTestFinished(async () => await redis.close())
  const settings = { asyncConfig: { brokerUrl: `${redis.url}?lease=3s` }, batchConfig: { maxBatchSize: 4 } }
  return { redis, setting: { settings } }
}

function idsOf(project: ServeProject): ReadonlySet<string> {
  return new Set(project.queue('done').map(({ job_id }) => job_id))
}

engineSuite('jobs on Redis', [redisEngine], () => {
  it('of a server that is killed are all finished by the next one', async () => {
    const { setting } = await open()
    const project = new ServeProject({ ...setting, workers: { min: 1, max: 1 } })
    const first = await project.server()
    const ids = await Promise.all(Array.from({ length: JOBS }, async (_, n) => await first.submit(`gate ${n}`)))
    await until(() => project.events.length > 0, SOON)

    await first.kill()
    project.open('gate')
    const second = await project.server()
    await until(() => idsOf(project).size === JOBS, LONG)

    expect(idsOf(project)).toEqual(new Set(ids))
    for (const id of ids) await second.inState(id, 'succeeded')
  }, 120_000)

  it('survive a restart of Redis, and are refused with 503 while it is away', async () => {
    const { redis, setting } = await open()
    const project = new ServeProject(setting)
    const server = await project.server()
    const ids = await Promise.all(Array.from({ length: 20 }, async (_, n) => await server.submit(`gate ${n}`)))
    await until(() => project.events.length > 0, SOON)

    await redis.kill()
    const [refused, unknown] = await Promise.all([
      server.post('/predict_async', { message: { text: 'a' } }),
      server.get(`/jobs/${ids[0]}`),
    ])
    // What runs ends while nothing can be stored.
    project.open('gate')
    const direct = await server.predict('at once')
    await redis.start()

    expect(refused).toMatchObject({ status: 503 })
    expect(unknown).toMatchObject({ status: 503 })
    expect(JSON.stringify([refused, unknown])).not.toContain(String(redis.port))
    expect(direct).toMatchObject({ status: 200 })
    for (const id of ids) await server.inState(id, 'succeeded')
    expect(idsOf(project)).toEqual(new Set(ids))
    const later = await server.submit('later')
    await server.inState(later, 'succeeded')
  }, 120_000)

  it('are executed once each by two servers', async () => {
    const { setting } = await open()
    const project = new ServeProject(setting)
    const [one, other] = await Promise.all([project.server(), project.server()])
    const texts = Array.from({ length: JOBS }, (_, n) => `gate ${n}`)

    const ids = await Promise.all(texts.map(async (text, n) => await (n % 2 === 0 ? one : other).submit(text)))
    await until(() => new Set(project.events.map(({ pid }) => pid)).size === 2, SOON)
    project.open('gate')
    for (const id of ids) expect(await one.inState(id, 'succeeded')).toEqual(await other.job(id))

    const executed = project.events.filter(({ event }) => event === 'end').flatMap((event) => event.texts)
    expect(executed.toSorted()).toEqual(texts.toSorted())
    expect(project.queue('done')).toHaveLength(JOBS)
  }, 120_000)
})
