import { expect, it } from 'vitest'

import { BrokerError, ConfigError } from '../../src/index.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import type { RedisOptions, RedisServer } from '../support/redis-server.ts'
import { errorOf } from './redis-errors.ts'
import { RedisProject } from './redis-project.ts'
import { localBroker, messagesOf, startWorker } from './redis-workers.ts'
import { until } from '../../src/testing/until.ts'

const SOON = { timeoutMs: 20_000 }

engineSuite('Redis that cannot be used', [redisEngine], () => {
  it('is down at the start: the broker says where, in time, and can be started later', async (test) => {
    const server = await open(test)
    const local = localBroker({ url: server.url, connectTimeout: 400 })
    await server.kill()
    const startedAt = performance.now()

    const error = await errorOf(local.broker.startup())

    expect(error).toBeInstanceOf(BrokerError)
    expect(error).toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
    expect(error.message).toMatch(new RegExp(`Redis at redis://127.0.0.1:${server.port} cannot be reached`))
    expect(error.message).toMatch(/ECONNREFUSED.*Is it running, and is the address right\?/)
    expect(performance.now() - startedAt).toBeLessThan(2_000)
    await server.start()
    await local.broker.startup()
    await local.work.kiq(1)
  })

  it('is down at the start of workers: they try until it is up', async (test) => {
    const server = await open(test)
    const project = new RedisProject({ url: server.url, connectTimeout: 200 })
    await server.kill()

    const supervisor = project.supervisor('-w', '1')
    const { msg, code } = await supervisor.logged('ended with exit code 1', 2)

    expect(code).toBe('KIQ_TRANSPORT_FAILED')
    expect(msg).toContain(`Redis at redis://127.0.0.1:${server.port} cannot be reached`)
    await server.start()
    await supervisor.becameReady(1)
    const { work } = await project.client()
    expect(await (await work.kiq(4, 0)).result({ timeout: '10s' })).toMatchObject({ value: 8 })
  })

  it.each([
    ['a wrong password', ':wrong@', /WRONGPASS/],
    ['no password', '', /NOAUTH/],
  ])('asks for credentials and gets %s: says so at once', async (_what, credentials, answer) => {
    const server = await startRedis({ requirepass: 'right' })
    try {
      const url = `redis://${credentials}127.0.0.1:${server.port}`
      const startedAt = performance.now()

      const error = await errorOf(localBroker({ url }).broker.startup())

      expect(performance.now() - startedAt).toBeLessThan(3_000)
      expect(error).toBeInstanceOf(ConfigError)
      expect(error).toMatchObject({ code: 'KIQ_CONFIG_INVALID' })
      expect(error.message).toMatch(answer)
      expect(error.message).toMatch(/refuses these credentials.*Check user and password in `url`/)
      expect(error.message).not.toContain('wrong@')
    } finally {
      await server.close()
    }
  })

  it('refuses the credentials of workers: the command ends, since trying again would not help', async (test) => {
    const server = await open(test, { requirepass: 'right' })
    const project = new RedisProject({ url: `redis://:wrong@127.0.0.1:${server.port}` })

    const supervisor = project.supervisor('-w', '2')

    expect(await supervisor.exit).toBe(2)
    expect(supervisor.stderr).toMatch(/kiq: KIQ_CONFIG_INVALID: .*refuses these credentials/)
  })

  it('is a replica: says so, and all goes on when it is promoted', async (test) => {
    const master = await open(test)
    const replica = await open(test, { replicaof: master })
    const { url } = replica
    const early = await errorOf(localBroker({ url }).broker.startup())
    const project = new RedisProject({ url })
    const supervisor = project.supervisor('-w', '1')
    await supervisor.logged('takes no writes (READONLY)')
    await replica.command('REPLICAOF', 'NO', 'ONE')
    await supervisor.becameReady(1)
    const { work } = await project.client()
    await (await work.kiq(1, 0)).result({ timeout: '10s' })

    await replica.command('REPLICAOF', '127.0.0.1', String(master.port))
    const late = await errorOf(work.kiq(1, 0))
    await replica.command('REPLICAOF', 'NO', 'ONE')

    for (const error of [early, late]) {
      expect(error).toBeInstanceOf(BrokerError)
      expect(error).toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
      expect(error.message).toMatch(/is a replica and takes no writes \(READONLY\)\. Connect to the master/)
    }
    const sent = await until(async () => await work.kiq(2, 0).catch(() => undefined), SOON)
    expect(await sent.result({ timeout: '10s' })).toMatchObject({ value: 4 })
    expect(supervisor.log.map(({ msg }) => msg).filter((text) => text.includes('nobody handled'))).toEqual([])
  }, 60_000)

  it.each([
    ['is down', (server: RedisServer) => server.kill()],
    ['does not answer', (server: RedisServer) => Promise.resolve(server.pause())],
  ])('%s at the end: a worker stops all the same', async (_what, end) => {
    const server = await startRedis()
    try {
      const clientOptions = { connectionName: 'ending', socketTimeout: 1_000 }
      const { broker, work, worker, log } = await startWorker({ url: server.url, clientOptions })
      await (await work.kiq(1)).result({ timeout: '10s' })
      await end(server)
      const startedAt = performance.now()

      await worker.stop()
      await broker.shutdown()

      expect(performance.now() - startedAt).toBeLessThan(5_000)
      expect(messagesOf(log, 'warn').join()).toContain('Could not hand back messages; others get them when')
    } finally {
      await server.close()
    }
  })
})

async function open(
  { onTestFinished }: { onTestFinished: (end: () => Promise<void>) => void },
  options: RedisOptions = {},
): Promise<RedisServer> {
  const server = await startRedis(options)
  onTestFinished(() => server.close())
  return server
}
