import { describe, expect, it } from 'vitest'

import { InMemoryBroker } from '../../src/index.ts'
import { BrokerError, PartialSendError } from '../../src/contract/index.ts'
import { until } from '../../src/testing/until.ts'
import { fake } from '../support/brokers.ts'
import { deferred, settled } from '../support/deferred.ts'
import { recordingLogger } from '../support/recording-logger.ts'

/** Never ends, as a transport that hangs. */
const hang = (): Promise<never> => new Promise(() => {})

async function sender() {
  const made = fake()
  const task = made.broker.task('task', (...args: unknown[]) => args, { labels: { base: 1, other: 'x' } })
  await made.broker.startup()
  const bodies = (): Record<string, unknown>[] =>
    made.transport.sent.map(({ body }) => JSON.parse(String(body)) as Record<string, unknown>)
  return { ...made, task, bodies }
}

describe('task.kiq', () => {
  it('resolves with a handle when the transport has accepted', async () => {
    const { task, transport } = await sender()
    const gate = deferred()
    transport.next.send.push({ instead: () => gate.promise })
    let handle: unknown
    const sending = task.kiq(1).then((sent) => (handle = sent))

    await settled()
    expect(handle).toBeUndefined()
    gate.resolve()

    expect((await sending).taskId).toMatch(/^[0-9a-f]{32}$/)
  })

  it('gives every message an id of its own, a UUIDv7 as 32 hexadecimal digits', async () => {
    const { task, transport } = await sender()

    await task.kiqMany(Array.from({ length: 1_000 }, () => []))

    const ids = new Set(transport.sent.map(({ taskId }) => taskId))
    expect(ids.size).toBe(1_000)
    expect([...ids].every((id) => /^[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/.test(id))).toBe(true)
  })

  it('takes ids from the generator of the broker', async () => {
    const { broker, task, transport } = await sender()
    let last = 0
    broker.withIdGenerator(() => `id-${(last += 1)}`)

    await task.kiqMany([[], []])

    expect(transport.sent.map(({ taskId }) => taskId)).toEqual(['id-1', 'id-2'])
  })

  it('sends what is sent in one turn as one batch', async () => {
    const { task, transport } = await sender()

    await Promise.all([task.kiq(1), task.kiq(2), task.kiqMany([[3], [4]])])

    expect(transport.sendCalls).toEqual([4])
  })

  it('is refused before startup and after shutdown', async () => {
    const { broker, transport } = fake()
    const task = broker.task('task', () => 1)
    const refusal = { name: 'ConfigError', code: 'KIQ_BROKER_NOT_STARTED' }

    await expect(task.kiq()).rejects.toMatchObject(refusal)
    await expect(task.kiqMany([[]])).rejects.toMatchObject(refusal)
    await broker.startup()
    await task.kiq()
    await broker.shutdown()
    await expect(task.kiq()).rejects.toMatchObject(refusal)

    expect(transport.sent.length).toBe(1)
  })

  it('fails with KIQ_SEND_FAILED when the transport fails, and the next one is sent', async () => {
    const { task, transport } = await sender()
    const cause = new Error('connection refused')
    transport.fail('send', cause)

    await expect(task.kiq()).rejects.toMatchObject({
      name: 'BrokerError',
      code: 'KIQ_SEND_FAILED',
      message: expect.stringContaining('the transport "fake" answered "connection refused"') as string,
      cause,
    })
    await task.kiq()

    expect(transport.sent.length).toBe(1)
  })

  it.each([['down'], [undefined], [{ code: 1 }]])(
    'fails with an error also when the transport rejects with %j',
    async (reason) => {
      const { task, transport } = await sender()
      transport.fail('send', reason)

      await expect(task.kiq()).rejects.toMatchObject({ code: 'KIQ_SEND_FAILED' })
    },
  )

  it('passes on an error of Kiq as it is', async () => {
    const { task, transport } = await sender()
    const full = new BrokerError('KIQ_SEND_FAILED', 'The queue is full.')
    transport.fail('send', full)

    await expect(task.kiq()).rejects.toBe(full)
  })

  it('fails with KIQ_SEND_TIMED_OUT when the transport does not answer, and aborts the signal it was given', async () => {
    const { broker, transport } = fake({}, { sendTimeout: 30 })
    const task = broker.task('task', () => 1)
    await broker.startup()
    transport.next.send.push({ instead: hang })

    await expect(task.kiq()).rejects.toMatchObject({
      name: 'BrokerError',
      code: 'KIQ_SEND_TIMED_OUT',
      message: expect.stringContaining('within 30 ms (sendTimeout)') as string,
    })
    await task.kiq()

    expect(transport.sent.length).toBe(1)
  })

  it('does not time out when sendTimeout is longer than a timer can be', async () => {
    const { broker, transport } = fake({}, { sendTimeout: '60d' })
    const task = broker.task('task', () => 1)
    await broker.startup()
    const gate = deferred()
    transport.next.send.push({ instead: () => gate.promise })
    setTimeout(gate.resolve, 50)

    await task.kiq()

    expect(transport.sent.length).toBe(1)
  })

  it.each([-1, 'soon', '10'])('is never reached with a sendTimeout of %j', (sendTimeout) => {
    expect(() => new InMemoryBroker({ sendTimeout })).toThrow(
      expect.objectContaining({
        code: 'KIQ_CONFIG_INVALID',
        message: expect.stringContaining('`sendTimeout`') as string,
      }),
    )
  })
})

describe('task.kiqMany', () => {
  it('sends one task per entry, in order, as one batch', async () => {
    const { task, transport, bodies } = await sender()

    const sent = await task.kiqMany([[1], [2], [3]])

    expect(bodies().map(({ args }) => args)).toEqual([[1], [2], [3]])
    expect(sent.map(({ taskId }) => taskId)).toEqual(transport.sent.map(({ taskId }) => taskId))
    expect(transport.sendCalls).toEqual([3])
  })

  it('sends nothing for no entries', async () => {
    const { task, transport } = await sender()

    expect(await task.kiqMany([])).toEqual([])
    expect(transport.sendCalls).toEqual([])
  })

  it('sends none when the arguments of one are bad', async () => {
    const { task, transport } = await sender()

    await expect(task.kiqMany([[1], [() => {}], [3]])).rejects.toMatchObject({ code: 'KIQ_ARGUMENTS_UNSERIALIZABLE' })
    expect(transport.sent).toEqual([])
  })

  it('sends none when a hook refuses one', async () => {
    const { broker, transport } = fake()
    let seen = 0
    broker.withMiddlewares({
      preSend: (message) => {
        seen += 1
        if (seen === 2) throw new Error('not this one')
        return message
      },
    })
    const task = broker.task('task', (n: number) => n)
    await broker.startup()

    await expect(task.kiqMany([[1], [2], [3]])).rejects.toThrow('not this one')
    expect(transport.sent).toEqual([])
  })

  it('sends ten thousand', async () => {
    const { task, transport } = await sender()

    expect((await task.kiqMany(Array.from({ length: 10_000 }, (_, i) => [i]))).length).toBe(10_000)
    expect(transport.sent.length).toBe(10_000)
  })

  it('says how many were not accepted when the transport took only some', async () => {
    const { task, transport } = await sender()
    transport.fail('send', new PartialSendError(new Map([[1, new Error('too large')]])))

    await expect(task.kiqMany([[1], [2], [3]])).rejects.toMatchObject({
      name: 'BrokerError',
      code: 'KIQ_SEND_FAILED',
      message: expect.stringMatching(/^1 of 3 messages were not accepted.*too large/) as string,
    })
  })

  it('tells each sender of a batch its own outcome', async () => {
    const { task, transport } = await sender()
    transport.fail('send', new PartialSendError(new Map([[1, new Error('too large')]])))

    const outcomes = await Promise.allSettled([task.kiq('a'), task.kiq('b'), task.kiq('c')])

    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })

  it('refuses one fixed id for several', async () => {
    const { task, transport } = await sender()
    const kicker = task.kicker().withTaskId('mine')

    await expect(kicker.kiqMany([[1], [2]])).rejects.toMatchObject({ code: 'KIQ_CONFIG_INVALID' })
    expect(transport.sent).toEqual([])
    expect((await kicker.kiqMany([[1]]))[0]?.taskId).toBe('mine')
  })
})

describe('a transport without delays', () => {
  it('refuses a delay with KIQ_UNSUPPORTED', async () => {
    const { broker, transport } = fake({ capabilities: { delays: false } })
    const task = broker.task('task', () => 1)
    await broker.startup()

    await expect(task.kicker().withDelay('1s').kiq()).rejects.toMatchObject({
      name: 'ConfigError',
      code: 'KIQ_UNSUPPORTED',
      message: expect.stringContaining('"fake" cannot send with a delay') as string,
    })
    expect(transport.sent).toEqual([])
  })

  it('takes a delay of nothing', async () => {
    const { broker, transport } = fake({ capabilities: { delays: false } })
    const task = broker.task('task', () => 1)
    await broker.startup()

    await task.kicker().withDelay(0).kiq()

    expect(transport.sent[0]?.deliverAt).toBeUndefined()
  })
})

describe('a transport without priorities', () => {
  it('is sent none, and the label still travels', async () => {
    const { broker, transport } = fake({ capabilities: { priorities: false } })
    const task = broker.task('task', () => 1)
    await broker.startup()

    await task.kicker().withPriority(5).kiq()

    expect(transport.sent[0]?.priority).toBeUndefined()
    expect(transport.sent[0]?.labels).toEqual({ priority: '5' })
  })
})

describe('broker.shutdown', () => {
  it('waits for sends that are under way', async () => {
    const { task, transport, broker } = await sender()
    const gate = deferred()
    transport.next.send.push({ instead: () => gate.promise })
    const sending = task.kiq()
    await until(() => transport.sendCalls.length === 1, { timeoutMs: 1_000 })
    let over = false
    const shutdown = broker.shutdown().then(() => (over = true))

    await settled()
    expect(over).toBe(false)
    gate.resolve()

    await Promise.all([sending, shutdown])
    expect(transport.stops).toBe(1)
  })
})

describe('broker.send', () => {
  it('is silent about what it sends', async () => {
    const logger = recordingLogger()
    const broker = new InMemoryBroker({ logger })
    const task = broker.task('task', () => 1)
    await broker.startup()

    await (await task.kiq()).result()
    await broker.shutdown()

    expect(logger.lines).toEqual([])
  })
})
