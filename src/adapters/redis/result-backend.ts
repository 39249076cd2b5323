import { BrokerError, durationOption, ResultError } from '../../contract/index.ts'
import type {
  Body,
  Logger,
  ResultBackend,
  ResultBackendCapabilities,
  ResultRecord,
  Serializer,
} from '../../contract/index.ts'
import type { Duration } from '../../util/duration.ts'
import type { RedisArgument } from './client.ts'
import { argumentOf } from './client.ts'
import type { RedisConnection } from './connection.ts'
import type { RedisOptions } from './options.ts'
import type { RedisAddress } from './registry.ts'
import { addressOf } from './registry.ts'
import type { RedisFormat } from './result-format.ts'
import { resultFormat } from './result-format.ts'
import { SAVE_RESULTS } from './scripts/settle.ts'
import { Subscriptions } from './subscriptions.ts'

export interface RedisResultBackendOptions extends RedisOptions {
  /**
   * Taskiq's `prefix_str`: results are kept under `<prefix>:<task id>`.
   *
   * @defaultValue none: under the task id itself, as Taskiq does
   */
  readonly prefix?: string | undefined
  /**
   * Taskiq's `result_ex_time`: how long results and progress are kept, unless the task says otherwise.
   *
   * @defaultValue the broker's `resultTtl`, 24 hours; Taskiq keeps them for ever
   */
  readonly expiry?: Duration | undefined
  /**
   * Taskiq's `keep_results`: `false` deletes a result when it is first read.
   *
   * @defaultValue `true`
   */
  readonly keepResults?: boolean | undefined
  /**
   * How results and progress are written. **Python's Taskiq pickles its results by default**: give `'pickle'` when
   * Python clients with the default settings read them, or give Python's backend `serializer=JSONSerializer()`.
   * `'auto'` pickles the answer to messages that a Python client sent in its default format, and writes JSON else.
   *
   * Reading always recognizes both, whatever is written.
   *
   * @defaultValue `'json'`
   */
  readonly serializer?: RedisFormat | undefined
}

interface Started {
  readonly connection: RedisConnection
  readonly subscriptions: Subscriptions
}

/**
 * Results and progress in Redis, under the keys of Taskiq's `RedisAsyncResultBackend`.
 *
 * On the Redis of a stream or list transport results are written in the step that settles the message. Whoever waits is
 * told by a publication that carries the result; what Python's workers store is looked for instead.
 */
export class RedisResultBackend implements ResultBackend {
  readonly capabilities: ResultBackendCapabilities = { expires: true, notifies: true, progress: true }
  readonly serializer: Serializer
  readonly serializerFor?: (request: Body) => Serializer
  readonly defaultTtlMs: number | undefined
  /** @internal For the transport that joins. */
  readonly address: RedisAddress
  /** @internal For the transport that joins. */
  readonly place: { readonly keyPrefix: string; readonly channelPrefix: string }
  readonly #keeps: boolean
  #started: Started | undefined

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense. */
  constructor(options: RedisResultBackendOptions) {
    this.address = addressOf(options)
    const { serializer, serializerFor } = resultFormat(options.serializer)
    this.serializer = serializer
    if (serializerFor) this.serializerFor = serializerFor
    this.defaultTtlMs =
      options.expiry === undefined ? undefined : durationOption('expiry', options.expiry, { fallbackMs: 0, minMs: 1 })
    this.#keeps = options.keepResults ?? true
    const prefix = options.prefix === undefined || options.prefix === '' ? '' : `${options.prefix}:`
    this.place = { keyPrefix: prefix, channelPrefix: `kiq:results:${this.address.db}:${prefix}` }
  }

  /** @throws as the transport's `start` does. */
  async start({ logger }: { readonly logger: Logger }): Promise<void> {
    if (this.#started) return
    const connection = this.address.connection()
    await connection.acquire()
    const subscriptions = new Subscriptions({
      hub: connection.hub,
      channelOf: (taskId) => this.place.channelPrefix + lastFour(taskId),
      get: async (taskIds) => await this.get(taskIds),
      logger,
    })
    this.#started = { connection, subscriptions }
  }

  async stop(): Promise<void> {
    const started = this.#started
    this.#started = undefined
    started?.subscriptions.stop()
    await started?.connection.release()
  }

  async save(records: readonly ResultRecord[]): Promise<void> {
    if (records.length === 0) return
    await this.#use(async ({ connection }) => {
      if (!connection.isCluster) {
        await this.#write(connection, records)
        return
      }
      await Promise.all(records.map((record) => this.#write(connection, [record])))
    })
  }

  async get(taskIds: readonly string[]): Promise<readonly (Body | undefined)[]> {
    if (taskIds.length === 0) return []
    return await this.#use(async ({ connection }) => {
      const keys = taskIds.map((taskId) => this.#key(taskId))
      const bodies =
        this.#keeps && !connection.isCluster
          ? ((await connection.callBuffer('MGET', ...keys)) as readonly unknown[])
          : await Promise.all(keys.map((key) => connection.callBuffer(this.#keeps ? 'GET' : 'GETDEL', key)))
      return bodies.map((body) => (Buffer.isBuffer(body) ? body : undefined))
    })
  }

  async has(taskIds: readonly string[]): Promise<readonly boolean[]> {
    return await this.#use(async ({ connection }) => {
      const counts = await Promise.all(taskIds.map((taskId) => connection.call('EXISTS', this.#key(taskId))))
      return counts.map((count) => Number(count) > 0)
    })
  }

  async forget(taskIds: readonly string[]): Promise<void> {
    const keys = taskIds.flatMap((taskId) => [this.#key(taskId), this.#progressKey(taskId)])
    if (keys.length === 0) return
    await this.#use(async ({ connection }) => {
      if (connection.isCluster) await Promise.all(keys.map((key) => connection.call('DEL', key)))
      else await connection.call('DEL', ...keys)
    })
  }

  subscribe(taskId: string, listener: (body: Body) => void): () => void {
    const { subscriptions } = this.#begun()
    if (this.#keeps) return subscriptions.add(taskId, listener)
    return subscriptions.add(taskId, (body) => {
      // What was told with its value is still there.
      void this.#use(({ connection }) => connection.call('DEL', this.#key(taskId))).catch(() => undefined)
      listener(body)
    })
  }

  async setProgress({ taskId, body, ttlMs }: ResultRecord): Promise<void> {
    const expiry = ttlMs === undefined ? [] : ['PX', wholeMs(ttlMs)]
    await this.#use(({ connection }) => connection.call('SET', this.#progressKey(taskId), argumentOf(body), ...expiry))
  }

  async getProgress(taskId: string): Promise<Body | undefined> {
    const body = await this.#use(({ connection }) => connection.callBuffer('GET', this.#progressKey(taskId)))
    return Buffer.isBuffer(body) ? body : undefined
  }

  async #write(connection: RedisConnection, records: readonly ResultRecord[]): Promise<void> {
    const { keyPrefix, channelPrefix } = this.place
    const args: RedisArgument[] = [keyPrefix, channelPrefix, connection.isCluster ? 'cluster' : '']
    for (const { taskId, ttlMs, body } of records) {
      args.push(taskId, ttlMs === undefined ? '' : wholeMs(ttlMs), argumentOf(body))
    }
    const keys = records.map(({ taskId }) => this.#key(taskId))
    await connection.run(SAVE_RESULTS, keys, args)
  }

  #key(taskId: string): string {
    return this.place.keyPrefix + taskId
  }

  #progressKey(taskId: string): string {
    return `${this.#key(taskId)}__progress`
  }

  async #use<T>(work: (started: Started) => Promise<T>): Promise<T> {
    const started = this.#begun()
    try {
      return await work(started)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      throw new ResultError('KIQ_RESULT_BACKEND_FAILED', error.message, { cause: error.cause ?? error })
    }
  }

  #begun(): Started {
    if (this.#started) return this.#started
    throw new ResultError(
      'KIQ_RESULT_BACKEND_FAILED',
      `The Redis result backend on ${this.address.shown} is not started. Start the broker before you use it.`,
    )
  }
}

/** As Lua cuts it: bytes. */
function lastFour(taskId: string): string {
  return taskId.slice(-4)
}

function wholeMs(ms: number): number {
  return Math.max(Math.ceil(ms), 1)
}
