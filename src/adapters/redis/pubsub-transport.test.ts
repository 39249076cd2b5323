import { randomUUID } from 'node:crypto'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { engineSuite } from '../../../test/support/engine-suite.ts'
import type { RecordingLogger } from '../../../test/support/recording-logger.ts'
import { recordingLogger } from '../../../test/support/recording-logger.ts'
import type { RedisServer } from '../../../test/support/redis-server.ts'
import { redisEngine, startRedis } from '../../../test/support/redis-server.ts'
import type { Delivery, WireMessage } from '../../contract/index.ts'
import { until } from '../../testing/until.ts'
import type { RedisPubSubTransportOptions } from './pubsub-transport.ts'
import { RedisPubSubTransport } from './pubsub-transport.ts'

const SOON = { timeoutMs: 10_000 }

describe('options of RedisPubSubTransport', () => {
  it.each([0, 1.5, Number.NaN, -1])('refuses a buffer of %s', (bufferSize) => {
    expect(() => new RedisPubSubTransport({ url: 'redis://localhost', bufferSize })).toThrow(/`bufferSize` is/)
  })
})

engineSuite('RedisPubSubTransport', [redisEngine], () => {
  let server: RedisServer
  let queue = ''
  let logger: RecordingLogger
  const opened: RedisPubSubTransport[] = []

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())
  beforeEach(() => {
    queue = `q-${randomUUID()}`
    logger = recordingLogger()
  })
  afterEach(async () => {
    for (const transport of opened.splice(0)) await transport.stop()
  })

  const open = async (options: RedisPubSubTransportOptions = {}): Promise<RedisPubSubTransport> => {
    const clientOptions = { connectionName: randomUUID() }
    const transport = new RedisPubSubTransport({ url: server.url, clientOptions, ...options })
    opened.push(transport)
    const ignore = (): void => undefined
    const start = { workerId: randomUUID(), logger, defaultQueue: queue, onCancel: ignore, onLeaseLost: ignore }
    await transport.start({ role: 'worker', ...start })
    expect(await receive(transport, 1, 50)).toEqual([])
    return transport
  }
  const receive = async (transport: RedisPubSubTransport, max = 10, ms = 5_000): Promise<readonly Delivery[]> =>
    await transport.receive({ queues: [queue], max, signal: AbortSignal.timeout(ms) })
  const message = (body: string, to = queue): WireMessage => {
    return { taskId: randomUUID(), taskName: 't', queue: to, body, labels: {} }
  }
  const publish = async (...bodies: readonly string[]): Promise<void> => {
    for (const body of bodies) await server.command('PUBLISH', queue, body)
  }
  const bodiesOf = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ body }) => String(body))
  const isHeard = async (): Promise<boolean> => {
    const [, count] = (await server.command('PUBSUB', 'NUMSUB', queue)) as [string, number]
    return count > 0
  }

  it('gets what Python publishes, also between two receives', async () => {
    const transport = await open()

    await publish('a', 'b')

    await until(async () => bodiesOf(await receive(transport, 1)).includes('b'), SOON)
  })

  it('drops the oldest of what nobody has received, and says so', async () => {
    const transport = await open({ bufferSize: 2 })

    await publish('a', 'b', 'c')
    await until(() => logger.lines.length > 0, SOON)

    expect(bodiesOf(await receive(transport))).toEqual(['b', 'c'])
    expect(logger.lines).toMatchObject([{ level: 'error', fields: { queue, dropped: 1, bufferSize: 2 } }])
  })

  it('keeps a retry to itself: the other workers have their own', async () => {
    const [transport, other] = [await open(), await open()]
    await publish('a')
    await receive(other)
    const [delivery] = await receive(transport)
    if (!delivery) return expect.fail('nothing came')

    expect(await transport.settle([{ kind: 'replace', delivery, message: message('retry') }])).toEqual(['settled'])

    expect(bodiesOf(await receive(transport))).toEqual(['retry'])
    expect(await receive(other, 1, 200)).toEqual([])
  })

  it('publishes a replacement for another queue once, also when the settlement is made again', async () => {
    const [elsewhere, forbidden] = [`${queue}-elsewhere`, `${queue}-forbidden`]
    await server.command('ACL', 'SETUSER', 'some', 'on', 'nopass', '+@all', '~*', `&${queue}`, `&${elsewhere}`)
    const [transport, other] = [await open({ url: server.url.replace('//', '//some:x@') }), await open()]
    await other.receive({ queues: [elsewhere, forbidden], max: 1, signal: AbortSignal.timeout(50) })
    await publish('a', 'b')
    const [first, second] = [...(await receive(transport, 1)), ...(await receive(transport, 1))]
    if (!first || !second) return expect.fail('two were published')
    const settlements = [
      { kind: 'replace', delivery: first, message: message('moved', elsewhere) },
      { kind: 'replace', delivery: second, message: message('moved too', forbidden) },
    ] as const

    await expect(transport.settle(settlements)).rejects.toThrow(/NOPERM/)
    await server.command('ACL', 'SETUSER', 'some', 'allchannels')
    expect(await transport.settle(settlements)).toEqual(['settled', 'settled'])

    const came: string[] = []
    const signal = AbortSignal.timeout(300)
    while (!signal.aborted) {
      came.push(...bodiesOf(await other.receive({ queues: [elsewhere, forbidden], max: 10, signal })))
    }
    expect(came).toEqual(['moved', 'moved too'])
  })

  it('logs what is given up', async () => {
    const transport = await open()
    await publish('a')
    const [delivery] = await receive(transport)
    if (!delivery) return expect.fail('nothing came')

    await transport.settle([{ kind: 'dead', delivery, reason: 'No task "x".', taskName: 'x' }])

    expect(logger.lines).toMatchObject([
      { level: 'error', fields: { queue, taskName: 'x', reason: 'No task "x".' }, message: /given up/ },
    ])
  })

  it('listens again when Redis is back, while a receive waits', async () => {
    const transport = await open()
    const receiving = (async () => {
      for (;;) {
        const deliveries = await receive(transport, 1, 20_000).catch(() => [])
        if (deliveries.length > 0) return deliveries
      }
    })()

    await server.kill()
    await server.start()
    await until(isHeard, SOON)
    await publish('after')

    expect(bodiesOf(await receiving)).toEqual(['after'])
  })

  it('says why it cannot listen', async () => {
    await server.command('ACL', 'SETUSER', 'deaf', 'on', 'nopass', '+@all', '~*', 'resetchannels')
    const transport = new RedisPubSubTransport({ url: server.url.replace('//', '//deaf:x@') })
    opened.push(transport)
    const ignore = (): void => undefined
    const start = { workerId: 'w', logger, defaultQueue: queue, onCancel: ignore, onLeaseLost: ignore }
    await transport.start({ role: 'worker', ...start })

    await expect(receive(transport, 1, 20_000)).rejects.toThrow(/refuses these credentials.*NOPERM/)
  })
})
