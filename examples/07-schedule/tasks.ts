import { LabelScheduleSource, Scheduler } from 'kiq/scheduler'
import { SqliteBroker, SqliteScheduleSource } from 'kiq/sqlite'

const path = '.kiq/queue.db'

export const broker = new SqliteBroker({ path })

// What tasks declare is in the code; this is for schedules that come and go while the program runs.
export const schedules = new SqliteScheduleSource({ path })

// `--with-scheduler` finds it here, since it is the one of this broker.
export const scheduler = new Scheduler(broker, [new LabelScheduleSource(broker), schedules])

export const cleanUp = broker.task('cleanUp', () => 'clean', {
  schedule: [
    { interval: '1s', scheduleId: 'clean-up' },
    { cron: '0 3 21 3 *', timeZone: 'Europe/Berlin', catchUp: 'one', scheduleId: 'spring-clean' },
  ],
})

export const remind = broker.task('remind', (who: string, what: string) => `${who}: ${what}`)
