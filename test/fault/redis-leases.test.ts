import { expect, it, onTestFinished } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { sleep } from '../../src/util/abort.ts'
import type { Run } from '../cli/kit.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import { leftovers } from './ledger.ts'
import { RedisProject, SOON } from './redis-project.ts'
import type { LocalWorker } from './redis-workers.ts'
import { messagesOf, startWorker } from './redis-workers.ts'

const LEASE_MS = 1_000
const EMPTY = { ready: 0, delayed: 0, running: 0, dead: 0 }

engineSuite('leases on Redis', [redisEngine], () => {
  it('of a process that sleeps go to another one, and what it did late does not count', async () => {
    const server = await startRedis()
    onTestFinished(() => server.close())
    const project = new RedisProject({ url: server.url, lease: LEASE_MS })
    const { broker, work, listen } = await project.client()
    const supervisors = await Promise.all([1, 2].map(() => project.workers(1, '--concurrency', '4')))
    // Sent in one turn, so that one worker takes both.
    const [short, long] = await Promise.all([work.kiq(1, 3_000), listen.kiq(2, 7_000)])
    const [{ pid: sleepingPid }] = await project.heard('start', 1)
    expect((await project.heard('start', 2))[0].pid).toBe(sleepingPid)
    const sleeper = supervisors.find(({ ready }) => ready.includes(sleepingPid)) as Run
    const other = supervisors.find((one) => one !== sleeper) as Run
    const otherPid = other.ready[0] as number

    process.kill(sleepingPid, 'SIGSTOP')
    const stoppedAt = Date.now()
    const [again] = (await project.heard('start', 1, 2)).slice(1)
    const first = await short.result({ timeout: '10s' })
    await sleep(4 * LEASE_MS - (Date.now() - stoppedAt))
    process.kill(sleepingPid, 'SIGCONT')
    await project.heard('aborted:KIQ_LEASE_LOST', 2)
    await project.heard('end', 1, 2)
    const second = await long.result({ timeout: '15s' })
    await sleeper.logged('its outcome here is dropped')

    expect(first).toEqual({ value: 2, pid: otherPid })
    expect(second).toEqual({ value: 4, pid: otherPid })
    expect(await broker.getResult(short.taskId)).toMatchObject({ returnValue: { pid: otherPid } })
    // It takes new work, under the next name, and holds it as long as it needs.
    other.signal('SIGTERM')
    await other.exit
    const later = await work.kiq(3, 3 * LEASE_MS)
    await project.heard('start', 3)
    expect(await sessionsOf(server)).toEqual([expect.stringMatching(/:2$/)])
    expect(await later.result({ timeout: '15s' })).toEqual({ value: 6, pid: sleepingPid })
    expect(project.told('start', 3)).toHaveLength(1)
    expect(await leftovers(broker)).toEqual(EMPTY)
    const takenAfterMs = (again?.at ?? Infinity) - stoppedAt
    // Also when the one that sleeps was the first in the line for what wakes the others.
    expect(takenAfterMs).toBeLessThan(2 * LEASE_MS)
    console.log(
      `Redis: a worker stopped for ${4 * LEASE_MS} ms, lease ${LEASE_MS} ms: its tasks ran elsewhere after ` +
        `${takenAfterMs} ms, results stored twice 0`,
    )
  }, 60_000)

  it('are kept by tasks that take longer, also when they block the event loop', async () => {
    const server = await startRedis()
    onTestFinished(() => server.close())
    const project = new RedisProject({ url: server.url, lease: LEASE_MS })
    const { broker, work, block } = await project.client()
    await project.workers(2, '--concurrency', '2')

    const [waits, blocks] = await Promise.all([work.kiq(1, 3 * LEASE_MS), block.kiq(2, 3 * LEASE_MS)])
    await Promise.all([waits.result({ timeout: '15s' }), blocks.result({ timeout: '15s' })])

    // Long enough for others to take them over, if they would.
    await sleep(LEASE_MS)
    expect(project.told('start').map(({ n }) => n)).toHaveLength(2)
    expect(await leftovers(broker)).toEqual(EMPTY)
  }, 60_000)

  it('outlive a Redis that does not answer for three of them', async () => {
    const server = await startRedis()
    onTestFinished(() => server.close())
    const project = new RedisProject({ url: server.url, lease: LEASE_MS })
    const { broker, work } = await project.client()
    await project.workers(2, '--concurrency', '10')
    const sent = await work.kiqMany(Array.from({ length: 20 }, (_, n) => [n, n < 10 ? 6_000 : 2_000]))
    await until(() => project.told('start').length === 20, SOON)

    server.pause()
    await sleep(3 * LEASE_MS)
    server.resume()
    const resumedAt = Date.now()
    await Promise.all(sent.map((task) => task.result({ timeout: '20s' })))

    expect(new Set(project.told('start').map(({ pid }) => pid)).size).toBe(2)
    expect(project.told('start').map(({ n, attempt }) => `${n} ${attempt}`)).toHaveLength(20)
    expect(await leftovers(broker)).toEqual(EMPTY)
    const next = await work.kiq(100, 0)
    await next.result({ timeout: '10s' })
    console.log(
      `Redis stopped for ${3 * LEASE_MS} ms, lease ${LEASE_MS} ms: 20 running tasks, executed more than once 0, all done ` +
        `${Date.now() - resumedAt} ms after it went on`,
    )
  }, 60_000)

  it('outlive a Redis that is away for three of them', async () => {
    const server = await startRedis({ appendonly: 'everysec' })
    onTestFinished(() => server.close())
    const options = { url: server.url, lease: LEASE_MS }
    const workers = await Promise.all([1, 2, 3, 4].map(() => startWorker(options, { concurrency: 5 })))
    const [{ work, broker }] = workers as [LocalWorker]
    const sent = await work.kiqMany(Array.from({ length: 20 }, (_, n) => [n, n < 10 ? 6_000 : 2_000]))
    await until(() => workers.flatMap(({ started }) => started).length === 20, SOON)

    await server.kill()
    await sleep(3 * LEASE_MS)
    await server.start()
    await Promise.all(sent.map((task) => task.result({ timeout: '20s' })))

    expect(workers.flatMap(({ started }) => started)).toHaveLength(20)
    expect(workers.flatMap(({ aborted }) => aborted)).toEqual([])
    expect(await leftovers(broker)).toEqual(EMPTY)
  }, 60_000)

  it('look over when Redis comes back and nobody was heard of yet: all get time to renew theirs', async () => {
    const server = await startRedis()
    onTestFinished(() => server.close())
    const options = { url: server.url, lease: LEASE_MS }
    const workers = [await startWorker(options), await startWorker(options)]
    const sessions = async (): Promise<readonly string[]> => (await sessionsOf(server)) as string[]
    await until(async () => (await sessions()).length === 2, SOON)
    const before = await sessions()

    // Either of them may be the first to renew.
    for (let round = 0; round < 10; round += 1) {
      for (const session of before) await server.command('ZADD', 'kiq:{taskiq}:leases', 'XX', '1', session)
      await server.command('DEL', 'kiq:{taskiq}:beat')
      await until(async () => (await server.command('EXISTS', 'kiq:{taskiq}:beat')) === 1, SOON)
    }

    expect(await sessions()).toEqual(before)
    expect(workers.flatMap(({ log }) => messagesOf(log, 'warn'))).toEqual([])
  })
})

/** The names of the sessions of the default queue. */
async function sessionsOf(server: { command(name: string, ...args: string[]): Promise<unknown> }): Promise<unknown> {
  return await server.command('ZRANGE', 'kiq:{taskiq}:leases', '0', '-1')
}
