import { readFileSync } from 'node:fs'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { engineSuite } from '../../../test/support/engine-suite.ts'
import { recordingLogger } from '../../../test/support/recording-logger.ts'
import type { RedisCluster, RedisServer } from '../../../test/support/redis-server.ts'
import { redisEngine, startRedis, startRedisCluster } from '../../../test/support/redis-server.ts'
import { snapshotOf } from '../../../test/support/redis-snapshot.ts'
import type { Schedule } from '../../contract/index.ts'
import { ListRedisScheduleSource } from './list-schedule-source.ts'
import { RedisScheduleSource } from './schedule-source.ts'
import type { RedisScheduleOptions } from './schedule-store.ts'

const CRON: Schedule = { scheduleId: 'c', taskName: 't', labels: {}, args: [], kwargs: {}, cron: '* * * * *' }
const JSON_TEXT = JSON.stringify({ task_name: 't', labels: {}, args: [], kwargs: {}, cron: '* * * * *' })

const GOLDEN = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/golden/_schedules.json', import.meta.url), 'utf8'),
) as { readonly RedisScheduleSource: Readonly<Record<string, { readonly value: string }>> }

engineSuite('RedisScheduleSource', [redisEngine], () => {
  let server: RedisServer
  const started: RedisScheduleSource[] = []
  let logger = recordingLogger()

  const start = async (options: RedisScheduleOptions = {}): Promise<RedisScheduleSource> => {
    const source = new RedisScheduleSource({ url: server.url, ...options })
    started.push(source)
    await source.startup({ logger })
    return source
  }
  const ids = async (source: RedisScheduleSource): Promise<string[]> =>
    (await source.getSchedules()).map(({ scheduleId }) => scheduleId).toSorted()

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())
  afterEach(async () => {
    for (const source of started.splice(0)) await source.shutdown()
    await server.command('FLUSHALL')
    logger = recordingLogger()
  })

  it('keeps each schedule under its prefix and its id, without an expiry', async () => {
    const source = await start()

    await source.addSchedule(CRON)

    expect(await snapshotOf(server)).toEqual({
      'schedule:c':
        '{"task_name":"t","labels":{},"args":[],"kwargs":{},"task_id":null,"schedule_id":"c","cron":"* * * * *",' +
        '"cron_offset":null,"time":null,"interval":null}',
    })
    expect(await server.command('TTL', 'schedule:c')).toBe(-1)
    await source.deleteSchedule('c')
    expect(await snapshotOf(server)).toEqual({})
  })

  it('reads what Python has written, and writes it to the same keys', async () => {
    const golden = Object.entries(GOLDEN.RedisScheduleSource)
    for (const [key, { value }] of golden) await server.command('SET', key, value)
    const source = await start()
    const schedules = await source.getSchedules()
    expect(schedules).toHaveLength(golden.length)

    await server.command('FLUSHALL')
    for (const schedule of schedules) await source.addSchedule(schedule)

    expect(Object.keys(await snapshotOf(server)).toSorted()).toEqual(golden.map(([key]) => key).toSorted())
    expect(await ids(source)).toEqual(schedules.map(({ scheduleId }) => scheduleId).toSorted())
  })

  it('lists the others when one cannot be read, and says so', async () => {
    const source = await start()
    await source.addSchedule(CRON)
    await server.command('SET', 'schedule:broken', 'nonsense')

    expect(await ids(source)).toEqual(['c'])
    expect(logger.lines).toEqual([
      {
        level: 'error',
        fields: { err: expect.any(SyntaxError) as unknown, scheduleId: 'broken' },
        message: 'Schedule "broken" cannot be read and is left out.',
      },
    ])
  })

  it('leaves out what has another type or another id, with one line', async () => {
    const list = new ListRedisScheduleSource({ url: server.url })
    const source = await start()
    await list.startup()
    await list.addSchedule({ ...CRON, scheduleId: 'of the list' })
    await list.shutdown()
    await server.command('HSET', 'schedule:hash', 'a', 'b')
    await server.command('SET', 'schedule:x', JSON_TEXT.replace('{', '{"schedule_id":"y",'))
    await source.addSchedule(CRON)

    expect(await ids(source)).toEqual(['c'])
    expect(logger.lines).toMatchObject([{ level: 'debug', fields: { count: 4 } }])
    expect((logger.lines[0]?.fields['keys'] as string[]).toSorted()).toEqual([
      'schedule:cron',
      'schedule:data:of the list',
      'schedule:hash',
      'schedule:x',
    ])
  })

  it('gives a record without an id that of its key', async () => {
    await server.command('SET', 'schedule:a:b', JSON_TEXT)

    expect(await (await start()).getSchedules()).toEqual([{ ...CRON, scheduleId: 'a:b' }])
  })

  it.each(['a*', 'a?', '[ab]', 'a\\', '^a', '{a}', 'a:b:c', ''])('keeps to the prefix %j', async (prefix) => {
    const source = await start({ prefix })
    for (const key of ['ab:x', 'a:x', 'b:x', 'aa:x', 'a:b:x']) await server.command('SET', key, JSON_TEXT)
    await source.addSchedule({ ...CRON, scheduleId: '*' })

    expect(await ids(source)).toEqual(['*'])
    await source.deleteSchedule('*')
    expect(await ids(source)).toEqual([])
    expect(await server.command('DBSIZE')).toBe(5)
  })

  it('finds its schedules among thousands of keys', async () => {
    const source = await start({ bufferSize: 7 })
    const others = Array.from({ length: 5_000 }, (_, index) => [`other:${index}`, 'x']).flat()
    await server.command('MSET', ...others)
    const expected = Array.from({ length: 300 }, (_, index) => String(index)).toSorted()
    await Promise.all(expected.map((scheduleId) => source.addSchedule({ ...CRON, scheduleId })))

    expect(await ids(source)).toEqual(expected)
  })

  it('tells its caller when Redis is gone, and goes on when it is back', async () => {
    const own = await startRedis({ appendonly: 'always' })
    const source = await start({ url: own.url, connectTimeout: 200 })
    await source.addSchedule(CRON)
    await own.kill()

    await expect(source.getSchedules()).rejects.toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
    await expect(source.addSchedule(CRON)).rejects.toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
    await expect(source.deleteSchedule('c')).rejects.toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
    await own.start()

    await expect.poll(() => ids(source).catch(() => undefined), { timeout: 10_000 }).toEqual(['c'])
    await own.close()
  })

  it('can be started again, also after a start that failed', async () => {
    const own = await startRedis()
    await own.stop()
    const source = new RedisScheduleSource({ url: own.url, connectTimeout: 100 })
    await expect(source.startup()).rejects.toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
    await own.start()

    await Promise.all([source.startup(), source.startup()])
    await source.addSchedule(CRON)
    await source.shutdown()
    await source.shutdown()
    await expect(source.getSchedules()).rejects.toMatchObject({
      code: 'KIQ_BROKER_NOT_STARTED',
      message: expect.stringContaining('Call `startup()` first.') as string,
    })

    await source.startup()
    expect(await ids(source)).toEqual(['c'])
    await source.shutdown()
    await own.close()
  })

  it('lets go of the connection', async () => {
    const first = new RedisScheduleSource({ url: server.url, clientOptions: { connectionName: 'schedules' } })
    const clients = async (): Promise<number> =>
      String(await server.command('CLIENT', 'LIST')).split('name=schedules ').length - 1
    await first.startup()
    expect(await clients()).toBe(1)

    await first.shutdown()

    await expect.poll(clients).toBe(0)
  })

  it.each([
    [{ prefix: 5 as unknown as string }, "`prefix` is 5. Use text, such as 'schedule'."],
    [{ bufferSize: 0 }, '`bufferSize` is 0. Use a whole number ≥ 1.'],
    [{ bufferSize: 1.5 }, '`bufferSize` is 1.5. Use a whole number ≥ 1.'],
    [{ serializer: 'yaml' as 'json' }, "`serializer` is 'yaml'. Use 'json', 'pickle' or a serializer."],
    [{ url: undefined }, 'neither is given'],
  ])('refuses the options %j', (options, message) => {
    expect(() => new RedisScheduleSource({ url: 'redis://localhost', ...options })).toThrow(message)
  })

  describe('in a cluster', () => {
    let cluster: RedisCluster
    beforeAll(async () => {
      cluster = await startRedisCluster()
    })
    afterAll(() => cluster.close())

    it('finds the schedules of all masters, and leaves out what is none', async () => {
      const source = await start({ url: cluster.url })
      const expected = Array.from({ length: 60 }, (_, index) => `s${index}`).toSorted()
      for (const scheduleId of expected) await source.addSchedule({ ...CRON, scheduleId })
      const counts = await Promise.all(cluster.nodes.map((node) => node.command('DBSIZE')))
      expect(counts.every((count) => Number(count) > 0)).toBe(true)
      for (const node of cluster.nodes) {
        // The node itself says which key is of its slots.
        const add = (key: string) => node.command('RPUSH', key, 'x').catch(() => undefined)
        await Promise.all(['schedule:1', 'schedule:2', 'schedule:3'].map(add))
      }

      expect(await ids(source)).toEqual(expected)
      expect(logger.lines).toMatchObject([{ level: 'debug', fields: { count: 3 } }])
    })
  })
})
