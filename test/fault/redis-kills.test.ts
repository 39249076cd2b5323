import { expect, it, onTestFinished } from 'vitest'

import type { SentTask } from '../../src/index.ts'
import type { Run } from '../cli/kit.ts'
import { kill } from '../cli/kit.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import type { Kill, LedgerLine } from './ledger.ts'
import { childrenOf, countBy, leftovers, moreThanOnce, percentile, redeliveryTimes } from './ledger.ts'
import type { Done } from './redis-project.ts'
import { RedisProject } from './redis-project.ts'

const PROCESSES = 3
const CONCURRENCY = 20

engineSuite('workers on Redis that are killed at random', [redisEngine], () => {
  it.each([
    { kind: 'stream', tasks: 20_000, killingMs: 25_000, leastKills: 10 },
    { kind: 'list', tasks: 8_000, killingMs: 10_000, leastKills: 4 },
  ] as const)(
    'lose no task, and each has exactly one result: $kind',
    async ({ kind, tasks, killingMs, leastKills }) => {
      const server = await startRedis()
      onTestFinished(() => server.close())
      const project = new RedisProject({ kind, url: server.url })
      const { broker, work } = await project.client()
      const supervisor = await project.workers(PROCESSES, '--concurrency', String(CONCURRENCY))
      const sent: SentTask<Done>[] = []
      for (let n = 0; n < tasks; n += 1_000) {
        sent.push(...(await work.kiqMany(Array.from({ length: 1_000 }, (_, k) => [n + k, (n + k) % 120]))))
      }
      const startedAt = Date.now()
      const results = Promise.all(sent.map((task) => task.result({ timeout: '120s' })))
      const kills = await killAtRandom(supervisor, results, killingMs)

      const values = (await results).map(({ value }) => value)

      const seconds = ((Date.now() - startedAt) / 1_000).toFixed(0)
      expect(values).toEqual(Array.from({ length: tasks }, (_, n) => n * 2))
      const { ledger } = project
      const ends = countBy(ledger.filter(({ event }) => event === 'end'))
      const lost = Array.from({ length: tasks }, (_, n) => n).filter((n) => !ends.has(n))
      const startedTwice = moreThanOnce(countBy(ledger.filter(({ event }) => event === 'start')))
      const endedTwice = moreThanOnce(ends)
      const redelivery = redeliveryTimes(ledger, kills)
      console.log(
        `Redis, ${kind}: killed ${kills.length} workers in ${seconds} s: ${tasks} tasks, lost ${lost.length}, started more than once ` +
          `${startedTwice.length}, finished more than once ${endedTwice.length}, redelivered ${redelivery.length}, after ` +
          `p50 ${percentile(redelivery, 0.5)} ms, p90 ${percentile(redelivery, 0.9)} ms, max ${percentile(redelivery, 1)} ms`,
      )
      expect(lost).toEqual([])
      expect(kills.length).toBeGreaterThan(leastKills)
      expect(startedAgainWithoutKill(ledger, kills)).toEqual([])
      expect(endedTwice.length).toBeLessThanOrEqual(kills.length * CONCURRENCY)
      // At once, except where no other process was ready.
      expect(percentile(redelivery, 0.5)).toBeLessThan(1_000)
      // A refused late outcome would leave its message.
      expect(await leftovers(broker)).toEqual({ ready: 0, delayed: 0, running: 0, dead: 0 })
      // One result for each task and no more, whatever else is there.
      expect(await server.command('EVAL', COUNT_RESULTS, '0')).toBe(tasks)
    },
    150_000,
  )
})

const COUNT_RESULTS = `
local count = 0
for _, key in ipairs(redis.call('KEYS', '*')) do
  if string.find(key, '^%x+$') and #key == 32 then count = count + 1 end
end
return count`

/**
 * Kills one process after the other until the promise is settled, and for so long at most: on a machine under load they
 * would hardly get to work.
 */
async function killAtRandom(supervisor: Run, done: Promise<unknown>, ms: number): Promise<readonly Kill[]> {
  const kills: Kill[] = []
  const over = new AbortController()
  const end = (): void => over.abort()
  done.then(end, end)
  const until = performance.now() + ms
  while (!over.signal.aborted && performance.now() < until) {
    const pauseMs = 200 + Math.random() * 1_800
    await Promise.race([new Promise((resolve) => setTimeout(resolve, pauseMs)), done.catch(() => undefined)])
    const children = childrenOf(supervisor)
    const pid = children[Math.floor(Math.random() * children.length)]
    if (pid === undefined || over.signal.aborted) continue
    kills.push({ at: Date.now(), pid })
    kill(pid)
  }
  return kills
}

/** Tasks that were started again although the process that ran them was not killed. */
function startedAgainWithoutKill(ledger: readonly LedgerLine[], kills: readonly Kill[]): readonly number[] {
  const killed = new Set(kills.map(({ pid }) => pid))
  const lastStart = new Map<number, LedgerLine>()
  const found: number[] = []
  for (const line of ledger.filter(({ event }) => event === 'start').sort((a, b) => a.at - b.at)) {
    const before = lastStart.get(line.n)
    if (before && !killed.has(before.pid)) found.push(line.n)
    lastStart.set(line.n, line)
  }
  return found
}
