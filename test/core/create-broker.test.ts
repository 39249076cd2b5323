import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { describe, expect, it, onTestFinished } from 'vitest'

import { createBroker, InMemoryBroker, silentLogger } from '../../src/index.ts'

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kiq-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

describe('createBroker', () => {
  it.each(['memory:', 'memory://', 'MEMORY:'])('makes a broker in memory from %s', async (url) => {
    const broker = await createBroker(url)

    expect(broker).toBeInstanceOf(InMemoryBroker)
    expect(broker.defaultQueue).toBe('taskiq')
  })

  it('takes the default queue from the URL, before that of the options', async () => {
    expect((await createBroker('memory:?queue=low')).defaultQueue).toBe('low')
    expect((await createBroker('memory:?queue=low', { queueName: 'high' })).defaultQueue).toBe('low')
    expect((await createBroker('memory:', { queueName: 'high' })).defaultQueue).toBe('high')
  })

  it('makes one that runs', async () => {
    const broker = await createBroker('memory:', { logger: silentLogger })
    const task = broker.task('task', () => 5)
    await broker.startup()

    expect(await (await task.kiq()).result()).toBe(5)
    await broker.shutdown()
  })

  it.each([
    ['relative', (folder: string) => `sqlite:${join(folder, 'kiq.db')}`],
    ['absolute', (folder: string) => `sqlite://${join(folder, 'kiq.db')}`],
    ['with blanks and umlauts', (folder: string) => `sqlite://${pathToFileURL(join(folder, 'a ü.db')).pathname}`],
  ])('makes a broker on a file, %s', async (_what, url) => {
    const broker = await createBroker(url(temporaryFolder()), { logger: silentLogger, queueName: 'mine' })
    const task = broker.task('task', () => 5)

    expect(broker.transport.name).toBe('sqlite')
    expect(broker.defaultQueue).toBe('mine')
    await broker.startup()
    await task.kiq()
    await broker.shutdown()
  })

  it.each([
    ['redis://127.0.0.1:1/2', 'redis-stream'],
    ['rediss://127.0.0.1:1?broker=stream&lease=5s', 'redis-stream'],
    ['redis+cluster://127.0.0.1:1,127.0.0.1:2?broker=list', 'redis-list'],
    ['redis+sentinel://127.0.0.1:1,127.0.0.1:2/main?sentinelPassword=x&broker=pubsub', 'redis-pubsub'],
  ])('makes a broker on Redis from %s', async (url, transport) => {
    const broker = await createBroker(`${url}${url.includes('?') ? '&' : '?'}queue=mine`)

    expect([broker.transport.name, broker.defaultQueue]).toEqual([transport, 'mine'])
  })

  it('shows no password', async () => {
    const url = 'redis+sentinel://user:secret@host/main?sentinelPassword=secret&oops=1'

    await expect(createBroker(url)).rejects.toThrow(/^(?!.*secret).*"oops"/)
  })

  it.each([
    ['a kind of broker that is not there', 'redis://host?broker=constructor'],
    ['a lease where nothing is held', 'redis://host?broker=pubsub&lease=5s'],
    ['a lease that is no duration', 'redis://host?lease=soon'],
    ['a Redis without an address', 'redis://host:0'],
    ['an unknown scheme', 'amazon://queue'],
    ['no scheme', 'kiq.db'],
    ['nothing', ''],
    ['a name of Object’s prototype', 'constructor:'],
    ['no text', 5 as never],
    ['nothing at all', undefined as never],
    ['a file that is not named', 'sqlite:'],
    ['a folder for a file', 'sqlite:///'],
    ['a relative path behind two slashes, which make its first folder a host', 'sqlite://data/kiq.db'],
    ['a path that cannot be decoded', 'sqlite:./%zz.db'],
    ['an empty queue', 'memory:?queue='],
  ])('refuses %s', async (_what, url) => {
    const outcome = await createBroker(url).then(
      (broker) => `a broker on ${broker.transport.name}, queue "${broker.defaultQueue}"`,
      (error: unknown) => error,
    )

    expect(outcome).toMatchObject({ name: 'ConfigError', code: 'KIQ_CONFIG_INVALID' })
  })

  it('names what it could not use and what it can', async () => {
    await expect(createBroker('amazon://queue')).rejects.toThrow(/"amazon:\/\/queue".*memory:, sqlite:/)
  })
})
