import { describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine } from '../support/redis-server.ts'
import { SOON } from './redis-project.ts'
import type { Blow } from './scheduler-project.ts'
import { DECLARED, describeFirings, describeTimes, SOURCES, SchedulerProject, STORED } from './scheduler-project.ts'
import { redisQueue, sqliteQueue } from './scheduler-queues.ts'
import type { FaultQueue } from './scheduler-queues.ts'

/** The default: nobody may have to wait for its end. */
const LEASE_MS = 10_000
const ROUNDS = 4

describe('schedulers on SQLite', () => describeStops(sqliteQueue))
engineSuite('schedulers on Redis', [redisEngine], () => describeStops(redisQueue))

function describeStops(openQueue: () => Promise<FaultQueue>): void {
  it('give the lead to others when they are stopped by SIGTERM', async () => {
    const project = new SchedulerProject(await openQueue(), { lease: LEASE_MS })
    await project.addSchedules()
    await project.schedulers(2)
    const blows: Blow[] = []
    const exits: number[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      await project.firesOn()
      const { pid } = await project.anyLeader()
      const run = project.runOf(pid)
      const blow = { at: Date.now(), pid, sources: project.ledBy(pid) }
      blows.push(blow)
      run.signal('SIGTERM')
      expect(await run.exit).toBe(0)
      exits.push(Date.now() - blow.at)
      await until(() => project.takeovers([blow]).length === blow.sources.length, SOON)
      const standby = project.scheduler()
      await standby.logged('The scheduler sends through')
    }
    await project.firesOn()
    const takeovers = project.takeovers(blows)
    const report = await project.stopAll()
    console.log(
      `${project.queue.engine}: the leader of ${report.schedules} schedules a second stopped by SIGTERM ${ROUNDS} times: ` +
        `${describeFirings(report)}; lease ${LEASE_MS} ms, taken over after ${describeTimes(takeovers)}, ended after ` +
        describeTimes(exits),
    )
    const { doubled, missed, strays, unknown, schedules } = report
    expect({ doubled, missed, strays, unknown }).toEqual({ doubled: [], missed: [], strays: [], unknown: [] })
    expect(schedules).toBe(STORED + DECLARED)
    expect(takeovers.length).toBeGreaterThanOrEqual(SOURCES)
    expect(Math.max(...takeovers)).toBeLessThan(1_000)
    expect(Math.max(...exits)).toBeLessThan(5_000)
  }, 120_000)
}
