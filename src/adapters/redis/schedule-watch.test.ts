import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'

import { engineSuite } from '../../../test/support/engine-suite.ts'
import { recordingLogger } from '../../../test/support/recording-logger.ts'
import type { RedisServer } from '../../../test/support/redis-server.ts'
import { redisEngine, startRedis } from '../../../test/support/redis-server.ts'
import { BrokerError } from '../../contract/index.ts'
import type { Schedule } from '../../contract/index.ts'
import { until } from '../../testing/until.ts'
import type { RedisConnection } from './connection.ts'
import { ListRedisScheduleSource } from './list-schedule-source.ts'
import { RedisScheduleSource } from './schedule-source.ts'
import type { RedisScheduleInternals, RedisScheduleOptions } from './schedule-store.ts'
import { ScheduleWatch } from './schedule-watch.ts'
import type { ScheduleWatchParts } from './schedule-watch.ts'

const BARE: Schedule = { scheduleId: 's', taskName: 't', labels: {}, args: [], kwargs: {} }
const JSON_TEXT = JSON.stringify({ task_name: 't', labels: {}, args: [], kwargs: {}, cron: '* * * * *' })
const MINUTE_MS = 60_000
/** Often, so that nobody waits long. */
const LOOK_MS = 100
const SOON = { timeoutMs: 5_000 }

const SOURCES = [RedisScheduleSource, ListRedisScheduleSource] as const
type Source = InstanceType<(typeof SOURCES)[number]>

describe('ScheduleWatch', () => {
  const setup = (
    parts: Pick<ScheduleWatchParts, 'look' | 'pauseFactor'>,
  ): { watch: ScheduleWatch; told: () => number } => {
    const hub = { onResumed: () => () => undefined, subscribe: async () => undefined, unsubscribe: () => undefined }
    let count = 0
    const watch = new ScheduleWatch({
      ...parts,
      connection: Promise.resolve({ hub } as unknown as RedisConnection),
      channel: 'channel',
      lookMs: 1,
      listener: () => (count += 1),
      logger: recordingLogger(),
    })
    onTestFinished(() => watch.end())
    return { watch, told: () => count }
  }

  it('looks one after another, for no more than its share of the time', async () => {
    const looks: { began: number; ended: number }[] = []
    const look = async (): Promise<string> => {
      const began = performance.now()
      await until(() => performance.now() - began > 20, SOON)
      looks.push({ began, ended: performance.now() })
      return ''
    }
    setup({ look, pauseFactor: 10 })
    await until(() => looks.length === 3, SOON)

    const pauses = looks.slice(1).map(({ began }, i) => began - Number(looks[i]?.ended))
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(199)
  })

  it('tells nothing that a look finds after the end', async () => {
    const looks: ((seen: string) => void)[] = []
    const { watch, told } = setup({ look: () => new Promise((resolve) => looks.push(resolve)), pauseFactor: 0 })
    /** Ends the look of that number, when it has begun. */
    const find = async (number: number, seen: string): Promise<void> => {
      await until(() => looks.length === number, SOON)
      looks[number - 1]?.(seen)
    }
    await find(1, 'first')
    await find(2, 'second')
    await until(() => looks.length === 3, SOON)
    expect(told()).toBe(2)

    watch.end()
    await find(3, 'third')
    await new Promise((resolve) => setImmediate(resolve))

    expect([told(), looks.length]).toEqual([2, 3])
  })

  it('takes the look after one that failed for a change', async () => {
    let looks = 0
    const look = async (): Promise<string> => {
      looks += 1
      if (looks === 1) throw new BrokerError('KIQ_TRANSPORT_FAILED', 'Cannot be reached.')
      return 'the same'
    }
    const { told } = setup({ look, pauseFactor: 0 })
    await until(() => looks > 3, SOON)

    // One at the beginning.
    expect(told()).toBe(2)
  })
})

engineSuite('watches of schedules in Redis', [redisEngine], () => {
  let server: RedisServer
  const started: { shutdown(): Promise<void> }[] = []
  let logger = recordingLogger()

  const start = async (
    Kind: (typeof SOURCES)[number] = ListRedisScheduleSource,
    { lookMs = LOOK_MS, ...options }: RedisScheduleOptions & RedisScheduleInternals = {},
  ): Promise<Source> => {
    const source = new Kind({ url: server.url, ...options }, { lookMs })
    started.push(source)
    await source.startup({ logger })
    return source
  }
  /** Looks at the lists, or at all keys. */
  const looks = async (source: Source): Promise<number> => {
    const name = source instanceof ListRedisScheduleSource ? 'lrange' : 'scan'
    const stats = String(await server.command('INFO', 'commandstats'))
    return Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
  }
  /** Resolves when two more looks have begun, of which the first has ended. */
  const looked = async (source: Source): Promise<void> => {
    const perLook = source instanceof ListRedisScheduleSource ? 4 : 1
    const before = await looks(source)
    await until(async () => (await looks(source)) >= before + 2 * perLook, SOON)
  }
  /** What was told, after what tells at the beginning. */
  const watch = async (source: Source): Promise<{ count: number; readonly end: () => void }> => {
    const told = { count: 0, end: source.watch(() => (told.count += 1)) }
    await until(() => told.count > 0, SOON)
    await looked(source)
    told.count = 0
    return told
  }
  const subscribers = async (channel: string): Promise<unknown> =>
    ((await server.command('PUBSUB', 'NUMSUB', channel)) as readonly unknown[])[1]

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

  describe.each(SOURCES)('%o', (Kind) => {
    it('tell of our own changes, and do not look for them', async () => {
      const source = await start(Kind, { lookMs: 600_000 })
      const other = await start(Kind, { clientOptions: { connectionName: 'other' } })
      const told = { count: 0, end: source.watch(() => (told.count += 1)) }
      await until(() => told.count > 0, SOON)
      for (const act of [
        () => other.addSchedule({ ...BARE, cron: '* * * * *' }),
        () => other.addSchedule({ ...BARE, time: Date.now() + 60 * MINUTE_MS }),
        () => other.deleteSchedule('s'),
        () => other.ledger.pause('group', 's'),
      ]) {
        const before = told.count
        await act()
        await until(() => told.count > before, SOON)
      }
    })

    it('tell nothing while nothing changes, nor of what others do', async () => {
      const source = await start(Kind)
      await source.addSchedule({ ...BARE, cron: '* * * * *' })
      const told = await watch(source)

      await server.command('SET', 'something else', 'x')
      await source.ledger.lead('group', 'me', 60_000)
      await source.ledger.save('group', { name: 'group', holder: 'me' }, new Map([['s', { firedAt: 1 }]]))
      await looked(source)

      expect(told.count).toBe(0)
    })

    it('tell of what was published while nobody could hear it', async () => {
      const own = await startRedis({ appendonly: 'always' })
      const source = await start(Kind, { url: own.url })
      let count = 0
      source.watch(() => (count += 1))
      await until(() => count > 0, SOON)
      await own.kill()
      await own.start()
      const before = count
      await own.command('INCR', `kiq:schedules:{schedule}:${Kind === RedisScheduleSource ? 'keys' : 'list'}:changes`)

      await until(() => count > before, { timeoutMs: 10_000 })
      await source.shutdown()
      await own.close()
    })

    it('find everything for a user who may use no channels', async () => {
      await server.command('ACL', 'SETUSER', 'deaf', 'on', '>pw', '~*', '+@all', 'resetchannels')
      const source = await start(Kind, { url: server.url.replace('://', '://deaf:pw@') })
      const told = await watch(source)
      for (const act of [
        () => source.addSchedule({ ...BARE, cron: '* * * * *' }),
        () => source.ledger.pause('group', 's'),
        () => source.ledger.resume('group', 's'),
        () => source.deleteSchedule('s'),
      ]) {
        const before = told.count
        await act()
        await until(() => told.count > before, SOON)
      }
      await server.command('ACL', 'DELUSER', 'deaf')
    })

    it('end with the source, or before it, with their subscription', async () => {
      const source = await start(Kind)
      const channel = `kiq:schedules:{schedule}:${Kind === RedisScheduleSource ? 'keys' : 'list'}:0`
      const told = [await watch(source), await watch(source)] as const
      expect(await subscribers(channel)).toBe(1)
      told[0].end()
      expect(await subscribers(channel)).toBe(1)
      told[1].end()
      await expect.poll(() => subscribers(channel)).toBe(0)

      const last = await watch(source)
      await source.shutdown()
      await expect.poll(() => subscribers(channel)).toBe(0)
      last.end()
      const other = await start(Kind, { clientOptions: { connectionName: 'other' } })
      const toldOther = await watch(other)
      await other.addSchedule({ ...BARE, cron: '* * * * *' })
      await until(() => toldOther.count > 0, SOON)

      expect([...told, last].map(({ count }) => count)).toEqual([0, 0, 0])
    })

    it('may end before they have begun', async () => {
      const source = await start(Kind)
      let count = 0
      source.watch(() => (count += 1))()
      const told = await watch(source)

      await source.addSchedule({ ...BARE, cron: '* * * * *' })

      await until(() => told.count > 0, SOON)
      expect(count).toBe(0)
    })

    it('go on after a listener that throws', async () => {
      const source = await start(Kind)
      source.watch(() => {
        throw new Error('of the listener')
      })
      const told = await watch(source)

      await source.addSchedule({ ...BARE, cron: '* * * * *' })
      await until(() => told.count > 0, SOON)

      expect(logger.lines).toContainEqual({
        level: 'error',
        fields: { err: expect.objectContaining({ message: 'of the listener' }) as unknown },
        message: 'A listener for changed schedules threw.',
      })
    })

    it('need a source that was started', async () => {
      const source = new Kind({ url: server.url })

      expect(() => source.watch(() => undefined)).toThrow(/Call `startup\(\)` first/)
    })
  })

  it('find what Python adds, changes and deletes under the keys of RedisScheduleSource', async () => {
    const source = await start(RedisScheduleSource)
    const told = await watch(source)
    const commands: readonly (readonly [name: string, ...rest: string[]])[] = [
      ['SET', 'schedule:a', JSON_TEXT],
      ['SET', 'schedule:a', JSON_TEXT.replace('"t"', '"other"')],
      ['RENAME', 'schedule:a', 'schedule:b'],
      ['DEL', 'schedule:b'],
    ]
    for (const command of commands) {
      const before = told.count
      await server.command(...command)
      await until(() => told.count > before, SOON)
    }
  })

  describe('of lists', () => {
    const add = async (list: string, id: string, text = JSON_TEXT): Promise<void> => {
      await server.command('SET', `schedule:data:${id}`, text)
      await server.command('RPUSH', `schedule:${list}`, id)
    }
    const remove = async (list: string, id: string): Promise<void> => {
      await server.command('DEL', `schedule:data:${id}`)
      await server.command('LREM', `schedule:${list}`, '0', id)
    }
    const minute = (time: number): string => `time:${new Date(time).toISOString().slice(0, 16)}`

    it('find what Python adds and deletes', async () => {
      const told = await watch(await start())
      for (const list of ['cron', 'interval', minute(Date.now()), minute(Date.now() + MINUTE_MS)]) {
        for (const act of [add, remove]) {
          const before = told.count
          await act(list, 'a')
          await until(() => told.count > before, SOON)
        }
      }
    })

    it('find what Python replaces by deleting and adding, which leaves the same list', async () => {
      await add('cron', 'a')
      const told = await watch(await start())

      await remove('cron', 'a')
      await add('cron', 'a', JSON_TEXT.replace('"t"', '"other"'))

      await until(() => told.count > 0, SOON)
    })

    it('find many, and a change of any of them', async () => {
      const ids = Array.from({ length: 1_201 }, (_, i) => `${i}`)
      await server.command('MSET', ...ids.flatMap((id) => [`schedule:data:${id}`, JSON_TEXT]))
      await server.command('RPUSH', 'schedule:cron', ...ids)
      const told = await watch(await start())
      for (const id of ['0', '700', '1200']) {
        const before = told.count
        await server.command('SET', `schedule:data:${id}`, JSON_TEXT.replace('"t"', '"other"'))
        await until(() => told.count > before, SOON)
      }
    })

    it('find what is due in a later minute when the one before has come', async () => {
      const now = Date.UTC(2026, 0, 2, 3, 4, 30)
      vi.useFakeTimers({ toFake: ['Date'], now })
      const source = await start()
      const told = await watch(source)
      await add(minute(now + 10 * MINUTE_MS), 'a')
      await looked(source)
      expect(told.count).toBe(0)

      vi.setSystemTime(now + 9 * MINUTE_MS)

      await until(() => told.count > 0, SOON)
    })

    it('tell of a later minute whose schedule Python has deleted, before it is due', async () => {
      const now = Date.UTC(2026, 0, 2, 3, 4, 30)
      vi.useFakeTimers({ toFake: ['Date'], now })
      const source = await start()
      await source.addSchedule({ ...BARE, time: now + 10 * MINUTE_MS })
      const told = await watch(source)
      expect(await source.getSchedules()).toHaveLength(1)
      await remove(minute(now + 10 * MINUTE_MS), 's')
      await looked(source)
      expect(told.count).toBe(0)

      vi.setSystemTime(now + 9 * MINUTE_MS)

      await until(() => told.count > 0, SOON)
    })

    it('tell nothing because a minute is over in which nothing was due', async () => {
      const now = Date.UTC(2026, 0, 2, 3, 4, 30)
      vi.useFakeTimers({ toFake: ['Date'], now })
      const source = await start()
      await source.addSchedule({ ...BARE, cron: '* * * * *' })
      const told = await watch(source)

      for (const minutes of [1, 2, 3]) {
        vi.setSystemTime(now + minutes * MINUTE_MS)
        await looked(source)
      }

      expect(told.count).toBe(0)
    })

    it('go on after what cannot be read, and say so to those who debug', async () => {
      await server.command('SET', 'schedule:interval', 'no list')
      const source = await start()
      let count = 0
      source.watch(() => (count += 1))
      await until(() => logger.lines.some(({ level }) => level === 'debug'), SOON)
      expect(logger.lines.filter(({ level }) => level !== 'debug')).toEqual([])
      const before = count

      await server.command('DEL', 'schedule:interval')

      await until(() => count > before, SOON)
    })
  })
})
