import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import { broker, remind, scheduler, schedules } from './tasks.ts'

// Opens the broker and the sources. Firing is left to the workers.
await scheduler.startup()

// Once. A schedule with a task id tells where the result will be.
const taskId = randomUUID()
await remind
  .kicker()
  .withTaskId(taskId)
  .scheduleByTime(schedules, new Date(Date.now() + 1_000), 'Ada', 'tea is ready')
console.log(await broker.sentTask<string>(taskId).result({ timeout: '30s' }))

// Again and again, until it is taken away. Adding it twice changes nothing: the id is the same.
const often = remind.kicker().withScheduleId('stretch')
await often.scheduleByInterval(schedules, '500ms', 'Ada', 'stretch')
const stretch = await often.scheduleByInterval(schedules, '500ms', 'Ada', 'stretch')

const hasFired = async (scheduleId: string): Promise<boolean> => {
  const found = (await scheduler.list()).find(({ schedule }) => schedule.scheduleId === scheduleId)
  return found?.lastAt !== undefined
}
while (!(await hasFired('stretch')) || !(await hasFired('clean-up'))) await sleep(50)
console.log('stretch and clean-up have fired')

await scheduler.pause('stretch')
const paused = (await scheduler.list()).filter(({ isPaused }) => isPaused)
console.log('paused:', paused.map(({ schedule }) => schedule.scheduleId).join())

await stretch.unschedule()
const left = (await scheduler.list()).map(({ schedule }) => schedule.scheduleId)
console.log('left:', left.sort().join(', '))

const [first] = scheduler.nextRuns({ now: new Date('2030-06-01T00:00:00Z'), count: 1, scheduleId: 'spring-clean' })
console.log('spring clean:', first?.at.toISOString())

await scheduler.shutdown()
