import { readFileSync } from 'node:fs'

import { describe, expect, it } from 'vitest'

import { scheduleFromRecord, scheduleToRecord } from '../../src/contract/index.ts'
import type { Schedule } from '../../src/contract/index.ts'
import { JsonSerializer } from '../../src/serializers/json-serializer.ts'

interface StoredKey {
  readonly type: 'string' | 'list'
  readonly value: string
}

const json = new JsonSerializer()
const recording = JSON.parse(
  readFileSync(new URL('../fixtures/golden/_schedules.json', import.meta.url), 'utf8'),
) as Readonly<Record<'ListRedisScheduleSource' | 'RedisScheduleSource', Readonly<Record<string, StoredKey>>>>

const ADD = { taskName: 'add', labels: {}, args: [1, 2], kwargs: { k: null } }

/** What each id stands for. */
const EXPECTED: Readonly<Record<string, Omit<Schedule, 'scheduleId'>>> = {
  cron1: { ...ADD, labels: { a: 1, b: 'x' }, cron: '*/5 * * * *' },
  cron2: { ...ADD, taskId: 'fixed', cron: '0 9 * * 1', timeZone: 'Europe/Berlin' },
  cron3: { ...ADD, cron: '0 9 * * 1', timeZone: '+02:00' },
  int1: { ...ADD, intervalMs: 30_000 },
  int2: { ...ADD, intervalMs: 120_000 },
  time1: { ...ADD, time: Date.UTC(2030, 0, 2, 3, 4, 5) },
  time2: { ...ADD, time: Date.UTC(2030, 0, 2, 1, 4, 5, 600) },
}

/** Fields that we write in other words for the same. */
const OURS: Readonly<Record<string, object>> = {
  cron3: { cron_offset: 'Etc/GMT-2' },
  int2: { interval: 120 },
  time1: { time: '2030-01-02T03:04:05.000Z' },
  time2: { time: '2030-01-02T01:04:05.600Z' },
}

describe.each(Object.keys(recording) as (keyof typeof recording)[])('golden schedules of %s', (source) => {
  const records = Object.entries(recording[source])
    .filter(([, { type }]) => type === 'string')
    .map(([key, { value }]): [string, string] => [key.replace(/.*:/, ''), value])

  it('are all known here, and none is missing', () => {
    expect(records.map(([id]) => id).toSorted()).toEqual(Object.keys(EXPECTED).toSorted())
  })

  it.each(records)('%s is read, and written alike', (scheduleId, value) => {
    const recorded = json.loadb(value) as object
    const schedule = scheduleFromRecord(recorded)

    expect(schedule).toEqual({ ...EXPECTED[scheduleId], scheduleId })
    expect(scheduleToRecord(schedule)).toEqual({ ...recorded, ...OURS[scheduleId] })
    expect(Object.keys(scheduleToRecord(schedule))).toEqual(Object.keys(recorded))
  })
})
