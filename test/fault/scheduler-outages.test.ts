import { setTimeout as delay } from 'node:timers/promises'

import { expect, it } from 'vitest'

import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine } from '../support/redis-server.ts'
import { DECLARED, describeFirings, describeTimes, LEASE_MS, SchedulerProject, STORED } from './scheduler-project.ts'
import { redisQueue } from './scheduler-queues.ts'

const SCHEDULERS = 2
/** A second at most between two attempts to connect, and what a machine under load needs. */
const MAX_WAIT_MS = 1_500
/** What `redis-server` takes to start. */
const STARTING_MS = 1_000

engineSuite('schedulers whose Redis goes away', [redisEngine], () => {
  it.each([
    ['for a little longer than the lease', { leaseMs: LEASE_MS, awayMs: 2_000, outages: 3, mayMiss: false }],
    ['for longer than firings may be late', { leaseMs: LEASE_MS, awayMs: 5_000, outages: 2, mayMiss: true }],
    [
      'for a little longer than the lease, which is long',
      { leaseMs: 6_000, awayMs: 7_000, outages: 2, mayMiss: false },
    ],
  ])(
    '%s go on by themselves, and make up for what fell into the outage',
    async (_what, { leaseMs, awayMs, outages, mayMiss }) => {
      const queue = await redisQueue({ appendonly: 'everysec' })
      const project = new SchedulerProject(queue, { lease: leaseMs })
      await project.addSchedules()
      const runs = await project.schedulers(SCHEDULERS)
      await project.firesOn()
      const returns: { readonly at: number; readonly coveredUntil: number }[] = []
      while (returns.length < outages) {
        await delay(Math.random() * 1_000)
        await queue.server.kill()
        await delay(awayMs)
        await queue.server.start()
        const at = Date.now()
        await project.firesOn()
        returns.push({ at, coveredUntil: await project.firesOn() })
      }
      expect(project.living).toEqual(runs)
      const report = await project.stopAll()
      const { doubled, missed, strays, unknown, schedules, sent } = report
      // Planned for a time at which Redis was there again, and sent before it went away once more.
      const since = sent.filter(({ at }) => returns.some((back) => at > back.at && at <= back.coveredUntil))
      const lateSince = since.map(({ lateMs }) => lateMs)
      console.log(
        `Redis: away for ${awayMs} ms ${outages} times, ${SCHEDULERS} schedulers with ${report.schedules} schedules a ` +
          `second: ${describeFirings(report)}; lease ${leaseMs} ms; since it was back late by ${describeTimes(lateSince)}`,
      )
      expect({ doubled, strays, unknown }).toEqual({ doubled: [], strays: [], unknown: [] })
      expect(schedules).toBe(STORED + DECLARED)
      // The default grace is twice the lease.
      expect(missed.filter(({ lateMs }) => lateMs < 2 * leaseMs)).toEqual([])
      if (!mayMiss) expect(missed).toEqual([])
      expect(lateSince.length).toBeGreaterThanOrEqual(outages * schedules)
      expect(Math.max(...lateSince)).toBeLessThan(MAX_WAIT_MS)
      expect(Math.max(...report.lateMs)).toBeLessThan(awayMs + STARTING_MS + MAX_WAIT_MS)
    },
    120_000,
  )
})
