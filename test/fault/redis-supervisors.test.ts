import { expect, it, onTestFinished } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { kill } from '../cli/kit.ts'
import { engineSuite } from '../support/engine-suite.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import type { LedgerLine } from './ledger.ts'
import { leftovers } from './ledger.ts'
import { RedisProject, SOON } from './redis-project.ts'

const EMPTY = { ready: 0, delayed: 0, running: 0, dead: 0 }
const LEASE_MS = 3_000
const TASKS = 10

engineSuite('supervisors of workers on Redis', [redisEngine], () => {
  it('hand back within a second what a process held that was killed', async () => {
    const server = await open()
    const project = new RedisProject({ url: server.url })
    const { broker, work } = await project.client()
    const supervisor = await project.workers(2, '--concurrency', '20')
    const sent = await work.kiqMany(Array.from({ length: TASKS }, (_, n) => [n, 2_000]))
    await until(() => project.told('start').length === TASKS, SOON)
    const [{ pid: victim }] = await project.heard('start', 0)

    const killedAt = Date.now()
    kill(victim)
    await Promise.all(sent.map((task) => task.result({ timeout: '20s' })))

    const again = restarts(project.ledger, victim, killedAt)
    console.log(
      `Redis: a process killed with ${again.length} tasks, its supervisor lives: started elsewhere after ` +
        `${Math.min(...again)} to ${Math.max(...again)} ms`,
    )
    expect(again.length).toBeGreaterThan(0)
    expect(Math.max(...again)).toBeLessThan(1_000)
    await supervisor.logged('Handed back')
    expect(await leftovers(broker)).toEqual(EMPTY)
  }, 60_000)

  it('that are killed with all their processes lose what they held within the lease', async () => {
    const server = await open()
    const project = new RedisProject({ url: server.url, lease: LEASE_MS })
    const { broker, work } = await project.client()
    const first = await project.workers(2, '--concurrency', '5')
    const sent = await work.kiqMany(Array.from({ length: TASKS }, (_, n) => [n, 4_000]))
    await until(() => project.told('start').length === TASKS, SOON)
    const pids = new Set(project.told('start').map(({ pid }) => pid))
    await project.workers(1, '--concurrency', '20')

    const killedAt = Date.now()
    await project.kill(first)
    await Promise.all(sent.map((task) => task.result({ timeout: '20s' })))

    const running = [...pids].flatMap((pid) => restarts(project.ledger, pid, killedAt))
    console.log(
      `Redis: a supervisor killed with its processes and ${running.length} tasks, lease ${LEASE_MS} ms: started elsewhere ` +
        `after ${Math.min(...running)} to ${Math.max(...running)} ms`,
    )
    expect(running).toHaveLength(TASKS)
    expect(Math.max(...running)).toBeLessThan(LEASE_MS + 500)
    expect(await leftovers(broker)).toEqual(EMPTY)
  }, 60_000)

  it('that are stopped hand back at once what was fetched ahead, and leave nothing behind', async () => {
    const server = await open()
    const project = new RedisProject({ url: server.url })
    const { broker, work } = await project.client()
    const sent = await work.kiqMany(Array.from({ length: TASKS }, (_, n) => [n, 2_000]))
    const first = await project.workers(1, '--concurrency', '2', '--prefetch', '8')
    await until(() => project.told('start').length === 2, SOON)
    const second = await project.workers(1, '--concurrency', '20')
    expect(project.told('start')).toHaveLength(2)

    const stoppedAt = Date.now()
    first.signal('SIGTERM')
    await until(() => project.told('start').length === TASKS, SOON)
    const handedBackMs = (project.told('start').at(-1)?.at ?? 0) - stoppedAt
    expect(await first.exit).toBe(0)
    const results = await Promise.all(sent.map((task) => task.result({ timeout: '20s' })))
    second.signal('SIGTERM')
    expect(await second.exit).toBe(0)

    console.log(
      `Redis: a worker stopped by SIGTERM: what it had fetched ahead was started elsewhere after ${handedBackMs} ms`,
    )
    expect(handedBackMs).toBeLessThan(1_000)
    expect(results.map(({ value }) => value)).toEqual(sent.map((_task, n) => n * 2))
    expect(project.told('start').map(({ n, attempt }) => [n, attempt])).toHaveLength(TASKS)
    expect(project.told('start').filter(({ attempt }) => attempt !== 1)).toEqual([])
    expect(await leftovers(broker)).toEqual(EMPTY)
    expect(await pendingIn(server)).toEqual([0, 0])
    expect(await consumersOf(server)).toEqual([])
    expect(await server.command('ZCARD', 'kiq:{taskiq}:leases')).toBe(0)
  }, 60_000)
})

async function open(): Promise<RedisServer> {
  const server = await startRedis()
  onTestFinished(() => server.close())
  return server
}

/** Milliseconds from the kill to the next start of each task that was running in that process. */
function restarts(ledger: readonly LedgerLine[], pid: number, killedAt: number): readonly number[] {
  const ran = ledger.filter((line) => line.pid === pid && line.event === 'start')
  const ended = new Set(ledger.filter((line) => line.pid === pid && line.event === 'end').map(({ n }) => n))
  return ran
    .filter(({ n }) => !ended.has(n))
    .flatMap(({ n }) => {
      const next = ledger.filter((line) => line.n === n && line.event === 'start' && line.pid !== pid)
      return next.length === 0 ? [] : [Math.min(...next.map(({ at }) => at)) - killedAt]
    })
}

async function pendingIn(server: RedisServer): Promise<readonly unknown[]> {
  const streams = ['taskiq', 'kiq:{taskiq}:taken']
  return await Promise.all(
    streams.map(async (stream) => ((await server.command('XPENDING', stream, 'taskiq')) as unknown[])[0]),
  )
}

/** Names of all that still take messages; not of the place where messages wait to be delivered again. */
async function consumersOf(server: RedisServer): Promise<readonly string[]> {
  const streams = ['taskiq', 'kiq:{taskiq}:taken', 'kiq:{taskiq}:wake']
  const found = await Promise.all(
    streams.map(async (stream) => (await server.command('XINFO', 'CONSUMERS', stream, 'taskiq')) as unknown[][]),
  )
  return found
    .flat()
    .map((fields) => String(fields[1]))
    .filter((name) => name !== 'kiq:parked')
}
