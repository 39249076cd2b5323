import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { describe, expect, it } from 'vitest'

import { BrokerError, ConfigError, silentLogger } from '../../contract/index.ts'
import type { Delivery, TransportStart, WireMessage } from '../../contract/index.ts'
import { MemoryResultBackend, MemoryTransport } from './index.ts'
import type { MemoryTransportOptions } from './index.ts'

interface Bundle {
  readonly transport: MemoryTransport
  readonly send: (...taskIds: string[]) => Promise<void>
  readonly receive: (max?: number, signal?: AbortSignal) => Promise<readonly Delivery[]>
}

const START: TransportStart = {
  role: 'worker',
  workerId: 'worker',
  logger: silentLogger,
  defaultQueue: 'q',
  onCancel: () => {},
  onLeaseLost: () => {},
}

function message(taskId: string, more: Partial<WireMessage> = {}): WireMessage {
  return { taskId, taskName: 'task', queue: 'q', body: `body of ${taskId}`, labels: {}, ...more }
}

async function setup(options: MemoryTransportOptions = {}): Promise<Bundle> {
  const transport = new MemoryTransport(options)
  await transport.start(START)
  return {
    transport,
    send: (...taskIds) => transport.send(taskIds.map((taskId) => message(taskId))),
    receive: (max = 100, signal = AbortSignal.timeout(2_000)) => transport.receive({ queues: ['q'], max, signal }),
  }
}

function idsOf(deliveries: readonly Delivery[]): (string | undefined)[] {
  return deliveries.map((delivery) => delivery.taskId)
}

describe('MemoryTransport', () => {
  it.each([0, -1, 1.5, NaN])('refuses a limit of %s', (value) => {
    expect(() => new MemoryTransport({ maxMessages: value })).toThrow(ConfigError)
    expect(() => new MemoryTransport({ maxDeadLetters: value })).toThrow(`\`maxDeadLetters\` is ${value}`)
  })

  it('lets what follows a send run before the receive that waits for it', async () => {
    const { send, receive } = await setup()
    const order: string[] = []
    const receiving = receive().then(() => order.push('received'))

    await send('a')
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
    order.push('postSend')
    await receiving

    expect(order).toEqual(['postSend', 'received'])
  })

  it('lets what follows a send run before a receive that begins after it', async () => {
    const { send, receive } = await setup()
    const order: string[] = []

    const sending = send('a')
    const receiving = receive().then(() => order.push('received'))
    await sending
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
    order.push('postSend')
    await receiving

    expect(order).toEqual(['postSend', 'received'])
  })

  it('answers a receive at once when messages are there since an earlier turn', async () => {
    const { send, receive } = await setup()
    await send('a', 'b')
    await receive(1)
    const order: string[] = []
    setImmediate(() => order.push('next turn'))

    await receive(1)
    order.push('received')

    expect(order).toEqual(['received'])
  })

  it('refuses a send beyond maxMessages as a whole, with the numbers', async () => {
    const { transport, send, receive } = await setup({ maxMessages: 3 })
    await send('a')
    await transport.send([message('later', { deliverAt: Date.now() + 60_000 })])

    const refused = send('b', 'c')

    await expect(refused).rejects.toThrow(BrokerError)
    await expect(refused).rejects.toMatchObject({ code: 'KIQ_SEND_FAILED' })
    await expect(refused).rejects.toThrow(/holds 2 messages and takes 3 at most.*2 more were refused/)
    await send('b')
    expect(idsOf(await receive())).toEqual(['a', 'b'])
    await send('c', 'd')
  })

  it('counts what leaves a queue in any way', async () => {
    const { transport, send, receive } = await setup({ maxMessages: 2 })
    await send('a', 'b')
    await transport.cancel('a')
    await send('c')
    const [b, c] = await receive()
    await transport.settle([
      { kind: 'requeue', delivery: b! },
      { kind: 'replace', delivery: c!, message: message('d') },
    ])

    await expect(send('e')).rejects.toThrow('holds 2 messages')
    await receive()
    await send('e', 'f')
  })

  it('drops the oldest dead letter beyond maxDeadLetters', async () => {
    const { transport, send, receive } = await setup({ maxDeadLetters: 2 })
    await send('a', 'b', 'c')
    for (const delivery of await receive()) await transport.settle([{ kind: 'dead', delivery, reason: 'Given up.' }])

    expect((await transport.deadLetters.list()).map((letter) => letter.taskId)).toEqual(['c', 'b'])
  })

  it('hands back in order, and to the front, what it held when it stopped', async () => {
    const { transport, send, receive } = await setup()
    await send('a', 'b', 'c', 'd')
    const [a] = await receive(3)
    await transport.stop()

    expect(await transport.settle([{ kind: 'ack', delivery: a! }])).toEqual(['stale'])
    await transport.start(START)
    const again = await receive()

    expect(again.map((delivery) => [delivery.taskId, delivery.attempt])).toEqual([
      ['a', 2],
      ['b', 2],
      ['c', 2],
      ['d', 1],
    ])
  })

  it('keeps the order of several that are released in one call', async () => {
    const { transport, send, receive } = await setup()
    await send('a', 'b', 'c', 'd')
    const held = await receive(3)

    await transport.settle(held.map((delivery) => ({ kind: 'release', delivery })))

    expect(idsOf(await receive())).toEqual(['a', 'b', 'c', 'd'])
  })

  it('answers stale for deliveries of another transport, and for copies', async () => {
    const [one, other] = [await setup(), await setup()]
    await one.send('a')
    const [delivery] = await one.receive()

    expect(await other.transport.settle([{ kind: 'ack', delivery: delivery! }])).toEqual(['stale'])
    expect(await one.transport.settle([{ kind: 'ack', delivery: { ...delivery! } }])).toEqual(['stale'])
    expect(await one.transport.settle([{ kind: 'ack', delivery: delivery! }])).toEqual(['settled'])
  })

  it('serves two receives that wait at the same time', async () => {
    const { send, receive } = await setup()
    const receiving = [receive(1), receive(1)]

    await send('a', 'b')

    expect((await Promise.all(receiving)).map(idsOf)).toEqual([['a'], ['b']])
  })

  it('stays a worker when it is started as client', async () => {
    const { transport, send, receive } = await setup()
    const cancelled: string[] = []
    await transport.start({ ...START, onCancel: (taskId) => cancelled.push(taskId) })
    await transport.start({ ...START, role: 'client' })
    await send('a')
    await receive()

    expect([await transport.cancel('a'), cancelled]).toEqual(['requested', ['a']])
  })

  it('refuses a result when it joins no backend, and changes nothing', async () => {
    const { transport, send, receive } = await setup()
    await send('a')
    const [delivery] = await receive()
    const result = { taskId: 'a', body: 'result' }

    const settling = transport.settle([{ kind: 'ack', delivery: delivery!, result }])

    await expect(settling).rejects.toMatchObject({ code: 'KIQ_UNSUPPORTED' })
    expect(await transport.settle([{ kind: 'ack', delivery: delivery! }])).toEqual(['settled'])
  })

  it('joins the backend it was given, and no other', () => {
    const results = new MemoryResultBackend()
    const transport = new MemoryTransport({ results })

    expect([transport.joins(results), transport.joins(new MemoryResultBackend())]).toEqual([true, false])
    expect(new MemoryTransport().joins(results)).toBe(false)
  })

  it('forgets queues that were idle when very many were used', async () => {
    const { transport } = await setup()
    for (let index = 0; index < 3_000; index += 1) {
      const queue = `user-${index}`
      await transport.send([message('a', { queue })])
      const [delivery] = await transport.receive({ queues: [queue], max: 1, signal: AbortSignal.timeout(1_000) })
      await transport.settle([{ kind: 'ack', delivery: delivery! }])
    }

    expect((await transport.inspect()).length).toBeLessThanOrEqual(1_001)
  })

  it('prints a delivery without its neighbours', async () => {
    const { send, receive } = await setup()
    await send('a', 'b')
    const [first] = await receive()

    expect(JSON.parse(JSON.stringify(first))).toEqual({ queue: 'q', attempt: 1, taskId: 'a', taskName: 'task' })
  })

  it('lets the process end while a receive waits, but not before a delayed message is due', async () => {
    const folder = fileURLToPath(new URL('.', import.meta.url))
    const script = `
      import { MemoryTransport } from '${folder}index.ts'
      const transport = new MemoryTransport()
      const noop = () => {}
      const logger = { debug: noop, info: noop, warn: noop, error: noop }
      await transport.start({ role: 'worker', workerId: 'w', logger, defaultQueue: 'q', onCancel: noop, onLeaseLost: noop })
      const { signal } = new AbortController()
      const message = { taskId: 'a', taskName: 't', queue: 'q', body: '', labels: {}, deliverAt: Date.now() + 100 }
      const receiving = transport.receive({ queues: ['q'], max: 1, signal })
      await transport.send([message])
      console.log((await receiving).length)
      void transport.receive({ queues: ['q'], max: 1, signal })`

    const { stdout } = await promisify(execFile)(process.execPath, [
      ...['--import', 'tsx', '--input-type=module', '--eval', script],
    ])

    expect(stdout.trim()).toBe('1')
  })
})
