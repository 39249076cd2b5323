import { expect, it, onTestFinished } from 'vitest'

import type { SentTask } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { sleep } from '../../src/util/abort.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { leftovers } from './ledger.ts'
import { SOON } from './redis-project.ts'
import { RedisProxy } from './redis-proxy.ts'
import { messagesOf, startLocal, startWorker } from './redis-workers.ts'

const EMPTY = { ready: 0, delayed: 0, running: 0, dead: 0 }

engineSuite('connections to Redis', [redisEngine], () => {
  it.each([
    ['all connections are killed', ['CLIENT', 'KILL', 'TYPE', 'normal']],
    ['those of waiters are killed', ['CLIENT', 'KILL', 'TYPE', 'pubsub']],
    ['scripts are forgotten', ['SCRIPT', 'FLUSH']],
  ])(
    '%s again and again under load: nothing is lost, nothing is done twice',
    async (what, [name = '', ...args]) => {
      const server = await open()
      const { url } = server
      const [client, first, second] = [
        await startLocal({ url }),
        await startWorker({ url }, { concurrency: 50 }),
        await startWorker({ url }, { concurrency: 50, prefetch: 20 }),
      ]
      const warnings: string[] = []
      const warn = (warning: Error): void => void warnings.push(warning.message)
      process.on('warning', warn)
      onTestFinished(() => void process.off('warning', warn))
      const sent: SentTask<number>[] = []
      const outcomes: Promise<number>[] = []

      let attacks = 0
      const until3s = performance.now() + 3_000
      for (let n = 0; performance.now() < until3s; n += 20) {
        const some = await client.work.kiqMany(Array.from({ length: 20 }, (_, k) => [n + k, k]))
        sent.push(...some)
        outcomes.push(...some.map((task) => task.result({ timeout: '20s' })))
        await sleep(5)
        if (n % 400 !== 0) continue
        attacks += 1
        await server.command(name, ...args).catch(() => undefined)
      }
      const values = await Promise.all(outcomes)

      expect(values).toEqual(sent.map((_task, n) => n * 2))
      await until(async () => JSON.stringify(await leftovers(client.broker)) === JSON.stringify(EMPTY), SOON)
      const counts = new Map<number, number>()
      for (const n of [...first.started, ...second.started]) counts.set(n, (counts.get(n) ?? 0) + 1)
      const lost = sent.filter((_task, n) => !counts.has(n)).length
      const twice = [...counts.values()].filter((count) => count > 1).length
      console.log(
        `Redis, ${what} ${attacks} times in 3 s: ${sent.length} tasks, lost ${lost}, executed more than once ${twice}`,
      )
      expect(lost).toBe(0)
      // What was sent again because the answer was lost; nothing where no command was.
      expect(twice).toBeLessThanOrEqual(name === 'CLIENT' && args.includes('normal') ? attacks * 40 : 0)
      expect(warnings).toEqual([])
    },
    60_000,
  )

  it('of a worker end, and Redis does not notice: what it still delivers there is not stuck', async () => {
    const server = await open()
    const proxy = await RedisProxy.start(server)
    const client = await startLocal({ url: server.url })
    const worker = await startWorker({ url: proxy.url, lease: '1s' })
    await (await client.work.kiq(1)).result({ timeout: '10s' })
    const readers = async (): Promise<number> => {
      return String(await server.command('CLIENT', 'LIST')).split('cmd=xreadgroup').length - 1
    }
    await until(async () => (await readers()) === 1, SOON)

    proxy.loseClients()
    // One of them is nobody any more, and the first in the line.
    await until(async () => (await readers()) === 2, SOON)
    const sent: SentTask<number>[] = []
    for (let n = 2; n < 7; n += 1) sent.push(await client.work.kiq(n))

    expect(await Promise.all(sent.map((task) => task.result({ timeout: '20s' })))).toEqual([4, 6, 8, 10, 12])
    expect(worker.started).toHaveLength(6)
    expect(messagesOf(worker.log, 'warn')).toEqual(['Handed back 1 message(s) that were lost on their way here.'])
  }, 60_000)

  it('of a worker whose lease is over bring nothing any more', async () => {
    const server = await open()
    const options = { url: server.url, lease: '1s' }
    const [worker, client] = [await startWorker(options), await startLocal(options)]
    await (await client.work.kiq(1)).result({ timeout: '10s' })
    await until(async () => String(await server.command('CLIENT', 'LIST')).includes('cmd=xreadgroup'), SOON)

    const [session = ''] = (await server.command('ZRANGE', 'kiq:{taskiq}:leases', '0', '-1')) as string[]
    await server.command('ZREM', 'kiq:{taskiq}:leases', session)
    await until(() => messagesOf(worker.log, 'warn').some((text) => text.startsWith('The lease of this worker')), SOON)
    const sent = await client.work.kiq(2, 3_000)

    expect(await sent.result({ timeout: '10s' })).toBe(4)
    expect(worker.started).toEqual([1, 2])
    expect(messagesOf(worker.log, 'error')).toEqual([])
    expect(await leftovers(client.broker)).toEqual(EMPTY)
  }, 60_000)

  it('come back to many who wait for them, without a warning of Node', async () => {
    const server = await open()
    const { broker } = await startLocal({ url: server.url })
    const warnings: string[] = []
    const warn = (warning: Error): void => void warnings.push(warning.message)
    process.on('warning', warn)
    onTestFinished(() => void process.off('warning', warn))

    await server.kill()
    const look = (): Promise<unknown> => broker.getResult('nobody').catch(() => 'failed')
    // A timer may run before the end of the socket was read; what follows it does not.
    const wait = (): Promise<unknown> => sleep(50).then(() => new Promise((resolve) => setImmediate(resolve, 'waits')))
    await until(async () => (await Promise.race([look(), wait()])) === 'waits', SOON)
    const looks = Promise.all(Array.from({ length: 50 }, (_, n) => broker.getResult(`nobody-${n}`)))
    await sleep(100)
    await server.start()

    expect(new Set(await looks)).toEqual(new Set([undefined]))
    expect(warnings).toEqual([])
  })

  it('carry nothing any more, and nobody is told: all goes on over others', async () => {
    const server = await open()
    const proxy = await RedisProxy.start(server)
    const options = { url: proxy.url, lease: '2s', clientOptions: { connectionName: 'silent', socketTimeout: 1_000 } }
    const worker = await startWorker(options)
    const long = await worker.work.kiq(1, 8_000)
    await until(() => worker.started.length === 1, SOON)

    proxy.silence()
    const sent = await worker.work.kiq(2)

    expect(await sent.result({ timeout: '20s' })).toBe(4)
    expect(await long.result({ timeout: '20s' })).toBe(2)
    expect(worker.started).toEqual([1, 2])
    expect(worker.aborted).toEqual([])
  }, 60_000)

  it('that give up commands early still wait for messages', async () => {
    const server = await open()
    const clientOptions = { connectionName: 'hasty', commandTimeout: 500, socketTimeout: 500 }
    const worker = await startWorker({ url: server.url, clientOptions })

    await sleep(1_500)

    expect(await (await worker.work.kiq(1)).result({ timeout: '2s' })).toBe(2)
    expect(messagesOf(worker.log)).toEqual([])
  })
})

async function open(): Promise<RedisServer> {
  const server = await startRedis()
  onTestFinished(() => server.close())
  return server
}
