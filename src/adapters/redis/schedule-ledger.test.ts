import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { engineSuite } from '../../../test/support/engine-suite.ts'
import { recordingLogger } from '../../../test/support/recording-logger.ts'
import type { RedisServer } from '../../../test/support/redis-server.ts'
import { redisEngine, startRedis } from '../../../test/support/redis-server.ts'
import { snapshotOf } from '../../../test/support/redis-snapshot.ts'
import { ListRedisScheduleSource } from './list-schedule-source.ts'
import { RedisScheduleSource } from './schedule-source.ts'

const FOREVER_MS = 60_000

engineSuite('RedisScheduleLedger', [redisEngine], () => {
  let server: RedisServer
  const started: { shutdown(): Promise<void> }[] = []
  let logger = recordingLogger()

  const start = async (Source: typeof RedisScheduleSource | typeof ListRedisScheduleSource = RedisScheduleSource) => {
    const source = new Source({ url: server.url })
    started.push(source)
    await source.startup({ logger })
    return source
  }

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())
  afterEach(async () => {
    for (const source of started.splice(0)) await source.shutdown()
    await server.command('FLUSHALL')
    logger = recordingLogger()
  })

  it.each([
    { Source: RedisScheduleSource, kind: 'keys' },
    { Source: ListRedisScheduleSource, kind: 'list' },
  ])('keeps lead, states and pauses beside the schedules of $Source.name', async ({ Source, kind }) => {
    const { ledger } = await start(Source)

    await ledger.lead('group', 'me', FOREVER_MS)
    await ledger.save(
      'group',
      { name: 'group', holder: 'me' },
      new Map([['s', { firedAt: 1_893_456_000_123, taskId: 'task' }]]),
    )
    await ledger.pause('group', 's')

    const base = `kiq:schedules:{schedule}:${kind}`
    expect(Object.keys(await snapshotOf(server)).toSorted()).toEqual(
      ['changes', 'lead:group', 'paused:group', 'states:group'].map((name) => `${base}:${name}`),
    )
    expect(await server.command('GET', `${base}:lead:group`)).toBe('me')
    expect(await server.command('PTTL', `${base}:lead:group`)).toBeGreaterThan(FOREVER_MS / 2)
    expect(await server.command('HGETALL', `${base}:states:group`)).toEqual([
      's',
      '{"firedAt":1893456000123,"taskId":"task"}',
    ])
  })

  it('leaves nothing of a group that was forgotten and resigned, but that something changed', async () => {
    const { ledger } = await start()
    await ledger.lead('group', 'me', FOREVER_MS)
    await ledger.save('group', { name: 'group', holder: 'me' }, new Map([['s', { firedAt: 1 }]]))
    await ledger.pause('group', 's')

    await ledger.save('group', { name: 'group', holder: 'me' }, new Map([['s', undefined]]))
    await ledger.resign('group', 'me')

    expect(await snapshotOf(server)).toEqual({ 'kiq:schedules:{schedule}:keys:changes': '2' })
  })

  it('keeps sources of both kinds apart that have the same prefix', async () => {
    const [one, other] = [await start(RedisScheduleSource), await start(ListRedisScheduleSource)]

    expect(await one.ledger.lead('group', 'a', FOREVER_MS)).toBe(0)
    expect(await other.ledger.lead('group', 'b', FOREVER_MS)).toBe(0)

    expect(await one.getSchedules()).toEqual([])
    expect(await other.getSchedules()).toEqual([])
    expect(logger.lines).toEqual([])
  })

  it.each(['nonsense', '5', '[]', 'null', '{"firedAt":"1"}', '{"taskId":1}'])(
    'reports a state that reads %s, and leaves it out',
    async (text) => {
      const { ledger } = await start()
      await server.command(
        'HSET',
        'kiq:schedules:{schedule}:keys:states:group',
        'broken',
        text,
        'good',
        '{"firedAt":1}',
      )

      expect(await ledger.load('group')).toEqual(new Map([['good', { firedAt: 1, isPaused: false }]]))

      expect(logger.lines).toEqual([
        {
          level: 'error',
          fields: { err: expect.any(Error) as unknown, scheduleId: 'broken' },
          message: 'What is known of the last firing of schedule "broken" cannot be read and is left out.',
        },
      ])
      await ledger.pause('group', 'broken')
      expect((await ledger.load('group')).get('broken')).toEqual({ isPaused: true })
    },
  )

  it('lets nobody lead for ever', async () => {
    const { ledger } = await start()
    await server.command('SET', 'kiq:schedules:{schedule}:keys:lead:group', 'somebody without an expiry')

    expect(await ledger.lead('group', 'me', FOREVER_MS)).toBe(0)

    expect(await ledger.lead('group', 'another', FOREVER_MS)).toBeGreaterThan(0)
  })

  it('says so long that another leads that it leads no more after that', async () => {
    const { ledger } = await start()
    await ledger.lead('group', 'a', 0.4)

    // A millisecond at least: 0 would mean that this one leads.
    expect(await ledger.lead('group', 'b', FOREVER_MS)).toBeLessThanOrEqual(1)
  })

  describe('of a Redis that is out of memory', () => {
    afterEach(() => server.command('CONFIG', 'SET', 'maxmemory', '0'))

    it('lets who leads go on, resign and resume, and changes nothing that it refuses', async () => {
      const { ledger } = await start()
      await ledger.lead('group', 'me', FOREVER_MS / 2)
      await ledger.save('group', { name: 'group', holder: 'me' }, new Map([['s', { firedAt: 1 }]]))
      await ledger.pause('group', 's')
      await server.command('CONFIG', 'SET', 'maxmemory', '1')

      expect(await ledger.lead('group', 'me', FOREVER_MS)).toBe(0)
      expect(await ledger.lead('group', 'another', FOREVER_MS)).toBeGreaterThan(FOREVER_MS / 2)
      const saving = ledger.save('group', { name: 'group', holder: 'me' }, new Map([['s', { firedAt: 2 }]]))
      await expect(saving).rejects.toThrow(/out of memory/)
      expect((await ledger.load('group')).get('s')).toEqual({ firedAt: 1, isPaused: true })

      await ledger.resume('group', 's')
      await ledger.resign('group', 'me')

      expect((await ledger.load('group')).get('s')).toEqual({ firedAt: 1, isPaused: false })
      expect(await server.command('EXISTS', 'kiq:schedules:{schedule}:keys:lead:group')).toBe(0)
    })
  })

  it('tells who did not start the source', async () => {
    const { ledger } = new RedisScheduleSource({ url: server.url })
    const failure = { code: 'KIQ_BROKER_NOT_STARTED' }

    await expect(ledger.lead('group', 'me', FOREVER_MS)).rejects.toMatchObject(failure)
    await expect(ledger.resign('group', 'me')).rejects.toMatchObject(failure)
    await expect(ledger.load('group')).rejects.toMatchObject(failure)
    await expect(ledger.save('group', { name: 'group', holder: 'me' }, new Map())).rejects.toMatchObject(failure)
    await expect(ledger.pause('group', 's')).rejects.toMatchObject(failure)
  })
})
