import { setTimeout as delay } from 'node:timers/promises'

import { expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { kill } from '../cli/kit.ts'
import { SOON } from './redis-project.ts'
import type { Blow, Execution } from './scheduler-project.ts'
import { DECLARED, describeFirings, describeTimes, LEASE_MS, SchedulerProject, STORED } from './scheduler-project.ts'
import { sqliteQueue } from './scheduler-queues.ts'

const KILLS = 4

it('workers with a scheduler, on SQLite: schedules go on when the process is killed that leads', async () => {
  const project = new SchedulerProject(await sqliteQueue())
  await project.addSchedules()
  const worker = project.worker('--with-scheduler', '-w', '2')
  await worker.becameReady(2)
  await project.becameLed()
  const blows: Blow[] = []
  while (blows.length < KILLS) {
    await executesOn(project)
    const { pid } = await project.anyLeader()
    const sources = project.ledBy(pid)
    // At any moment, or when it has sent and not noted it yet.
    if (blows.length % 2 === 0) await delay(Math.random() * 1_000)
    else await project.queue.caught('tick')
    const blow = { at: Date.now(), pid, sources }
    blows.push(blow)
    kill(pid)
    await until(() => project.takeovers([blow]).length === blow.sources.length, SOON)
    await worker.becameReady(2 + blows.length)
  }
  await executesOn(project)
  const takeovers = project.takeovers(blows)
  worker.signal('SIGTERM')
  expect(await worker.exit).toBe(0)

  const { executions } = project
  // Those that ran again since their worker was killed are no doubled firings.
  const report = { ...project.examineExecutions(firstOf(executions)), doubled: sentTwice(executions) }
  const again = executions.length - report.firings
  console.log(
    `SQLite: 2 workers with a scheduler, ${report.schedules} schedules a second, the process that leads killed ${KILLS} ` +
      `times: ${describeFirings(report)} until they ran, ${again} ran again since their worker was killed; lease ` +
      `${LEASE_MS} ms, taken over after ${describeTimes(takeovers)}`,
  )
  const { missed, strays, unknown, schedules, doubled, lateMs } = report
  expect({ missed, strays, unknown, doubled }).toEqual({ missed: [], strays: [], unknown: [], doubled: [] })
  expect(schedules).toBe(STORED + DECLARED)
  expect(Math.max(...takeovers)).toBeLessThan(LEASE_MS + 500)
  expect(Math.max(...lateMs)).toBeLessThan(LEASE_MS + 1_500)
}, 120_000)

/** Waits until the tasks of all schedules have run that were planned for a time later than now. */
async function executesOn(project: SchedulerProject): Promise<void> {
  const now = Date.now()
  const executesOn = (): boolean => {
    const { schedules, coveredUntil } = project.examineExecutions(firstOf(project.executions))
    return schedules === STORED + DECLARED && coveredUntil > now
  }
  await until(executesOn, { ...SOON, everyMs: 200 })
}

/**
 * A message that comes again after its worker was killed has the same task id and a higher attempt. So one that was sent
 * twice shows as two executions of one task with the same attempt.
 */
function sentTwice(executions: readonly Execution[]): readonly string[] {
  const seen = new Set<string>()
  return executions.flatMap(({ scheduleId, taskId, attempt }) => {
    const name = `${scheduleId} ${taskId} attempt ${attempt}`
    if (seen.has(name)) return [name]
    seen.add(name)
    return []
  })
}

/** The first execution of each task. */
function firstOf(executions: readonly Execution[]): readonly Execution[] {
  const first = new Map<string, Execution>()
  for (const one of executions) if (!first.has(one.taskId)) first.set(one.taskId, one)
  return [...first.values()]
}
