import { describe, expect, it } from 'vitest'
import * as z from 'zod'

import { sharedBroker } from '../../src/index.ts'
import { fake, inMemory } from '../support/brokers.ts'

// Shared tasks are of the whole process: each test has names of its own.
describe('sharedBroker', () => {
  it('declares tasks of both forms, which are still callable', () => {
    const positional = sharedBroker.task('shared.positional', (n: number) => n + 1)
    const record = sharedBroker.task({ name: 'shared.record', run: ({ n }: { n: number }) => n + 1 })

    expect([positional(1), record({ n: 1 }), record.run({ n: 1 })]).toEqual([2, 2, 2])
  })

  it('refuses to send without a broker', async () => {
    const task = sharedBroker.task('shared.homeless', () => 1)

    await expect(async () => await task.kiq()).rejects.toMatchObject({
      code: 'KIQ_BROKER_MISSING',
      message: expect.stringContaining('"shared.homeless"') as string,
    })
  })

  it('sends through the broker that is named for one call', async () => {
    const broker = inMemory()
    const task = sharedBroker.task('shared.once', (n: number) => n * 2)
    await broker.startup()

    expect(await (await task.kicker().withBroker(broker).kiq(4)).result()).toBe(8)
  })

  it('sends through the default broker from then on', async () => {
    const broker = inMemory()
    const task = sharedBroker.task('shared.default', (n: number) => n * 2)
    await broker.startup()
    sharedBroker.defaultBroker(broker)

    expect(await (await task.kiq(4)).result()).toBe(8)
  })

  it('is executed by every broker, of which a task of its own wins', async () => {
    const task = sharedBroker.task('shared.everywhere', () => 'shared')
    const first = inMemory()
    const second = inMemory()
    second.task('shared.everywhere', () => 'own')
    await first.startup()
    await second.startup()

    expect(await (await task.kicker().withBroker(first).kiq()).result()).toBe('shared')
    expect(await (await task.kicker().withBroker(second).kiq()).result()).toBe('own')
    expect(first.tasks.map(({ name }) => name)).toContain('shared.everywhere')
  })

  it('does not let labels of one send leak into the next', async () => {
    const { broker, transport } = fake()
    const task = sharedBroker.task('shared.labelled', () => 1, { labels: { base: 1 } })
    await broker.startup()

    await task.kicker().withLabels({ leaked: 1, base: 2 }).withBroker(broker).kiq()
    await task.kicker().withBroker(broker).kiq()

    expect(transport.sent.map(({ labels }) => labels)).toEqual([{ base: '2', leaked: '1' }, { base: '1' }])
  })

  it('checks with a schema', async () => {
    const broker = inMemory()
    const task = sharedBroker.task({ name: 'shared.checked', input: z.object({ n: z.number() }), run: ({ n }) => n })
    await broker.startup()
    const kicker = task.kicker().withBroker(broker)

    expect(await (await kicker.kiq({ n: 1 })).result()).toBe(1)
    await expect(kicker.kiq({ n: 'x' as never })).rejects.toMatchObject({ code: 'KIQ_ARGUMENTS_INVALID' })
  })

  it('refuses a name that is taken', () => {
    sharedBroker.task('shared.twice', () => 1)

    expect(() => sharedBroker.task('shared.twice', () => 2)).toThrow(
      expect.objectContaining({ code: 'KIQ_TASK_DUPLICATE' }),
    )
  })

  it('serves the queue that a shared task names', async () => {
    const broker = inMemory()
    const task = sharedBroker.task('shared.queued', () => 'ran', { queue: 'shared-queue' })
    await broker.startup()

    expect(await (await task.kicker().withBroker(broker).kiq()).result({ timeout: '2s' })).toBe('ran')
  })
})
