import { describe, expect, it } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import type { QueueBackend } from '../queue-backend.ts'
import { InMemoryQueueBackend } from './memory-queue.ts'
import { RoutingQueueBackend } from './routing-queue.ts'

const logger = silentLogger
const memory = (): InMemoryQueueBackend => new InMemoryQueueBackend({ logger })

describe('routed queues', () => {
  it('go where the longest prefix leads, with their whole name', async () => {
    const [short, long, fallback] = [memory(), memory(), memory()]
    const queues = new RoutingQueueBackend({ routes: { bill: short, 'billing.': long }, fallback, logger })

    for (const name of ['bill', 'billing', 'billing.eu', 'other', '']) await queues.sendMessage(name, '1')

    expect(short.messages('bill')).toEqual([1])
    expect(short.messages('billing')).toEqual([1])
    expect(long.messages('billing.eu')).toEqual([1])
    expect(fallback.messages('other')).toEqual([1])
    expect(fallback.messages('')).toEqual([1])
  })

  it('say no without a route, and warn once for each', async () => {
    const warnings: [object, string][] = []
    const warn = (fields: object, message: string): void => void warnings.push([fields, message])
    const queues = new RoutingQueueBackend({ routes: { a: memory(), bc: memory() }, logger: { ...logger, warn } })

    for (const name of ['x', 'x', 'toString']) expect(await queues.sendMessage(name, '1')).toBe(false)

    expect(warnings).toEqual([
      [
        { queue: 'x' },
        'A message was not sent: queue "x" fits none of the routes ("bc", "a"). Add a route, or a `fallback`.',
      ],
      [{ queue: 'toString' }, expect.stringContaining('"toString"')],
    ])
  })

  it('pass on what their backend says', async () => {
    const failure = new Error('down')
    const queues = new RoutingQueueBackend({
      routes: { no: { sendMessage: async () => false }, down: { sendMessage: () => Promise.reject(failure) } },
      logger,
    })

    expect(await queues.sendMessage('no', '1')).toBe(false)
    await expect(queues.sendMessage('down', '1')).rejects.toBe(failure)
  })

  it('close every backend once, also after one that fails', async () => {
    const closed: string[] = []
    const failure = new Error('cannot close')
    const backend = (name: string, error?: Error): QueueBackend => ({
      sendMessage: async () => true,
      close: async () => {
        closed.push(name)
        if (error) throw error
      },
    })
    const shared = backend('shared')
    const routes = { a: shared, b: shared, c: backend('failing', failure), d: memory() }
    const queues = new RoutingQueueBackend({ routes, fallback: backend('fallback'), logger })

    await expect(queues.close()).rejects.toBe(failure)
    await expect(queues.close()).rejects.toBe(failure)

    expect(closed.sort()).toEqual(['failing', 'fallback', 'shared'])
  })

  it('refuse a route that leads to no backend', () => {
    expect(() => new RoutingQueueBackend({ routes: { a: {} as QueueBackend } })).toThrow(
      '`routes["a"]` is {}. Use an object with `sendMessage`.',
    )
  })
})
