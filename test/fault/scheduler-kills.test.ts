import { setTimeout as delay } from 'node:timers/promises'

import { describe, expect, it } from 'vitest'

import type { SchedulerOptions } from '../../src/scheduler/index.ts'
import { until } from '../../src/testing/until.ts'
import { kill } from '../cli/kit.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine } from '../support/redis-server.ts'
import { SOON } from './redis-project.ts'
import type { Blow } from './scheduler-project.ts'
import {
  DECLARED,
  describeFirings,
  describeTimes,
  DISTURBED_MS,
  LEASE_MS,
  SchedulerProject,
  STORED,
} from './scheduler-project.ts'
import { redisQueue, sqliteQueue } from './scheduler-queues.ts'
import type { FaultQueue } from './scheduler-queues.ts'

const SCHEDULERS = 3
/** What a process needs that takes over on a machine under load. */
const TAKING_OVER_MS = 1_500
const FROZEN_MS = 3_000
const TIMEOUT_MS = DISTURBED_MS + 90_000

describe('schedulers on SQLite', () => describeKills(sqliteQueue))
engineSuite('schedulers on Redis', [redisEngine], () => describeKills(redisQueue))

function describeKills(openQueue: () => Promise<FaultQueue>): void {
  it(
    'send every firing once while the one that leads is killed, again and again',
    async () => {
      const project = await start(openQueue, { lease: LEASE_MS })

      const blows = await strike(project, async (pid) => {
        kill(pid)
        project.scheduler()
      })

      await expectSentOnce(project, blows, { what: 'killed', maxLateMs: LEASE_MS + TAKING_OVER_MS })
    },
    TIMEOUT_MS,
  )

  it(
    'send every firing once while the one that leads is frozen for longer than its lease, again and again',
    async () => {
      // A process that is frozen in the middle of a transaction keeps the SQLite file locked: then nobody takes over before
      // it goes on, and firings are late by longer than the default grace.
      const maxLateMs = FROZEN_MS + TAKING_OVER_MS
      const project = await start(openQueue, { lease: LEASE_MS, misfireGrace: maxLateMs })

      const blows = await strike(project, async (pid, sources) => {
        const lost = countLost(project, pid)
        process.kill(pid, 'SIGSTOP')
        await delay(FROZEN_MS)
        process.kill(pid, 'SIGCONT')
        await until(() => countLost(project, pid) >= lost + sources.length, SOON)
      })

      await expectSentOnce(project, blows, { what: `frozen for ${FROZEN_MS / 1_000} s`, maxLateMs })
    },
    TIMEOUT_MS,
  )
}

async function start(openQueue: () => Promise<FaultQueue>, options: SchedulerOptions): Promise<SchedulerProject> {
  const project = new SchedulerProject(await openQueue(), options)
  await project.addSchedules()
  await project.schedulers(SCHEDULERS)
  await project.firesOn()
  return project
}

/** Every 2 to 5 s, a process that leads: at any moment, or when it has sent and not noted it yet. */
async function strike(
  project: SchedulerProject,
  blow: (pid: number, sources: readonly string[]) => Promise<void>,
): Promise<readonly Blow[]> {
  const blows: Blow[] = []
  const end = performance.now() + DISTURBED_MS
  while (performance.now() < end) {
    await delay(2_000 + Math.random() * 3_000)
    const { source, pid } = await project.anyLeader()
    const sources = project.ledBy(pid)
    // That moment takes a millisecond of each second: seldom met by chance.
    if (Math.random() < 0.5) await project.queue.caught(source === 'labels' ? 'beat' : 'tick')
    blows.push({ at: Date.now(), pid, sources })
    await blow(pid, sources)
  }
  return blows
}

async function expectSentOnce(
  project: SchedulerProject,
  blows: readonly Blow[],
  { what, maxLateMs }: { readonly what: string; readonly maxLateMs: number },
): Promise<void> {
  await project.firesOn()
  const takeovers = project.takeovers(blows)
  const report = await project.stopAll()
  console.log(
    `${project.queue.engine}: ${SCHEDULERS} schedulers with ${report.schedules} schedules a second, the leader ${what} ` +
      `${blows.length} times in ${DISTURBED_MS / 1_000} s: ${describeFirings(report)}; lease ${LEASE_MS} ms, led again ` +
      `after ${describeTimes(takeovers)}`,
  )
  const { doubled, missed, strays, unknown, schedules, lateMs } = report
  expect({ doubled, missed, strays, unknown }).toEqual({ doubled: [], missed: [], strays: [], unknown: [] })
  expect(schedules).toBe(STORED + DECLARED)
  expect(blows.length).toBeGreaterThan(DISTURBED_MS / 12_000)
  expect(takeovers).toHaveLength(blows.flatMap(({ sources }) => sources).length)
  expect(Math.max(...lateMs)).toBeLessThan(maxLateMs)
  expect(Math.min(...lateMs)).toBeGreaterThanOrEqual(0)
}

/** How often a scheduler has found that another one leads. */
function countLost(project: SchedulerProject, pid: number): number {
  return project.runOf(pid).log.filter(({ msg }) => msg.startsWith('This scheduler leads no longer.')).length
}
