// The application of the fault tests of the scheduler; on which engine, and with which options, says the environment.
import { appendFileSync } from 'node:fs'

import { context } from 'kiq'
import { ListRedisScheduleSource, RedisStreamBroker } from 'kiq/redis'
import { LabelScheduleSource, Scheduler } from 'kiq/scheduler'
import { SqliteBroker, SqliteScheduleSource } from 'kiq/sqlite'

const { place, declared, options } = JSON.parse(process.env['KIQ_FAULT_SCHEDULER'] ?? '{}')
const onRedis = 'url' in place

export const broker = onRedis ? new RedisStreamBroker(place) : new SqliteBroker(place)
const source = onRedis ? new ListRedisScheduleSource(place) : new SqliteScheduleSource(place)

/** Where there are workers, each execution leaves a line. */
function note() {
  const { labels, taskId, attempt } = context()
  appendFileSync(`ledger-${process.pid}`, `${Date.now()} ${labels['schedule_id']} ${taskId} ${attempt}\n`)
}

broker.task('tick', note)
broker.task('beat', note, {
  schedule: Array.from({ length: declared }, (_, n) => ({
    cron: '* * * * * *',
    scheduleId: `beat-${n}`,
  })),
})

export const scheduler = new Scheduler(broker, [source, new LabelScheduleSource(broker)], options)
