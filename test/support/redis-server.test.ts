import { existsSync } from 'node:fs'
import { isAbsolute } from 'node:path'

import { Cluster, Redis } from 'ioredis'
import { afterEach, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { engineSuite } from './engine-suite.ts'
import { redisBinary, redisEngine, startRedis, startRedisCluster, startRedisSentinel } from './redis-server.ts'

const SOON = { timeoutMs: 15_000 }

engineSuite('the Redis servers of the tests', [redisEngine], () => {
  const opened: { close(): Promise<void> }[] = []
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close()
  })

  async function opening<T extends { close(): Promise<void> }>(start: Promise<T>): Promise<T> {
    const one = await start
    opened.push(one)
    return one
  }

  it('are the program of the system', () => {
    expect(isAbsolute(redisBinary ?? '')).toBe(true)
  })

  it('answer on a port of their own, and leave nothing behind', async () => {
    const [one, other] = await Promise.all([startRedis(), startRedis()])

    expect(one.url).not.toBe(other.url)
    expect(await one.command('PING')).toBe('PONG')
    expect(await one.command('SET', 'key', 'of one')).toBe('OK')
    expect(await other.command('GET', 'key')).toBeNull()

    const { pid, directory } = one
    await Promise.all([one.close(), other.close()])
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    expect(existsSync(directory)).toBe(false)
  })

  it('keep an append-only file, and forget everything without one', async () => {
    const [kept, forgotten] = await Promise.all([opening(startRedis({ appendonly: 'always' })), opening(startRedis())])
    for (const server of [kept, forgotten]) {
      const { pid, url } = server
      await server.command('SET', 'key', 'value')
      await server.kill()
      await expect(server.command('PING')).rejects.toThrow('does not run')
      await server.start()
      expect(server.pid).not.toBe(pid)
      expect(server.url).toBe(url)
    }

    expect(await kept.command('GET', 'key')).toBe('value')
    expect(await forgotten.command('GET', 'key')).toBeNull()

    await kept.stop()
    await kept.start()
    expect(await kept.command('GET', 'key')).toBe('value')
  })

  it('answer nothing while they are paused', async () => {
    const server = await opening(startRedis())
    server.pause()
    let isAnswered = false
    const answer = server.command('PING').then(() => (isAnswered = true))
    // Another server has answered often by then.
    const other = await opening(startRedis())
    for (let i = 0; i < 100; i += 1) await other.command('PING')
    expect(isAnswered).toBe(false)

    server.resume()

    expect(await answer).toBe(true)
    server.pause()
    await server.stop()
  })

  it('ask for a password, and refuse what does not fit into memory', async () => {
    const server = await opening(startRedis({ requirepass: 'a:b "c"', maxmemory: '2mb', config: { maxclients: '7' } }))
    const client = new Redis(server.url)

    expect(await client.ping()).toBe('PONG')
    client.disconnect()
    expect(await server.command('CONFIG', 'GET', 'maxclients')).toEqual(['maxclients', '7'])
    const fill = async (): Promise<never> => {
      for (let i = 0; ; i += 1) await server.command('SET', String(i), 'x'.repeat(100_000))
    }
    await expect(fill()).rejects.toThrow('OOM')
  })

  it('speak TLS', async () => {
    const server = await opening(startRedis({ tls: true }))
    const client = new Redis(server.url, { tls: { ca: server.tls?.ca } })

    expect(server.url).toMatch(/^rediss:/)
    expect(await client.ping()).toBe('PONG')
    client.disconnect()
  })

  it('follow a master', async () => {
    const master = await opening(startRedis({ requirepass: 'secret' }))
    const replica = await opening(startRedis({ requirepass: 'secret', replicaof: master }))

    await master.command('SET', 'key', 'value')

    expect(await until(() => replica.command('GET', 'key'), SOON)).toBe('value')
  })

  it('tell why they did not start', async () => {
    await expect(startRedis({ config: { 'no-such-setting': '1' } })).rejects.toThrow(/no-such-setting/)
  })

  it('form a cluster', async () => {
    const cluster = await opening(startRedisCluster())
    const [first] = cluster.nodes
    const client = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })))

    for (let n = 0; n < 20; n += 1) await client.set(`key ${n}`, n)

    const sizes = await Promise.all(cluster.nodes.map((node) => node.command('DBSIZE')))
    expect(sizes.reduce<number>((sum, size) => sum + Number(size), 0)).toBe(20)
    expect(Math.min(...sizes.map(Number))).toBeGreaterThan(0)
    client.disconnect()
    expect(cluster.url).toMatch(/^redis\+cluster:\/\/127\.0\.0\.1:\d+,127\.0\.0\.1:\d+,127\.0\.0\.1:\d+$/)

    await first?.kill()
    await first?.start()
    await cluster.becameOk()
  })

  it('stand under sentinels, which replace a master', async () => {
    const { master, replica, sentinels, url, masterName } = await opening(startRedisSentinel())
    const ask = async (): Promise<readonly number[]> =>
      await Promise.all(
        sentinels.map(async (sentinel) => {
          const [, port] = (await sentinel.command('SENTINEL', 'get-master-addr-by-name', masterName)) as string[]
          return Number(port)
        }),
      )
    expect(url).toBe(`redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/mymaster`)
    expect(await ask()).toEqual([master.port, master.port, master.port])

    await master.kill()

    await until(async () => (await ask()).every((port) => port === replica.port), SOON)
    expect(await until(() => replica.command('SET', 'key', 'value').catch(() => undefined), SOON)).toBe('OK')
  })
})
