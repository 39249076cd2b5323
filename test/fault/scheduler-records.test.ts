import { expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import type { Run } from '../cli/kit.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine } from '../support/redis-server.ts'
import { SOON } from './redis-project.ts'
import { DECLARED, describeFirings, SchedulerProject, STORED } from './scheduler-project.ts'
import { redisQueue } from './scheduler-queues.ts'
import type { RedisFaultQueue } from './scheduler-queues.ts'

const BROKEN = ['broken', 'nowhere']

engineSuite('schedulers on Redis with records that cannot be read', [redisEngine], () => {
  it('tell of each once per reading, and send the others', async () => {
    const queue = await redisQueue()
    await addBroken(queue)
    const project = new SchedulerProject(queue)
    await project.addSchedules()
    const run = project.scheduler()
    await project.firesOn()
    await project.firesOn()

    // One reading at the start, and those when the watch of the source begins to hear of changes.
    const [first = 0, ...others] = reports(run)
    expect(first).toBeGreaterThanOrEqual(1)
    expect(first).toBeLessThanOrEqual(3)
    expect(others).toEqual([first])

    // What cannot be read is no change, however often somebody looks.
    for (let second = 0; second < 3; second += 1) await project.firesOn()
    expect(reports(run)).toEqual([first, first])

    const more = { taskName: 'tick', labels: {}, args: [], kwargs: {}, intervalMs: 1_000 }
    await queue.source.addSchedule({ scheduleId: 'tick-more', ...more })
    await until(async () => (await project.examine()).schedules === STORED + DECLARED + 1, SOON)
    expect(reports(run)).toEqual([first + 1, first + 1])

    const report = await project.stopAll()
    console.log(
      `Redis: ${BROKEN.length} records that cannot be read beside ${STORED} others: each told ${first} times at the start, ` +
        `and once more after a change; ${describeFirings(report)}`,
    )
    const { doubled, missed, strays, unknown } = report
    expect({ doubled, missed, strays, unknown }).toEqual({ doubled: [], missed: [], strays: [], unknown: [] })
  }, 60_000)

  it('tell of them with each reading', async () => {
    const updateInterval = 500
    const queue = await redisQueue()
    await addBroken(queue)
    const project = new SchedulerProject(queue, { updateInterval })
    await project.addSchedules()
    const run = project.scheduler()
    await project.becameLed()

    const startedAt = performance.now()
    await until(() => reports(run).every((count) => count >= 8), SOON)

    // Not for every look, and not for every schedule.
    expect(performance.now() - startedAt).toBeGreaterThan(5 * updateInterval)
    await project.firesOn()
  }, 60_000)
})

/** As somebody leaves them who writes into Redis by hand: one that is no record, and one in a zone that nobody knows. */
async function addBroken({ server }: RedisFaultQueue): Promise<void> {
  const nowhere = {
    schedule_id: 'nowhere',
    task_name: 'tick',
    labels: {},
    args: [],
    kwargs: {},
    task_id: null,
    cron: '* * * * * *',
    cron_offset: 'Mars/Olympus',
    time: null,
    interval: null,
  }
  await server.command('SET', 'schedule:data:broken', 'garbage')
  await server.command('SET', 'schedule:data:nowhere', JSON.stringify(nowhere))
  await server.command('RPUSH', 'schedule:cron', ...BROKEN)
}

/** How often the log tells of each of them; it tells of no other error. */
function reports({ log }: Run): readonly number[] {
  const errors = log.filter(({ level }) => level === 'error')
  expect(errors.filter(({ scheduleId }) => !BROKEN.includes(String(scheduleId)))).toEqual([])
  return BROKEN.map(
    (id) => errors.filter(({ msg }) => msg === `Schedule "${id}" cannot be read and is left out.`).length,
  )
}
