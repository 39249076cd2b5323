import { readFileSync } from 'node:fs'

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

import { engineSuite } from '../../../test/support/engine-suite.ts'
import { recordingLogger } from '../../../test/support/recording-logger.ts'
import type { RedisCluster, RedisServer } from '../../../test/support/redis-server.ts'
import { redisEngine, startRedis, startRedisCluster } from '../../../test/support/redis-server.ts'
import { snapshotOf } from '../../../test/support/redis-snapshot.ts'
import type { Schedule } from '../../contract/index.ts'
import { ListRedisScheduleSource } from './list-schedule-source.ts'
import type { ListRedisScheduleOptions } from './list-schedule-source.ts'
import { RedisScheduleSource } from './schedule-source.ts'

const BARE: Schedule = { scheduleId: 's', taskName: 't', labels: {}, args: [], kwargs: {} }
const MINUTE_MS = 60_000
const TIME = Date.UTC(2030, 0, 2, 3, 4, 5)

/** One of each kind, and the list it belongs into. */
const KINDS: Readonly<Record<string, Partial<Schedule>>> = {
  'schedule:cron': { cron: '* * * * *' },
  'schedule:interval': { intervalMs: 5_000 },
  'schedule:time:2030-01-02T03:04': { time: TIME },
  'schedule:time:2030-01-02T03:05': { time: TIME + MINUTE_MS },
  'schedule:time:1969-12-31T23:59': { time: -1 },
}

const GOLDEN = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/golden/_schedules.json', import.meta.url), 'utf8'),
) as { readonly ListRedisScheduleSource: Readonly<Record<string, { readonly value: string | readonly string[] }>> }

engineSuite('ListRedisScheduleSource', [redisEngine], () => {
  let server: RedisServer
  const started: { shutdown(): Promise<void> }[] = []
  let logger = recordingLogger()

  const start = async (options: ListRedisScheduleOptions = {}): Promise<ListRedisScheduleSource> => {
    const source = new ListRedisScheduleSource({ url: server.url, ...options })
    started.push(source)
    await source.startup({ logger })
    return source
  }
  const ids = async (source: ListRedisScheduleSource): Promise<string[]> =>
    (await source.getSchedules()).map(({ scheduleId }) => scheduleId).toSorted()
  /** The lists alone. */
  const lists = async (): Promise<object> =>
    Object.fromEntries(Object.entries(await snapshotOf(server)).filter(([, value]) => Array.isArray(value)))

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())
  afterEach(async () => {
    vi.useRealTimers()
    for (const source of started.splice(0)) await source.shutdown()
    await server.command('FLUSHALL')
    logger = recordingLogger()
  })

  describe('keys', () => {
    it.each(Object.entries(KINDS))('has a schedule in %s, and nothing after it is deleted', async (list, trigger) => {
      const source = await start()

      await source.addSchedule({ ...BARE, ...trigger })

      expect(await snapshotOf(server)).toEqual({ 'schedule:data:s': expect.any(String) as string, [list]: ['s'] })
      await source.deleteSchedule('s')
      expect(await snapshotOf(server)).toEqual({})
    })

    it('has a schedule of several kinds in one list, cron before time before interval', async () => {
      const source = await start()

      await source.addSchedule({ ...BARE, scheduleId: 'all', cron: '* * * * *', time: TIME, intervalMs: 1_000 })
      await source.addSchedule({ ...BARE, scheduleId: 'two', time: TIME, intervalMs: 1_000 })

      expect(await lists()).toEqual({ 'schedule:cron': ['all'], 'schedule:time:2030-01-02T03:04': ['two'] })
      await source.deleteSchedule('all')
      await source.deleteSchedule('two')
      expect(await snapshotOf(server)).toEqual({})
    })

    it('are those of Python, for all that it has written', async () => {
      const golden = Object.entries(GOLDEN.ListRedisScheduleSource)
      for (const [key, { value }] of golden) {
        if (typeof value === 'string') await server.command('SET', key, value)
        else await server.command('RPUSH', key, ...value)
      }
      const before = await lists()
      const source = await start()
      const schedules = await source.getSchedules()
      expect(schedules).toHaveLength(7)
      for (const { scheduleId } of schedules) await source.deleteSchedule(scheduleId)
      expect(await snapshotOf(server)).toEqual({})

      for (const schedule of schedules.toSorted((a, b) => (a.scheduleId < b.scheduleId ? -1 : 1))) {
        await source.addSchedule(schedule)
      }

      expect(await lists()).toEqual(before)
      expect(Object.keys(await snapshotOf(server)).toSorted()).toEqual(golden.map(([key]) => key).toSorted())
    })
  })

  describe('replacing', () => {
    const changes = Object.entries(KINDS).flatMap(([from, old]) =>
      Object.entries(KINDS).map(([to, next]) => [from, to, old, next] as const),
    )

    it.each(changes)('moves a schedule from %s to %s', async (_from, to, old, next) => {
      const source = await start()
      await source.addSchedule({ ...BARE, ...old })

      await source.addSchedule({ ...BARE, ...next })

      expect(await lists()).toEqual({ [to]: ['s'] })
      expect(await source.getSchedules()).toEqual([{ ...BARE, ...next }])
    })

    it.each(['json', 'pickle'] as const)('moves what another format has, to %s', async (serializer) => {
      const other = await start({ serializer: serializer === 'json' ? 'pickle' : 'json' })
      const source = await start({ serializer })
      await other.addSchedule({ ...BARE, time: TIME })

      await source.addSchedule({ ...BARE, intervalMs: 1_000 })

      expect(await lists()).toEqual({ 'schedule:interval': ['s'] })
    })

    it('leaves one entry of those that Python has doubled, and none after it is deleted', async () => {
      const source = await start()
      await source.addSchedule({ ...BARE, cron: '* * * * *' })
      // Python adds to another list without a look at the first.
      await server.command('RPUSH', 'schedule:cron', 's', 'other', 's')
      await server.command('RPUSH', 'schedule:interval', 's')
      expect(await ids(source)).toEqual(['s'])

      await source.addSchedule({ ...BARE, cron: '1 * * * *' })

      expect(await lists()).toEqual({ 'schedule:cron': ['other', 's'] })
      await server.command('RPUSH', 'schedule:interval', 's')
      await source.deleteSchedule('s')
      expect(await snapshotOf(server)).toEqual({ 'schedule:cron': ['other'] })
    })

    it('clears entries that a schedule of the same id has left behind', async () => {
      const source = await start()
      await server.command('RPUSH', 'schedule:interval', 's')

      await source.addSchedule({ ...BARE, time: TIME })

      expect(await lists()).toEqual({ 'schedule:time:2030-01-02T03:04': ['s'] })
    })

    it('finds the list of a record that nobody can read', async () => {
      const source = await start()
      for (const act of [() => source.addSchedule({ ...BARE, intervalMs: 1_000 }), () => source.deleteSchedule('s')]) {
        await server.command('SET', 'schedule:data:s', 'nonsense')
        await server.command('RPUSH', 'schedule:time:2030-01-02T03:04', 's', 'other')
        await server.command('SET', 'schedule:time:of something else', 'x')

        await act()

        expect(await server.command('LRANGE', 'schedule:time:2030-01-02T03:04', '0', '-1')).not.toContain('s')
      }
      expect(await server.command('EXISTS', 'schedule:data:s', 'schedule:interval')).toBe(0)
    })

    it('is atomic: whoever is last, the record and its only entry are of one kind', async () => {
      const sources = await Promise.all(
        ['a', 'b', 'c'].map((connectionName) => start({ clientOptions: { connectionName } })),
      )
      const kinds = Object.values(KINDS)
      for (let round = 0; round < 40; round += 1) {
        await Promise.all(
          [0, 1, 2, 3, 4, 5].map(async (index) => {
            const source = sources[index % sources.length]
            if (index === 5) await source?.deleteSchedule('s')
            else await source?.addSchedule({ ...BARE, ...kinds[(index + round) % kinds.length] })
          }),
        )

        const [schedule] = (await sources[0]?.getSchedules()) ?? []
        const list = Object.entries(KINDS).find(([, kind]) =>
          Object.entries(kind).every(([name, value]) => schedule?.[name as keyof Schedule] === value),
        )
        expect(await lists()).toEqual(schedule ? { [String(list?.[0])]: ['s'] } : {})
      }
    })

    it('never hides a schedule from those who list it meanwhile', async () => {
      const writer = await start()
      const reader = await start({ clientOptions: { connectionName: 'reader' } })
      const kinds = Object.values(KINDS)
      await writer.addSchedule({ ...BARE, cron: '* * * * *' })
      const writing = (async () => {
        for (let round = 0; round < 300; round += 1) {
          await writer.addSchedule({ ...BARE, ...kinds[round % kinds.length] })
        }
        return 'over' as const
      })()
      const next = (): Promise<'over' | string[]> => Promise.race([writing, ids(reader)])
      for (let seen = await next(); seen !== 'over'; seen = await next()) expect(seen).toEqual(['s'])
    })

    it.each(['schedule:data:s', 'schedule:cron', 'schedule:interval', 'schedule:time:2030-01-02T03:04'])(
      'fails, and changes nothing, when %s is of another type',
      async (key) => {
        const source = await start()
        await source.addSchedule({ ...BARE, time: TIME + MINUTE_MS })
        await server.command('DEL', key)
        await server.command('HSET', key, 'a', 'b')
        const before = await snapshotOf(server)

        await expect(source.addSchedule({ ...BARE, time: TIME })).rejects.toMatchObject({
          code: 'KIQ_TRANSPORT_FAILED',
        })

        expect(await snapshotOf(server)).toEqual(before)
      },
    )

    it('fails, and changes nothing, when Redis is out of memory', async () => {
      const source = await start()
      await source.addSchedule({ ...BARE, time: TIME })
      const before = await snapshotOf(server)
      await server.command('CONFIG', 'SET', 'maxmemory', '1')

      await expect(source.addSchedule({ ...BARE, cron: '* * * * *' })).rejects.toThrow(/out of memory/)

      expect(await snapshotOf(server)).toEqual(before)
      await source.deleteSchedule('s')
      expect(await snapshotOf(server)).toEqual({})
      await server.command('CONFIG', 'SET', 'maxmemory', '0')
    })
  })

  describe('listing', () => {
    const now = Date.now()
    const past: Schedule = { ...BARE, scheduleId: 'past', time: now - 2 * MINUTE_MS }
    const future: Schedule = { ...BARE, scheduleId: 'next week', time: now + 7 * 24 * 60 * MINUTE_MS }

    it.each(['schedule', 'with:colons:in', 'glob[*]?'])(
      'has past and future schedules, under the prefix %s',
      async (prefix) => {
        const source = await start({ prefix })

        await source.addSchedule(past)
        await source.addSchedule(future)

        expect(await ids(source)).toEqual(['next week', 'past'])
        await source.deleteSchedule('past')
        expect(await ids(source)).toEqual(['next week'])
        expect(Object.keys(await lists())).toHaveLength(1)
      },
    )

    it('leaves out minutes that are over, when told to, and keeps them', async () => {
      const source = await start({ skipPastSchedules: true })
      const minute = Date.UTC(2026, 0, 2, 3, 4)
      for (const schedule of [
        { ...BARE, scheduleId: 'over', time: minute - 1 },
        { ...BARE, scheduleId: 'this minute', time: minute },
        { ...BARE, scheduleId: 'later', time: minute + MINUTE_MS },
        { ...BARE, scheduleId: 'over, and cron', time: minute - 1, cron: '* * * * *' },
        { ...BARE, scheduleId: 'interval', intervalMs: 1_000 },
      ]) {
        await source.addSchedule(schedule)
      }
      vi.useFakeTimers({ toFake: ['Date'], now: minute + 59_999 })

      expect(await ids(source)).toEqual(['interval', 'later', 'over, and cron', 'this minute'])
      expect(await ids(await start())).toContain('over')
    })

    it('goes on after records that cannot be read, entries without a record, and foreign keys', async () => {
      const source = await start()
      await source.addSchedule(future)
      await server.command('SET', 'schedule:data:broken', '{"task_name":"t"}')
      await server.command('RPUSH', 'schedule:cron', 'no record', 'broken')
      await server.command('SET', 'schedule:time:2020-01-01T00:00', 'no list')
      await server.command('HSET', 'schedule:data:hash', 'a', 'b')
      const plain = new RedisScheduleSource({ url: server.url })
      started.push(plain)
      await plain.startup()
      await plain.addSchedule({ ...BARE, scheduleId: 'data:of the other source', cron: '* * * * *' })

      expect(await ids(source)).toEqual(['next week'])
      expect(logger.lines).toMatchObject([
        {
          level: 'error',
          fields: { scheduleId: 'broken' },
          message: 'Schedule "broken" cannot be read and is left out.',
        },
        { level: 'debug', fields: { count: 2 } },
      ])
    })
  })

  describe('in a cluster', () => {
    let cluster: RedisCluster
    beforeAll(async () => {
      cluster = await startRedisCluster()
    })
    afterAll(() => cluster.close())

    it.each(['plain', '{tagged}'])('has the same keys, under the prefix %s', async (prefix) => {
      const source = await start({ url: cluster.url, prefix })
      const keys = async (): Promise<object> =>
        Object.assign({}, ...(await Promise.all(cluster.nodes.map(snapshotOf)))) as object

      for (const trigger of [...Object.values(KINDS), ...Object.values(KINDS).toReversed()]) {
        await source.addSchedule({ ...BARE, ...trigger })
        expect(await source.getSchedules()).toEqual([{ ...BARE, ...trigger }])
      }

      expect(await keys()).toEqual({ [`${prefix}:cron`]: ['s'], [`${prefix}:data:s`]: expect.any(String) as string })
      await source.deleteSchedule('s')
      await source.deleteSchedule('s')
      expect(await keys()).toEqual({})
    })

    it('is atomic when the prefix has a hash tag', async () => {
      const source = await start({ url: cluster.url, prefix: '{atomic}' })
      await source.addSchedule({ ...BARE, cron: '* * * * *' })
      // Refused by the nodes that do not have the slot.
      await Promise.all(
        cluster.nodes.map((node) => node.command('SET', '{atomic}:interval', 'no list').catch(() => undefined)),
      )

      await expect(source.addSchedule({ ...BARE, time: TIME })).rejects.toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })

      expect(await source.getSchedules()).toEqual([{ ...BARE, cron: '* * * * *' }])
    })
  })
})
