import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { InMemoryBroker } from '../../src/adapters/memory/memory-broker.ts'
import { RedisListBroker, RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import { context, Worker } from '../../src/index.ts'
import { TaskQueueBackend } from '../../src/serve/queues/index.ts'
import { deferred } from '../support/deferred.ts'
import { engineSuite } from '../support/engine-suite.ts'
import { pythonEngine, pythonEnvironments, startPythonWorker } from '../support/python.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'

const MESSAGE = { status: 'success', meta: { user: 'é 😀' }, scores: [0.5, 1, null], job_id: 'j1' }

describe('queues of tasks', () => {
  it('are consumed by a task of a broker in memory, with the parsed message as its only argument', async () => {
    const broker = new InMemoryBroker()
    const seen = deferred<readonly unknown[]>()
    broker.task('process_results', (...args: readonly unknown[]) => seen.resolve(args))
    const backend = new TaskQueueBackend({ broker })

    expect(await backend.sendMessage('results', JSON.stringify(MESSAGE))).toBe(true)

    expect(await seen.promise).toEqual([MESSAGE])
    await backend.close()
    expect(broker.isStarted).toBe(false)
  })

  it('leave a broker started that was started by others', async () => {
    const broker = new InMemoryBroker({ awaitInplace: true })
    broker.task('process_q', () => {})
    await broker.startup()
    const backend = new TaskQueueBackend({ broker })
    await backend.sendMessage('q', '{}')

    await backend.close()
    await backend.close()

    expect(broker.isStarted).toBe(true)
    await broker.shutdown()
  })

  it('start the broker once for many first messages, and again after it was closed', async () => {
    const broker = new InMemoryBroker({ awaitInplace: true })
    const events: string[] = []
    broker.on('clientStartup', () => void events.push('start'))
    broker.on('clientShutdown', () => void events.push('stop'))
    broker.task('process_q', () => {})
    const backend = new TaskQueueBackend({ broker })

    await Promise.all([1, 2, 3].map((n) => backend.sendMessage('q', String(n))))
    await backend.close()
    await backend.sendMessage('q', '4')
    await backend.close()

    expect(events).toEqual(['start', 'stop', 'start', 'stop'])
  })

  it('try the start again after one that failed', async () => {
    const broker = new InMemoryBroker({ awaitInplace: true })
    const failures = [new Error('not yet')]
    broker.on('clientStartup', () => {
      const failure = failures.pop()
      if (failure) throw failure
    })
    broker.task('process_q', () => {})
    const backend = new TaskQueueBackend({ broker })

    await expect(backend.sendMessage('q', '{}')).rejects.toThrow('not yet')
    await backend.close()

    expect(await backend.sendMessage('q', '{}')).toBe(true)
    await backend.close()
  })

  it('refuse a message that is no JSON', async () => {
    const backend = new TaskQueueBackend({ broker: new InMemoryBroker() })

    await expect(backend.sendMessage('q', 'hello')).rejects.toMatchObject({ code: 'KIQ_ARGUMENTS_INVALID' })
  })
})

engineSuite('queues of tasks in Redis', [redisEngine], () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  it('are consumed by a worker in TypeScript, under the names that were chosen', async () => {
    const consumer = new RedisStreamBroker({ url: server.url, queueName: 'slow' })
    const seen = deferred<readonly unknown[]>()
    consumer.task('outcome', (message: unknown) => seen.resolve([context().labels['queue_name'], message]))
    const worker = new Worker(consumer)
    await worker.start()
    const backend = new TaskQueueBackend({
      broker: new RedisStreamBroker({ url: server.url }),
      taskName: () => 'outcome',
      queue: (queueName) => (queueName === 'results' ? 'slow' : undefined),
    })

    await backend.sendMessage('results', JSON.stringify(MESSAGE))

    expect(await seen.promise).toEqual(['slow', MESSAGE])
    await backend.close()
    await worker.stop()
    await consumer.shutdown()
  })
})

const WORKER = `
import json
import os
from redis.asyncio import Redis
from taskiq_redis import ListQueueBroker

broker = ListQueueBroker(os.environ["REDIS_URL"])
redis = Redis.from_url(os.environ["REDIS_URL"])

@broker.task(task_name="process_results")
async def process_results(message: dict) -> None:
    await redis.rpush("seen", json.dumps([type(message).__name__, message["meta"], message["scores"]]))
`

engineSuite("queues of tasks in Redis, and Python's Taskiq", [pythonEngine, redisEngine], () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiq-queues-'))
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
    writeFileSync(join(directory, 'worker.py'), WORKER)
  })
  afterAll(async () => {
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  })

  it.each(pythonEnvironments())('are consumed by a worker of Taskiq $taskiq', async ({ python }) => {
    const env = { REDIS_URL: server.url }
    const worker = await startPythonWorker({ python, module: 'worker:broker', directory, env })
    const backend = new TaskQueueBackend({ broker: new RedisListBroker({ url: server.url }) })

    expect(await backend.sendMessage('results', JSON.stringify(MESSAGE))).toBe(true)

    const [, seen] = (await server.command('BLPOP', 'seen', '20')) as [string, string]
    expect(JSON.parse(seen)).toEqual(['dict', MESSAGE.meta, MESSAGE.scores])
    await backend.close()
    await worker.kill()
  })
})
