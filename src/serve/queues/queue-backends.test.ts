import { describe, expect, it } from 'vitest'

import { InMemoryBroker } from '../../adapters/memory/memory-broker.ts'
import type { QueueBackend } from '../queue-backend.ts'
import { InMemoryQueueBackend } from './memory-queue.ts'
import { NoQueueBackend } from './no-queue.ts'
import { createQueueBackend, queueBackendNames, registerQueueBackend } from './queue-backends.ts'
import { RedisQueueBackend } from './redis-queue.ts'
import { SqsQueueBackend } from './sqs-queue.ts'
import { TaskQueueBackend } from './task-queue.ts'

describe('queue backends by name', () => {
  it('are made with their options, and open nothing', () => {
    expect(createQueueBackend('none')).toBeInstanceOf(NoQueueBackend)
    expect(createQueueBackend('memory', { backend: 'memory', broker_url: 'memory://' })).toBeInstanceOf(
      InMemoryQueueBackend,
    )
    expect(createQueueBackend('sqs')).toBeInstanceOf(SqsQueueBackend)
    expect(createQueueBackend('redis', { url: 'redis://127.0.0.1:1' })).toBeInstanceOf(RedisQueueBackend)
    const broker = new InMemoryBroker()
    expect(createQueueBackend('taskiq', { broker })).toBeInstanceOf(TaskQueueBackend)
  })

  it.each([
    ['memory', { maxMessages: 'many' }, '`maxMessages` is "many". Use a whole number ≥ 1.'],
    ['redis', {}, 'Queues in Redis need `url` or `client`, and not both. Pass one.'],
    ['redis', { url: 'amqp://user:secret@host' }, 'The `url` of the queues in Redis begins with "amqp:".'],
    ['redis', { url: 'secret' }, 'The `url` of the queues in Redis is no URL.'],
    ['redis', { url: 'redis://host', prefix: 5 }, '`prefix` is 5. Use text.'],
    ['redis', { client: {} }, '`client` is {}. Pass a client of ioredis.'],
    ['sqs', { client: 'yes' }, '`client` is "yes". Pass an `SQSClient`.'],
    ['taskiq', { broker: 'redis://host' }, '`broker` of the queue backend is "redis://host". Pass a broker'],
  ])('refuse wrong options: %s %j', (name, options, message) => {
    expect(() => createQueueBackend(name, options)).toThrow(
      expect.objectContaining({ code: 'KIQ_CONFIG_INVALID', message: expect.stringContaining(message) }),
    )
  })

  it('are listed for a name that nobody knows', () => {
    expect(() => createQueueBackend('rabbit')).toThrow(
      expect.objectContaining({
        code: 'KIQ_CONFIG_INVALID',
        message: expect.stringMatching(/no queue backend "rabbit". Use one of none, memory, sqs, redis, taskiq\b/),
      }),
    )
    expect(() => createQueueBackend('toString')).toThrow('no queue backend "toString"')
  })

  it('are added, and replaced only when that is said', () => {
    const [one, other] = [new NoQueueBackend(), new NoQueueBackend()]
    const given: unknown[] = []
    registerQueueBackend('own', (options) => {
      given.push(options)
      return one
    })

    expect(createQueueBackend('own', { url: 'x' })).toBe(one)
    expect(given).toEqual([{ url: 'x' }])
    expect(queueBackendNames()).toContain('own')
    expect(() => registerQueueBackend('own', () => other)).toThrow(
      'There is a queue backend "own" already. Choose another name, or pass `{ replace: true }`.',
    )
    expect(createQueueBackend('own')).toBe(one)
    registerQueueBackend('own', () => other, { replace: true })
    expect(createQueueBackend('own')).toBe(other)
  })

  it('have a name, and a factory that makes one', () => {
    expect(() => registerQueueBackend('', () => new NoQueueBackend())).toThrow('Use text that is not empty.')
    registerQueueBackend('broken', () => ({}) as QueueBackend)
    expect(() => createQueueBackend('broken')).toThrow('The factory of queue backend "broken" gave {}.')
  })
})
