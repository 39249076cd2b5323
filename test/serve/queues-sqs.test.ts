import { randomUUID } from 'node:crypto'

import { CreateQueueCommand, DeleteQueueCommand, GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { QueueSender, SqsQueueBackend } from '../../src/serve/queues/index.ts'
import type { SqsQueueOptions } from '../../src/serve/queues/index.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import type { SqsServer } from './queues-sqs-server.ts'
import { startSqs } from './queues-sqs-server.ts'

describe('queues in SQS', () => {
  let server: SqsServer
  beforeAll(async () => {
    server = await startSqs()
  })
  afterAll(() => server.close())

  const opened: SqsQueueBackend[] = []
  afterEach(async () => {
    for (const backend of opened.splice(0)) await backend.close()
  })

  const open = (options: SqsQueueOptions = {}): SqsQueueBackend => {
    const backend = new SqsQueueBackend({ ...server.options, ...options })
    opened.push(backend)
    return backend
  }
  const name = (): string => `queue-${randomUUID().slice(0, 8)}`

  /** What the server was asked for meanwhile. */
  const operationsOf = async (work: () => Promise<unknown>): Promise<readonly string[]> => {
    const before = server.operations.length
    await work()
    return server.operations.slice(before)
  }

  it('are created for their first message, which is not lost', async () => {
    const [backend, queue] = [open(), name()]

    const operations = await operationsOf(() => backend.sendMessage(queue, '{"n":1}'))

    expect(operations).toEqual(['GetQueueUrl', 'CreateQueue', 'SendMessage'])
    expect(await server.receive(queue, 1)).toEqual(['{"n":1}'])
  })

  it('are created once for two first messages at once', async () => {
    const [backend, queue] = [open(), name()]

    const operations = await operationsOf(() =>
      Promise.all([backend.sendMessage(queue, '1'), backend.sendMessage(queue, '2')]),
    )

    expect([...operations].sort()).toEqual(['CreateQueue', 'GetQueueUrl', 'SendMessage', 'SendMessage'])
    expect([...(await server.receive(queue, 2))].sort()).toEqual(['1', '2'])
  })

  it('are looked up once', async () => {
    const [backend, queue] = [open({ createMissing: false }), name()]
    await server.client.send(new CreateQueueCommand({ QueueName: queue }))

    const operations = await operationsOf(async () => {
      for (const message of ['1', '2', '3']) await backend.sendMessage(queue, message)
    })

    expect(operations).toEqual(['GetQueueUrl', 'SendMessage', 'SendMessage', 'SendMessage'])
  })

  it('are found again when somebody has deleted and created them', async () => {
    const [backend, queue] = [open(), name()]
    await backend.sendMessage(queue, '1')
    await server.client.send(new DeleteQueueCommand({ QueueUrl: server.url(queue) }))

    const operations = await operationsOf(() => backend.sendMessage(queue, '2'))

    expect(operations).toEqual(['SendMessage', 'GetQueueUrl', 'CreateQueue', 'SendMessage'])
    expect(await server.receive(queue, 1)).toEqual(['2'])
  })

  it('are created once more for many messages that find them gone', async () => {
    const [backend, queue] = [open(), name()]
    await backend.sendMessage(queue, '0')
    await server.client.send(new DeleteQueueCommand({ QueueUrl: server.url(queue) }))
    const messages = Array.from({ length: 10 }, (_, n) => String(n))

    const operations = await operationsOf(() => Promise.all(messages.map((text) => backend.sendMessage(queue, text))))

    expect(operations.filter((operation) => operation === 'CreateQueue')).toHaveLength(1)
    expect([...(await server.receive(queue, 10))].sort()).toEqual(messages)
  })

  it('are not created where that is not wanted, and no attempt follows', async () => {
    const [backend, queue] = [open({ createMissing: false }), name()]
    const sender = new QueueSender({ backend, logger: recordingLogger() })

    const report = await sender.send({ queueName: queue, message: {} })

    expect(report).toMatchObject({
      state: 'failed',
      attempts: 1,
      error: {
        code: 'KIQ_CONFIG_INVALID',
        message: `SQS has no queue "${queue}". Create it, or drop \`createMissing: false\`.`,
      },
    })
    await server.client.send(new CreateQueueCommand({ QueueName: queue }))
    expect(await sender.send({ queueName: queue, message: {} })).toMatchObject({ state: 'sent' })
  })

  it('are created with the attributes', async () => {
    const [backend, queue] = [open({ attributes: { MessageRetentionPeriod: '86400' } }), `${name()}.fifo`]

    await backend.sendMessage(queue, '1')

    const command = new GetQueueAttributesCommand({ QueueUrl: server.url(queue), AttributeNames: ['All'] })
    expect((await server.client.send(command)).Attributes).toMatchObject({
      MessageRetentionPeriod: '86400',
      FifoQueue: 'true',
    })
  })

  it('are found when they were created meanwhile with other attributes', async () => {
    const queue = name()
    const backends = ['86400', '172800'].map((MessageRetentionPeriod) =>
      open({ attributes: { MessageRetentionPeriod } }),
    )

    const outcomes = await Promise.all(backends.map((backend, n) => backend.sendMessage(queue, String(n))))

    expect(outcomes).toEqual([true, true])
    expect(await server.receive(queue, 2)).toHaveLength(2)
  })

  it('are reached by their URL, under any name', async () => {
    const queue = name()
    await server.client.send(new CreateQueueCommand({ QueueName: queue }))
    const backend = open({ queueUrls: { 'the results/é': server.url(queue), gone: server.url('gone') } })

    const operations = await operationsOf(() => backend.sendMessage('the results/é', '1'))

    expect(operations).toEqual(['SendMessage'])
    expect(await server.receive(queue, 1)).toEqual(['1'])
    await expect(backend.sendMessage('gone', '1')).rejects.toMatchObject({ name: 'QueueDoesNotExist' })
  })

  it('refuse a name that SQS has not, without asking, and warn of it once', async () => {
    const logger = recordingLogger()
    const backend = open({ logger })

    const operations = await operationsOf(async () => {
      for (const odd of ['a b', 'a b', 'x'.repeat(81), `${'x'.repeat(76)}.fifo`, 'https://example.com/x']) {
        expect(await backend.sendMessage(odd, '1')).toBe(false)
      }
    })

    expect(operations).toEqual([])
    expect(logger.lines.map(({ level }) => level)).toEqual(['warn', 'warn', 'warn', 'warn'])
    expect(logger.lines[0]?.message).toContain('no queue of SQS can be named "a b". Use 1 to 80 letters')
  })

  it('take the same message once when they are FIFO', async () => {
    const [backend, queue] = [open(), `${name()}.fifo`]

    for (const message of ['1', '2', '1']) expect(await backend.sendMessage(queue, message)).toBe(true)
    await backend.sendMessage(queue, '3')

    expect(await server.receive(queue, 3)).toEqual(['1', '2', '3'])
  })

  it('have the groups and ids of deduplication that were chosen', async () => {
    const ids: string[] = []
    const backend = open({
      messageGroupId: (queueName, message) => `${queueName.length}-${message}`,
      deduplicationId: (_queueName, message) => {
        ids.push(message)
        return `id-${ids.length}`
      },
    })
    const queue = `${name()}.fifo`

    for (const message of ['1', '1']) await backend.sendMessage(queue, message)

    expect(await server.receive(queue, 2)).toEqual(['1', '1'])
    expect(ids).toEqual(['1', '1'])
  })

  it('are sent to by a client of the application, which stays open', async () => {
    const client = new SQSClient({ ...server.options, useQueueUrlAsEndpoint: false })
    const [backend, queue] = [open({ client }), name()]
    await backend.sendMessage(queue, '1')

    await backend.close()

    await expect(client.send(new CreateQueueCommand({ QueueName: queue }))).resolves.toBeDefined()
    client.destroy()
    await expect(backend.sendMessage(queue, '2')).rejects.toMatchObject({ code: 'KIQ_SEND_FAILED' })
  })

  it('report a server that cannot be reached', async () => {
    const other = await startSqs()
    await other.close()
    const sender = new QueueSender({
      backend: open({ endpoint: other.endpoint }),
      logger: recordingLogger(),
      attempts: 2,
      backoff: { baseMs: 1, maxMs: 1 },
    })

    const report = await sender.send({ queueName: name(), message: {} })

    expect(report).toMatchObject({ state: 'failed', attempts: 2, error: { code: 'ECONNREFUSED' } })
  })
})
