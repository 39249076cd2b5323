import { describe, expect, it } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import { InMemoryQueueBackend } from './memory-queue.ts'

const logger = silentLogger

describe('queues in memory', () => {
  it('give messages in the order of their arrival, parsed, each once', async () => {
    const queues = new InMemoryQueueBackend({ logger })
    await queues.sendMessage('q', '{"n":1}')
    await queues.sendMessage('q', '[2]')

    expect(await queues.take('q')).toEqual({ n: 1 })
    expect(await queues.take('q')).toEqual([2])
    expect(queues.messages('q')).toEqual([])
  })

  it('show what they hold without taking it', async () => {
    const queues = new InMemoryQueueBackend({ logger })
    await queues.sendMessage('q', '{"n":1}')
    await queues.sendMessage('q', '{"n":2}')

    expect(queues.messages('q')).toEqual([{ n: 1 }, { n: 2 }])
    expect(queues.messages('q')).toHaveLength(2)
    expect(queues.messages('other')).toEqual([])
  })

  it('serve who waits longest first', async () => {
    const queues = new InMemoryQueueBackend({ logger })
    const taken = [queues.take('q'), queues.take('q'), queues.take('other')]

    for (const [queue, message] of [
      ['q', '1'],
      ['other', '3'],
      ['q', '2'],
    ] as const) {
      expect(await queues.sendMessage(queue, message)).toBe(true)
    }

    expect(await Promise.all(taken)).toEqual([1, 2, 3])
    expect(queues.messages('q')).toEqual([])
  })

  it('end a wait when its time is over, and keep what comes later', async () => {
    const queues = new InMemoryQueueBackend({ logger })

    await expect(queues.take('results', { timeout: 5 })).rejects.toMatchObject({
      code: 'KIQ_RESULT_TIMED_OUT',
      message: 'No message came to queue "results" within 5 ms. Check the name of the queue, or wait longer.',
    })

    await queues.sendMessage('results', '1')
    expect(queues.messages('results')).toEqual([1])
  })

  it('end a wait with the reason of its signal', async () => {
    const queues = new InMemoryQueueBackend({ logger })
    const stop = new AbortController()
    const taken = queues.take('q', { signal: stop.signal })
    const reason = new Error('enough')

    stop.abort(reason)

    await expect(taken).rejects.toBe(reason)
    await expect(queues.take('q', { signal: stop.signal })).rejects.toBe(reason)
    await queues.sendMessage('q', '1')
    expect(queues.messages('q')).toEqual([1])
  })

  it('refuse a time that is none', async () => {
    const queues = new InMemoryQueueBackend({ logger })

    await expect(queues.take('q', { timeout: '30' })).rejects.toMatchObject({ code: 'KIQ_CONFIG_INVALID' })
  })

  it('accept no message beyond their limit, and warn of it once', async () => {
    const warnings: string[] = []
    const queues = new InMemoryQueueBackend({
      maxMessages: 2,
      logger: { ...silentLogger, warn: (_fields, message) => void warnings.push(message) },
    })

    const outcomes = []
    for (const message of ['1', '2', '3', '4']) outcomes.push(await queues.sendMessage('q', message))

    expect(outcomes).toEqual([true, true, false, false])
    expect(warnings).toEqual([
      'A message was not accepted: queue "q" holds 2 messages. Take them, or raise `maxMessages`.',
    ])
    expect(await queues.take('q')).toBe(1)
    expect(await queues.sendMessage('q', '5')).toBe(true)
    expect(queues.messages('q')).toEqual([2, 5])
  })

  it('accept no queue beyond their limit, until one is empty again', async () => {
    const queues = new InMemoryQueueBackend({ maxQueues: 1, logger })
    await queues.sendMessage('one', '1')

    expect(await queues.sendMessage('two', '2')).toBe(false)
    await queues.take('one')
    expect(await queues.sendMessage('two', '2')).toBe(true)
  })

  it.each([0, 1.5, NaN])('refuse the limit %s', (maxMessages) => {
    expect(() => new InMemoryQueueBackend({ maxMessages })).toThrow(
      expect.objectContaining({ code: 'KIQ_CONFIG_INVALID' }),
    )
  })

  it('refuse a message that is no JSON', async () => {
    const queues = new InMemoryQueueBackend({ logger })

    await expect(queues.sendMessage('q', 'hello')).rejects.toMatchObject({
      code: 'KIQ_ARGUMENTS_INVALID',
      message: 'The message to queue "q" is no JSON: "hello". Pass `JSON.stringify(value)`.',
    })
  })

  it('end all waits when they are closed, accept nothing more, and give what they hold', async () => {
    const queues = new InMemoryQueueBackend({ logger })
    await queues.sendMessage('full', '1')
    const taken = [queues.take('a'), queues.take('b'), queues.take('b')]

    await queues.close()

    for (const { status } of await Promise.allSettled(taken)) expect(status).toBe('rejected')
    expect(await queues.sendMessage('a', '1')).toBe(false)
    expect(await queues.take('full')).toBe(1)
    await expect(queues.take('full')).rejects.toMatchObject({ code: 'KIQ_RESULT_TIMED_OUT' })
  })
})
