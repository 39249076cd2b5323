import { describe, expect, it } from 'vitest'

import type { Labels } from '../../src/index.ts'
import { context } from '../../src/index.ts'
import { fake, inMemory } from '../support/brokers.ts'

type AnyKicker = ReturnType<Awaited<ReturnType<typeof sender>>['task']['kicker']>

async function sender() {
  const made = fake()
  const task = made.broker.task('task', (...args: unknown[]) => args, { labels: { base: 1, other: 'x' } })
  await made.broker.startup()
  const bodies = (): Record<string, unknown>[] =>
    made.transport.sent.map(({ body }) => JSON.parse(String(body)) as Record<string, unknown>)
  return { ...made, task, bodies }
}

describe('task.kicker', () => {
  const labelsOf = async (change: (kicker: AnyKicker) => AnyKicker) => {
    const { task, transport } = await sender()
    await change(task.kicker()).kiq()
    const message = transport.sent[0]
    return { labels: message?.labels, message }
  }

  it('merges labels: later ones win, undefined takes one away', async () => {
    const { labels } = await labelsOf((kicker) =>
      kicker.withLabels({ other: 'y', flag: true }).withLabels({ flag: false, base: undefined }),
    )

    expect(labels).toEqual({ other: 'y', flag: 'False' })
  })

  it('is immutable: every with… gives a new one', async () => {
    const { task, transport } = await sender()
    const base = task.kicker().withLabels({ a: 1 })

    const changed = base.withLabels({ a: 2 }).withTaskId('mine').withQueue('low').withKwargs({ k: 1 })
    await base.kiq()
    await changed.kiq()

    expect(transport.sent[0]).toMatchObject({ labels: { base: '1', other: 'x', a: '1' }, queue: 'taskiq' })
    expect(transport.sent[1]).toMatchObject({ labels: { a: '2', queue_name: 'low' }, queue: 'low', taskId: 'mine' })
    expect(JSON.parse(String(transport.sent[0]?.body))).toMatchObject({ kwargs: {} })
  })

  it('can be used again', async () => {
    const { task, transport } = await sender()
    const kicker = task.kicker().withLabels({ a: 1 })

    const [first, second] = [await kicker.kiq(), await kicker.kiq()]

    expect(first.taskId).not.toBe(second.taskId)
    expect(transport.sent.map(({ labels }) => labels['a'])).toEqual(['1', '1'])
  })

  it('does not change what the next send of the task carries', async () => {
    const { task, transport } = await sender()

    await task.kicker().withLabels({ leaked: 1, base: 2 }).kiq()
    await task.kiq()

    expect(transport.sent[1]?.labels).toEqual({ base: '1', other: 'x' })
  })

  it('does not see what the caller does with the labels afterwards', async () => {
    const { task, transport } = await sender()
    const labels: Record<string, unknown> = { a: 1 }
    const kicker = task.kicker().withLabels(labels)

    labels['a'] = 2
    await kicker.kiq()

    expect(transport.sent[0]?.labels['a']).toBe('1')
  })

  it('sets queue, delay, priority and timeout as labels and for the transport', async () => {
    const before = Date.now()
    const { labels, message } = await labelsOf((kicker) =>
      kicker.withQueue('low').withDelay('1.5s').withPriority(-3).withTimeout('2m'),
    )

    expect(labels).toEqual({ base: '1', other: 'x', queue_name: 'low', delay: '1.5', priority: '-3', timeout: '120' })
    expect(message).toMatchObject({ queue: 'low', priority: -3 })
    expect(message?.deliverAt).toBeGreaterThanOrEqual(before + 1_500)
    expect(message?.deliverAt).toBeLessThanOrEqual(Date.now() + 1_500)
  })

  it('merges keywords', async () => {
    const { message } = await labelsOf((kicker) => kicker.withKwargs({ a: 1, b: 1 }).withKwargs({ b: 2 }))

    expect(JSON.parse(String(message?.body))).toMatchObject({ kwargs: { a: 1, b: 2 } })
  })

  it('sends through another broker, this once', async () => {
    const { task, transport } = await sender()
    const second = fake()
    await second.broker.startup()

    await task.kicker().withBroker(second.broker).withTaskId('there').kiq()
    await task.kiq()

    expect(second.transport.sent.map(({ taskId }) => taskId)).toEqual(['there'])
    expect(transport.sent.length).toBe(1)
  })

  it('waits for the result at the broker that it sent to', async () => {
    const first = inMemory()
    const second = inMemory()
    const task = first.task('where', () => 'first')
    second.task('where', () => 'second')
    await first.startup()
    await second.startup()

    expect(await (await task.kicker().withBroker(second).kiq()).result({ timeout: '2s' })).toBe('second')
  })

  it.each([
    ['an empty id', (kicker) => kicker.withTaskId('')],
    ['an id that is no text', (kicker) => kicker.withTaskId(5 as never)],
    ['a negative delay', (kicker) => kicker.withDelay(-1)],
    ['a delay that is none', (kicker) => kicker.withDelay('later')],
    ['a negative timeout', (kicker) => kicker.withTimeout('-1s')],
    ['a priority that is no whole number', (kicker) => kicker.withPriority(1.5)],
  ] satisfies [string, (kicker: AnyKicker) => unknown][])('refuses %s', async (_what, change) => {
    const { task } = await sender()

    expect(() => change(task.kicker())).toThrow(expect.objectContaining({ code: 'KIQ_CONFIG_INVALID' }))
  })
})

describe('labels', () => {
  const send = async (labels: Labels) => {
    const { task, transport, bodies } = await sender()
    await task
      .kicker()
      .withLabels({ base: undefined, other: undefined, ...labels })
      .kiq()
    return { message: transport.sent[0], body: bodies()[0] }
  }

  it('that are null are dropped', async () => {
    const { message, body } = await send({ timeout: null, queue_name: null, delay: null, priority: null, x: null })

    expect(body).toMatchObject({ labels: {}, labels_types: {} })
    expect(message).toMatchObject({ queue: 'taskiq' })
    expect(message?.deliverAt).toBeUndefined()
  })

  it('arrive with their types', async () => {
    const broker = inMemory()
    const labels = { text: 'x', whole: 1, half: 0.5, yes: true, big: 2n ** 70n, bytes: new Uint8Array([0, 255]) }
    const seen: unknown[] = []
    const task = broker.task('task', () => void seen.push(context().labels))
    await broker.startup()

    await (
      await task
        .kicker()
        .withLabels({ ...labels, list: [1], none: null })
        .kiq()
    ).result()
  })

  it.each([
    ['a function', { x: () => {} }],
    ['a symbol', { x: Symbol('x') }],
    ['a delay that is no number', { delay: 'later' }],
    ['a delay that is empty', { delay: '' }],
    ['a delay of NaN', { delay: NaN }],
    ['a negative delay', { delay: -1 }],
    ['a priority that is no number', { priority: 'high' }],
  ])('refuse %s before anything is sent', async (_what, labels) => {
    const { task, transport } = await sender()

    await expect(task.kicker().withLabels(labels).kiq()).rejects.toMatchObject({
      name: 'MessageError',
      code: 'KIQ_LABEL_INVALID',
    })
    expect(transport.sent).toEqual([])
  })

  it('take numbers as text, as schedules of Python have them', async () => {
    const { message } = await send({ delay: '2', priority: '5' })

    expect(message).toMatchObject({ priority: 5 })
    expect(message?.deliverAt).toBeGreaterThan(Date.now())
  })

  it('name no queue when the name is empty', async () => {
    expect((await send({ queue_name: '' })).message).toMatchObject({ queue: 'taskiq' })
  })

  it('of one send do not leak into the next when a hook adds some', async () => {
    const { broker, transport } = fake()
    let sends = 0
    broker.withMiddlewares({
      preSend: (message) => ({ ...message, labels: { ...message.labels, [`send_${(sends += 1)}`]: 1 } }),
    })
    const task = broker.task('task', () => 1, { labels: { base: 1 } })
    await broker.startup()

    await task.kiq()
    await task.kiq()

    expect(transport.sent.map(({ labels }) => labels)).toEqual([
      { base: '1', send_1: '1' },
      { base: '1', send_2: '1' },
    ])
  })
})
