import { afterAll, beforeAll } from 'vitest'

import { InMemoryBroker } from '../../src/adapters/memory/memory-broker.ts'
import { silentLogger } from '../../src/contract/index.ts'
import {
  InMemoryQueueBackend,
  NoQueueBackend,
  RedisQueueBackend,
  RoutingQueueBackend,
  SqsQueueBackend,
  TaskQueueBackend,
} from '../../src/serve/queues/index.ts'
import { until } from '../../src/testing/until.ts'
import { engineSuite } from '../support/engine-suite.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import type { SqsServer } from './queues-sqs-server.ts'
import { startSqs } from './queues-sqs-server.ts'
import { queueSuite } from './queues-suite.ts'
import type { QueueRig } from './queues-suite.ts'

const logger = silentLogger

function takeFrom(backend: InMemoryQueueBackend): QueueRig['receive'] {
  return async (queueName, count) => {
    const taken: string[] = []
    while (taken.length < count) taken.push(JSON.stringify(await backend.take(queueName, { timeout: '10s' })))
    return taken
  }
}

queueSuite('no queues', { order: 'not promised' }, async () => ({ backend: new NoQueueBackend({ logger }) }))

queueSuite('queues in memory', { order: 'kept' }, async () => {
  const backend = new InMemoryQueueBackend({ logger })
  return { backend, receive: takeFrom(backend) }
})

queueSuite('routed queues', { order: 'kept' }, async () => {
  const fallback = new InMemoryQueueBackend({ logger })
  return {
    backend: new RoutingQueueBackend({ routes: { x: new NoQueueBackend({ logger }) }, fallback, logger }),
    receive: takeFrom(fallback),
  }
})

queueSuite('queues of tasks in memory', { order: 'kept' }, async () => {
  const broker = new InMemoryBroker({ logger })
  const received = new Map<string, string[]>()
  // One task for all queues, whose names come later.
  broker.task('process', (queueName: string, message: unknown) => {
    received.set(queueName, [...(received.get(queueName) ?? []), JSON.stringify(message)])
  })
  broker.withMiddlewares({
    preSend: (message) => ({ ...message, taskName: 'process', args: [message.taskName, ...message.args] }),
  })
  return {
    backend: new TaskQueueBackend({ broker, taskName: (queueName) => queueName }),
    receive: async (queueName, count) => {
      await until(() => (received.get(queueName)?.length ?? 0) >= count, { timeoutMs: 10_000 })
      return received.get(queueName) ?? []
    },
  }
})

engineSuite('queues in Redis', [redisEngine], () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  queueSuite('of a server', { order: 'kept' }, async () => ({
    backend: new RedisQueueBackend({ url: server.url, prefix: 'out:', logger }),
    receive: async (queueName, count) => {
      const taken: string[] = []
      while (taken.length < count) {
        const reply = (await server.command('BRPOP', `out:${queueName}`, '10')) as [string, string] | null
        if (reply === null) break
        taken.push(reply[1])
      }
      return taken
    },
  }))
})

// The server of these tests refuses characters beyond U+FFFF; SQS takes them.
const TEXT = 'é ÿ 漢字 \u0000 \u2028 \ufffe \uffff \ud800 "\\'

let sqs: SqsServer
beforeAll(async () => {
  sqs = await startSqs()
})
afterAll(() => sqs.close())

queueSuite('queues in SQS', { order: 'not promised', text: TEXT }, async () => ({
  backend: new SqsQueueBackend({ ...sqs.options, logger }),
  receive: sqs.receive,
}))

queueSuite('FIFO queues in SQS', { order: 'kept', suffix: '.fifo', text: TEXT }, async () => ({
  backend: new SqsQueueBackend({ ...sqs.options, logger }),
  receive: sqs.receive,
}))
