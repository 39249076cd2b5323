import { randomUUID } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'

import { ListRedisScheduleSource } from '../../src/adapters/redis/list-schedule-source.ts'
import { RedisScheduleSource } from '../../src/adapters/redis/schedule-source.ts'
import { scheduleToRecord } from '../../src/contract/index.ts'
import type { Schedule, WritableScheduleSource } from '../../src/contract/index.ts'
import { until } from '../../src/testing/until.ts'
import { cronExpression } from '../../src/util/cron.ts'
import { engineSuite } from '../support/engine-suite.ts'
import type { PythonEnvironment } from '../support/python.ts'
import { pythonEngine, pythonEnvironments, runPython } from '../support/python.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import { snapshotOf } from '../support/redis-snapshot.ts'
import { SOON } from './kit.ts'

/** Does the steps with Python's source, and prints what it listed: times as milliseconds, durations as seconds. */
const PROGRAM = `
import asyncio, json, sys, warnings
from datetime import datetime, timedelta, timezone
from taskiq.scheduler.scheduled_task import ScheduledTask
from taskiq.serializers import JSONSerializer
from taskiq_redis import ListRedisScheduleSource, RedisScheduleSource

warnings.simplefilter("ignore")
job = json.loads(sys.stdin.read())

def value(given):
    if isinstance(given, dict) and "seconds" in given:
        return timedelta(seconds=given["seconds"])
    return given

def number(given):
    return given.total_seconds() if isinstance(given, timedelta) else given

def milliseconds(time):
    aware = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    return (aware - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)

def shown(task):
    fields = {name: getattr(task, name) for name in type(task).model_fields}
    fields["interval"] = number(task.interval)
    fields["cron_offset"] = number(task.cron_offset)
    fields["time"] = None if task.time is None else milliseconds(task.time)
    return fields

async def main():
    kinds = {"RedisScheduleSource": RedisScheduleSource, "ListRedisScheduleSource": ListRedisScheduleSource}
    serializer = {"json": JSONSerializer(), "default": None}[job["serializer"]]
    source = kinds[job["source"]](job["url"], prefix=job["prefix"], serializer=serializer)
    await source.startup()
    listed = []
    for step, given in job["steps"]:
        if step == "add":
            await source.add_schedule(ScheduledTask(**{name: value(field) for name, field in given.items()}))
        elif step == "delete":
            await source.delete_schedule(given)
        else:
            listed.append([shown(task) for task in await source.get_schedules()])
    await source.shutdown()
    print(json.dumps(listed))

asyncio.run(main())
`

/** Whether Python's scheduler fires at a time, for the expressions and offsets on its input. */
const FIRES = `
import json, sys
from datetime import datetime
from taskiq.cli.scheduler.run import is_cron_task_now
from taskiq.scheduler.scheduled_task import ScheduledTask

def fires(record, now):
    task = ScheduledTask(**record)
    return is_cron_task_now(task.cron, datetime.fromisoformat(now), task.cron_offset)

print(json.dumps([fires(record, now) for record, now in json.loads(sys.stdin.read())]))
`

type Fields = Readonly<Record<string, unknown>>
type Step = readonly ['add', Fields] | readonly ['delete', string] | readonly ['list', null]

const LIST: Step = ['list', null]
const DATA = {
  labels: { text: 'with "quotes"', number: 5, fraction: 2.5, flag: true, none: null },
  args: [1, 'two', [3, null], { four: true }, -0.5, 9_007_199_254_740_991],
  kwargs: { name: 'ünïcode 😀', nested: { list: [1, { deep: 'yes' }], empty: {} } },
}
const FUTURE = Date.UTC(2090, 0, 2, 3, 4, 5, 600)

/** Schedules of ours, and what Python shall read. */
const OURS: readonly (readonly [Schedule, Fields])[] = [
  [
    { scheduleId: 'cron', taskName: 'app:task', ...DATA, cron: '*/5 * * * *' },
    { schedule_id: 'cron', task_name: 'app:task', ...DATA, cron: '*/5 * * * *' },
  ],
  [
    { scheduleId: 'zone: ü😀', taskName: 't', ...DATA, cron: '0 9 * * 1', timeZone: 'Europe/Berlin', taskId: 'fixed' },
    {
      schedule_id: 'zone: ü😀',
      task_name: 't',
      ...DATA,
      cron: '0 9 * * 1',
      cron_offset: 'Europe/Berlin',
      task_id: 'fixed',
    },
  ],
  [
    { scheduleId: 'past', taskName: 't', ...DATA, time: Date.UTC(2020, 0, 2, 3, 4, 5, 678) },
    { schedule_id: 'past', task_name: 't', ...DATA, time: Date.UTC(2020, 0, 2, 3, 4, 5, 678) },
  ],
  [
    { scheduleId: 'interval', taskName: 't', ...DATA, intervalMs: 90_000 },
    { schedule_id: 'interval', task_name: 't', ...DATA, interval: 90 },
  ],
  [
    { scheduleId: 'all', taskName: 't', ...DATA, cron: '1 2 3 4 5', intervalMs: 1_000, time: FUTURE },
    { schedule_id: 'all', task_name: 't', ...DATA, cron: '1 2 3 4 5', interval: 1, time: FUTURE },
  ],
  // What Python does not know is left out there, and harmless.
  [
    {
      scheduleId: 'rules',
      taskName: 't',
      ...DATA,
      cron: '* * * * *',
      jitterMs: 1_500,
      startAt: 1_000,
      endAt: FUTURE,
      overlap: 'skip',
      catchUp: 'all',
      catchUpLimit: 7,
    },
    { schedule_id: 'rules', task_name: 't', ...DATA, cron: '* * * * *' },
  ],
  [
    { scheduleId: 'macro', taskName: 't', ...DATA, cron: '@daily' },
    { schedule_id: 'macro', task_name: 't', ...DATA, cron: '0 0 * * *' },
  ],
  [
    { scheduleId: 'names', taskName: 't', ...DATA, cron: ' 0  0 1 jan mon ' },
    { schedule_id: 'names', task_name: 't', ...DATA, cron: '0 0 1 1 1' },
  ],
]

/** Python's one-offs of later minutes are listed by our source alone. */
const LATER: Schedule = { scheduleId: 'later', taskName: 't', ...DATA, time: FUTURE }

/** Schedules of Python, as its constructor takes them, and what we shall read. */
const PYTHONS: readonly (readonly [Fields, Partial<Schedule>])[] = [
  [{ schedule_id: 'cron', cron: '*/5 * * * *' }, { cron: '*/5 * * * *' }],
  [
    { schedule_id: 'zone: ü😀', cron: '0 9 * * 1', cron_offset: 'Asia/Kathmandu', task_id: 'fixed' },
    { cron: '0 9 * * 1', timeZone: 'Asia/Kathmandu', taskId: 'fixed' },
  ],
  [
    { schedule_id: 'offset', cron: '0 9 * * 1', cron_offset: { seconds: -19_800 } },
    { cron: '0 9 * * 1', timeZone: '-05:30' },
  ],
  [{ schedule_id: 'naive', time: '2020-01-02T03:04:05.678901' }, { time: Date.UTC(2020, 0, 2, 3, 4, 5, 678) }],
  [{ schedule_id: 'aware', time: '2090-01-02T03:04:05.6+05:00' }, { time: FUTURE - 5 * 3_600_000 }],
  [{ schedule_id: 'interval', interval: 90 }, { intervalMs: 90_000 }],
  [{ schedule_id: 'timedelta', interval: { seconds: 93_600 } }, { intervalMs: 93_600_000 }],
]

const byId = (a: Fields, b: Fields): number =>
  JSON.stringify(a['schedule_id']) < JSON.stringify(b['schedule_id']) ? -1 : 1
const idOf = ({ scheduleId }: Schedule): string => scheduleId

engineSuite("schedules shared with Python's Taskiq", [pythonEngine, redisEngine], () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  const sources = [RedisScheduleSource, ListRedisScheduleSource]
  const formats = [
    { python: 'default', ours: 'pickle' },
    { python: 'json', ours: 'json' },
  ] as const
  const cases = pythonEnvironments().flatMap((environment) =>
    sources.flatMap((Source) => formats.map((format) => ({ environment, Source, format }))),
  )

  describe.each(cases)('Taskiq $environment.taskiq, $Source.name, $format.ours', ({ environment, Source, format }) => {
    const open = async (prefix: string): Promise<WritableScheduleSource> => {
      const source = new Source({ url: server.url, prefix, serializer: format.ours })
      await source.startup()
      return source
    }
    const python = async (prefix: string, steps: readonly Step[]): Promise<readonly Fields[][]> => {
      const job = { url: server.url, source: Source.name, serializer: format.python, prefix, steps }
      const output = await runPython(environment.python, { code: PROGRAM }, { input: JSON.stringify(job) })
      return JSON.parse(output) as readonly Fields[][]
    }
    const keys = async (prefix: string): Promise<object> =>
      Object.fromEntries(Object.entries(await snapshotOf(server)).filter(([key]) => key.startsWith(prefix)))
    // Its list source knows no intervals before 1.2, the one that goes with Taskiq 0.12.
    const hasNoIntervals = Source === ListRedisScheduleSource && environment.name === 'older'
    const known = (fields: Fields): boolean => !hasNoIntervals || fields['schedule_id'] !== 'interval'

    it('Python lists and deletes what we add', async () => {
      const prefix = randomUUID()
      const source = await open(prefix)
      for (const [schedule] of OURS) await source.addSchedule(schedule)
      await source.addSchedule(LATER)
      const removals = [...OURS.map(([schedule]) => schedule), LATER].map(({ scheduleId }): Step => [
        'delete',
        scheduleId,
      ])

      const [before = [], after] = await python(prefix, [LIST, ...removals, LIST])

      const none = { task_id: null, cron: null, cron_offset: null, time: null, interval: null }
      const expected = OURS.map(([, fields]) => ({ ...none, ...fields })).filter(known)
      const listed = before.filter(({ schedule_id: id }) => id !== LATER.scheduleId)
      expect(listed.toSorted(byId)).toEqual(expected.toSorted(byId))
      expect(after).toEqual([])
      expect(await source.getSchedules()).toEqual([])
      expect(await keys(prefix)).toEqual(hasNoIntervals ? { [`${prefix}:interval`]: ['interval'] } : {})
      await source.shutdown()
    })

    it('we list and delete what Python adds', async () => {
      const prefix = randomUUID()
      await python(
        prefix,
        PYTHONS.map(([fields]): Step => ['add', { task_name: 't', ...DATA, ...fields }]),
      )
      const source = await open(prefix)

      const schedules = await source.getSchedules()

      const expected = PYTHONS.map(([{ schedule_id: id }, read]) => ({
        scheduleId: String(id),
        taskName: 't',
        ...DATA,
        ...read,
      }))
      const inOrder = (list: readonly Schedule[]): readonly Schedule[] =>
        list.toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
      expect(inOrder(schedules)).toEqual(inOrder(expected))
      for (const { scheduleId } of schedules) await source.deleteSchedule(scheduleId)
      expect(await keys(prefix)).toEqual({})
      await source.shutdown()
    })

    it('we are told within two seconds of what Python adds, replaces and deletes', async () => {
      const prefix = randomUUID()
      const source = await open(prefix)
      let seen: readonly Schedule[] | undefined
      const look = async (): Promise<void> => {
        seen = await source.getSchedules().catch(() => seen)
      }
      const end = source.watch?.(() => void look())
      await until(() => seen !== undefined, SOON)
      const base = { task_name: 't', schedule_id: 's', labels: {}, args: [], kwargs: {} }
      const soon = new Date(Date.now() + 60_000).toISOString()
      const changes: readonly (readonly [readonly Step[], object])[] = [
        [[['add', { ...base, cron: '1 * * * *' }]], [{ cron: '1 * * * *' }]],
        // The list of ids is the same then.
        [
          [
            ['delete', 's'],
            ['add', { ...base, cron: '2 * * * *' }],
          ],
          [{ cron: '2 * * * *' }],
        ],
        [
          [
            ['delete', 's'],
            ['add', { ...base, time: soon }],
          ],
          [{ time: Date.parse(soon) }],
        ],
        [[['delete', 's']], []],
      ]
      for (const [steps, expected] of changes) {
        await python(prefix, steps)
        await vi.waitFor(() => expect(seen).toMatchObject(expected), { timeout: 2_000 })
      }
      end?.()
      await source.shutdown()
    })

    it('each replaces what the other has added', async () => {
      const prefix = randomUUID()
      const source = await open(prefix)
      const base = { task_name: 't', schedule_id: 's', labels: {}, args: [], kwargs: {} }
      // Python leaves an entry in each list.
      await python(prefix, [
        ['add', { ...base, time: '2020-01-02T03:04:05' }],
        ['add', { ...base, interval: 5 }],
        ['add', { ...base, cron: '1 * * * *' }],
        ['add', { ...base, cron: '2 * * * *' }],
        ['add', { ...base, time: '2020-01-02T03:04:05' }],
      ])
      expect(await source.getSchedules()).toHaveLength(1)

      await source.addSchedule({
        scheduleId: 's',
        taskName: 'ours',
        labels: {},
        args: [],
        kwargs: {},
        cron: '3 * * * *',
      })

      const lists = Object.values(await keys(prefix)).filter((value) => Array.isArray(value))
      expect(lists).toEqual(Source === ListRedisScheduleSource ? [['s']] : [])
      expect(await python(prefix, [LIST])).toMatchObject([[{ task_name: 'ours', cron: '3 * * * *' }]])
      await python(prefix, [['add', { ...base, cron: '4 * * * *' }]])
      expect(await source.getSchedules()).toMatchObject([{ taskName: 't', cron: '4 * * * *' }])
      await source.deleteSchedule('s')
      expect(await keys(prefix)).toEqual({})
      await source.shutdown()
    })
  })

  describe.each(pythonEnvironments())('Taskiq $taskiq', (environment: PythonEnvironment) => {
    it('lists nothing that we write as JSON with its default settings, which we read all the same', async () => {
      const prefix = randomUUID()
      const source = new RedisScheduleSource({ url: server.url, prefix })
      await source.startup()
      const job = { url: server.url, source: 'RedisScheduleSource', serializer: 'default', prefix }
      const run = (steps: readonly Step[]): Promise<string> =>
        runPython(environment.python, { code: PROGRAM }, { input: JSON.stringify({ ...job, steps }) })
      await run([['add', { task_name: 't', schedule_id: 'p', labels: {}, args: [], kwargs: {}, interval: 5 }]])
      await source.addSchedule(LATER)

      expect((await source.getSchedules()).map(idOf).toSorted()).toEqual(['later', 'p'])
      await expect(run([LIST])).rejects.toThrow(/UnpicklingError/)
      await source.shutdown()
    })

    // 05:30 and the like are names of zones for Taskiq before 0.13, and end its scheduler.
    const zones = environment.name === 'older' ? ['+02:00', 'Europe/Berlin'] : ['+02:00', 'Europe/Berlin', '+02:30']
    it.each(zones)('fires at the time of day that %s has', async (timeZone) => {
      const record = scheduleToRecord({ ...LATER, time: undefined, cron: '0 9 * * *', timeZone })
      const times = ['06:30', '07:00', '09:00'].map((time) => `2026-07-01T${time}:00+00:00`)
      const input = JSON.stringify(times.map((time) => [record, time]))

      const fires = JSON.parse(await runPython(environment.python, { code: FIRES }, { input })) as boolean[]

      expect(fires).toEqual([timeZone === '+02:30', timeZone !== '+02:30', false])
    })

    it.each(['@hourly', '@weekly', '30 9 * jul,AUG fri-sun', '0 12 * * Sunday', '*/20 8-10 * * 1-7/2', '0 0 * jan 7'])(
      'fires at the times that %s has here',
      async (cron) => {
        const record = scheduleToRecord({ ...LATER, time: undefined, cron })
        const expression = cronExpression(cron)
        const start = Date.UTC(2026, 5, 30)
        const due: number[] = []
        for (let at = expression.next(start); at !== undefined && due.length < 10; at = expression.next(at))
          due.push(at)
        // And the minutes around them, of which some are due.
        const minutes = [
          ...new Set(due.flatMap((at) => [at - 86_400_000, at - 60_000, at, at + 60_000, at + 3_600_000])),
        ]
        const input = JSON.stringify(minutes.map((at) => [record, new Date(at).toISOString().replace('Z', '+00:00')]))

        const fires = JSON.parse(await runPython(environment.python, { code: FIRES }, { input })) as boolean[]

        expect(minutes.filter((_, i) => fires[i])).toEqual(minutes.filter((at) => expression.next(at - 1) === at))
      },
    )
  })
})
