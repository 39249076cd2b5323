import { randomUUID } from 'node:crypto'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe } from 'vitest'

import type { RedisFormat, RedisStreamBrokerOptions } from '../../src/adapters/redis/index.ts'
import { RedisResultBackend, RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import { Worker } from '../../src/index.ts'
import type { Broker, Failure, TaskResult, WorkerOptions } from '../../src/index.ts'
import { isPickle } from '../../src/serializers/pickle.ts'
import { engineSuite } from '../support/engine-suite.ts'
import type { PythonEnvironment, PythonWorker } from '../support/python.ts'
import { pythonEngine, pythonEnvironments, startPythonWorker } from '../support/python.ts'
import type { RecordingLogger } from '../support/recording-logger.ts'
import { recordingLogger } from '../support/recording-logger.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import type { PythonCall, PythonOutcome, PythonReply } from './python-client.ts'
import { PythonClient } from './python-client.ts'

const PROGRAMS = join(import.meta.dirname, 'python')

/** Longest wait for anything that should happen soon; a machine under load may need long to start a process. */
export const SOON = { timeoutMs: 20_000 }
export const WAIT = { timeout: SOON.timeoutMs }

/** A broker of Python's Taskiq; see `python/brokers.py`. */
export interface PythonSettings {
  readonly queue: string
  /** @defaultValue `'stream'` */
  readonly kind?: 'stream' | 'list' | 'pubsub' | undefined
  /** Serializer of the broker; Taskiq's default is JSON. */
  readonly messages?: 'default' | 'msgpack' | 'cbor' | undefined
  /** Serializer of the result backend; Taskiq's default is pickle. */
  readonly results?: 'default' | 'json' | 'msgpack' | 'cbor' | undefined
  /** `SimpleRetryMiddleware()` */
  readonly retries?: boolean | undefined
  /** Further arguments of the broker's class. */
  readonly options?: Readonly<Record<string, unknown>> | undefined
  /** Further arguments of the result backend's class. */
  readonly backend?: Readonly<Record<string, unknown>> | undefined
}

export interface BrokerSettings extends Omit<RedisStreamBrokerOptions, 'url' | 'queueName' | 'logger'> {
  readonly queue: string
  /** How results are written. */
  readonly results?: RedisFormat | undefined
}

/**
 * Suite for one Redis server and each version of Python's Taskiq. What a test opens is closed after it; what `beforeAll`
 * opens, after the last test of that version.
 */
export function interop(name: string, tests: (kit: Kit) => void): void {
  engineSuite(name, [pythonEngine, redisEngine], () => {
    let server: RedisServer
    beforeAll(async () => {
      server = await startRedis()
    })
    afterAll(() => server.close())

    describe.each(pythonEnvironments())('Taskiq $taskiq', (environment) => {
      const kit = new Kit(environment, () => server)
      beforeEach(() => kit.mark())
      afterEach(() => kit.close('since mark'))
      afterAll(() => kit.close('all'))
      tests(kit)
    })
  })
}

/** Workers and clients of both languages on one Redis server. */
export class Kit {
  readonly environment: PythonEnvironment
  /** What the brokers here have logged. */
  readonly log: RecordingLogger = recordingLogger()
  readonly #server: () => RedisServer
  readonly #closers: (() => Promise<unknown>)[] = []
  #client: PythonClient | undefined
  #mark = 0

  constructor(environment: PythonEnvironment, server: () => RedisServer) {
    this.environment = environment
    this.#server = server
  }

  get url(): string {
    return this.#server().url
  }

  get isOlder(): boolean {
    return this.environment.name === 'older'
  }

  mark(): void {
    this.#mark = this.#closers.length
  }

  async close(which: 'all' | 'since mark'): Promise<void> {
    const closers = this.#closers.splice(which === 'all' ? 0 : this.#mark)
    for (const close of closers.reverse()) await close()
  }

  /** A name that nobody has used. */
  queue(): string {
    return `queue-${randomUUID().slice(0, 8)}`
  }

  async command(name: string, ...args: (string | number)[]): Promise<unknown> {
    return await this.#server().command(name, ...args.map(String))
  }

  /** A broker on streams, started for sending. */
  async broker({ queue, results, ...options }: BrokerSettings): Promise<RedisStreamBroker> {
    const { url, log: logger } = this
    const resultBackend = options.resultBackend ?? new RedisResultBackend({ url, serializer: results })
    return await this.started(new RedisStreamBroker({ ...options, url, logger, queueName: queue, resultBackend }))
  }

  async started<B extends Broker>(broker: B): Promise<B> {
    await broker.startup()
    this.#closers.push(() => broker.shutdown())
    return broker
  }

  async work(broker: Broker, options: WorkerOptions = {}): Promise<Worker> {
    const worker = new Worker(broker, { abortGrace: 50, shutdownTimeout: 1_000, ...options })
    await worker.start()
    this.#closers.push(() => worker.stop({ running: 'abort' }))
    return worker
  }

  /** Starts `python/worker.py`. */
  async python(settings: PythonSettings, args: readonly string[] = []): Promise<PythonWorker> {
    const worker = await startPythonWorker({
      python: this.environment.python,
      module: 'worker:broker',
      directory: PROGRAMS,
      env: { SETTINGS: JSON.stringify(this.#settings(settings)) },
      args,
    })
    this.#closers.push(() => worker.kill())
    return worker
  }

  /** Sends from a Python client, and resolves with what it sees of the results. */
  async call(settings: PythonSettings, calls: readonly PythonCall[]): Promise<readonly PythonOutcome[]> {
    return (await this.#ask(settings, { calls, results: [], waits: true })).outcomes
  }

  /** Sends from a Python client that does not wait; resolves with the ids. */
  async send(settings: PythonSettings, calls: readonly PythonCall[]): Promise<readonly string[]> {
    return (await this.#ask(settings, { calls, results: [], waits: false })).sent
  }

  /** What a Python client sees of tasks that somebody else has sent. */
  async read(settings: PythonSettings, taskIds: readonly string[]): Promise<readonly PythonOutcome[]> {
    return (await this.#ask(settings, { calls: [], results: taskIds, waits: true })).outcomes
  }

  /** Ids of entries of a stream that somebody has and has not acknowledged, each with its consumer. */
  async pending(queue: string): Promise<readonly (readonly [id: string, consumer: string])[]> {
    const entries = (await this.command('XPENDING', queue, 'taskiq', '-', '+', 1_000)) as [string, string][]
    return entries.map(([id, consumer]) => [id, consumer])
  }

  /** How many entries are in a stream, and how many of them somebody has. */
  async depth(queue: string): Promise<{ readonly length: number; readonly pending: number }> {
    const length = (await this.command('XLEN', queue)) as number
    return { length, pending: (await this.pending(queue)).length }
  }

  /** How the result of a task is stored. */
  async formatOf(taskId: string): Promise<'json' | 'pickle' | 'nothing'> {
    const backend = new RedisResultBackend({ url: this.url })
    await backend.start({ logger: this.log })
    const [body] = await backend.get([taskId])
    await backend.stop()
    return body === undefined ? 'nothing' : isPickle(body) ? 'pickle' : 'json'
  }

  /** The languages that have run a task, in that order. */
  async runs(taskId: string): Promise<readonly string[]> {
    return (await this.command('LRANGE', `runs:${taskId}`, 0, -1)) as readonly string[]
  }

  /** Notes that a task of this process runs, and tells how often it has. */
  async note(taskId: string): Promise<number> {
    return (await this.command('RPUSH', `runs:${taskId}`, 'kiq')) as number
  }

  #settings({ kind = 'stream', messages = 'default', results = 'json', ...rest }: PythonSettings): object {
    return { url: this.url, kind, messages, results, retries: false, options: {}, backend: {}, ...rest }
  }

  async #ask(
    settings: PythonSettings,
    { calls, ...job }: { calls: readonly PythonCall[]; results: readonly string[]; waits: boolean },
  ): Promise<PythonReply> {
    if (this.#client === undefined) {
      const client = new PythonClient(this.environment.python, PROGRAMS)
      this.#client = client
      // Of all tests: a process for each would take half a second.
      this.#closers.unshift(() => client.close())
      this.#mark += 1
    }
    return await this.#client.ask({
      ...job,
      settings: this.#settings(settings),
      calls: calls.map((call) => ({ labels: '{}', ...call })),
      timeout: SOON.timeoutMs / 1000,
    })
  }
}

/** The failure of a result that must be one. */
export function failureOf(result: TaskResult): Failure {
  if (!result.isErr) throw new Error(`The task succeeded with ${JSON.stringify(result.returnValue)}.`)
  return result.error
}
