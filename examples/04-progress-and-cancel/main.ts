import { setTimeout as sleep } from 'node:timers/promises'

import { broker, work } from './tasks.ts'
import type { Step } from './tasks.ts'

await broker.startup()

const job = await work.kiq(25)
let last = 0
while (!(await job.isReady())) {
  const { step = 0 } = ((await job.getProgress())?.meta ?? {}) as Partial<Step>
  if (step < last) throw new Error('progress went back')
  last = step
  await sleep(10)
}
console.log(await job.result())
console.log('saw it on its way:', last > 0)
console.log('last report:', (await job.getProgress())?.meta)

// From any process that knows the id: `broker.sentTask(id).cancel()`.
const endless = await work.kiq(1_000_000)
while ((await endless.getProgress()) === undefined) await sleep(10)
console.log('cancel while it runs:', await endless.cancel())
const cancelled = await endless.waitResult({ timeout: '30s' })
if (cancelled.isErr) console.log(cancelled.error.code)

const later = await work.kicker().withDelay('1h').kiq(1)
console.log('cancel before it runs:', await later.cancel())
const never = await later.waitResult({ timeout: '30s' })
if (never.isErr) console.log(never.error.code)

await broker.shutdown()
