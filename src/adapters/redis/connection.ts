import { BrokerError, ConfigError } from '../../contract/index.ts'
import { sleep } from '../../util/abort.ts'
import { backoffMs } from '../../util/backoff.ts'
import type { RedisArgument, RedisClient } from './client.ts'
import { isCluster, loadDriver } from './client.ts'
import { isConnectionError, isCredentialError, keyOf, redisFailure, textOf } from './failure.ts'
import { Hub } from './hub.ts'
import type { Script } from './script.ts'
import type { RedisTarget } from './target.ts'

/** What another thread needs to connect likewise. */
export interface ThreadTarget {
  readonly specifier: string
  readonly kind: RedisTarget['kind']
  readonly nodes: readonly object[]
  readonly options: Readonly<Record<string, unknown>>
}

export interface ConnectionParts {
  /** Makes a client that is not connected yet. */
  readonly makeClient: () => RedisClient
  /** The user's client, which we neither connect nor close. */
  readonly given: RedisClient | undefined
  readonly shown: string
  readonly thread: ThreadTarget | undefined
  readonly connectTimeoutMs: number
  /** The last user let go of the connection. */
  readonly onClosed: () => void
}

const RECONNECT_BACKOFF = { baseMs: 50, maxMs: 1_000 }

/**
 * The connections of this process to one Redis: one for commands, one for messages of channels, further ones for reads
 * that block. Shared by everything in the process that names the same Redis, and closed by the last that lets go.
 *
 * Commands are never queued while there is no connection: whoever calls waits for it here, or gives up. A command whose
 * answer was lost rejects at once, because only the caller knows whether it may be done twice.
 */
export class RedisConnection {
  /** As messages show it: without a password. */
  readonly shown: string
  readonly thread: ThreadTarget | undefined
  readonly hub: Hub
  readonly #parts: ConnectionParts
  readonly #client: RedisClient
  readonly isCluster: boolean
  /** Those who wait for the connection: any number, and one set of listeners for all. */
  readonly #waiting = new Set<AbortController>()
  #lastError: unknown
  #users = 0
  #isJoining = false
  #starting: Promise<void> | undefined
  /** Nobody uses it any more. */
  #isReleased = false

  constructor(parts: ConnectionParts) {
    this.#parts = parts
    this.shown = parts.shown
    this.thread = parts.thread
    this.#client = parts.given ?? parts.makeClient()
    this.isCluster = isCluster(this.#client)
    this.#client.on('error', this.#noteFailure)
    // Errors of the nodes of a cluster are only told here.
    this.#client.on('node error', this.#noteError)
    this.#client.on('ready', this.#wake)
    this.#client.on('end', this.#wake)
    this.hub = new Hub(() => this.duplicate())
  }

  /** `ready` is also what the driver says between the end of the socket and its next turn of the event loop. */
  get #isReady(): boolean {
    return this.#client.status === 'ready' && this.#client.stream?.writable !== false
  }

  readonly #noteError = (error: unknown): void => {
    this.#lastError = error
  }

  readonly #noteFailure = (error: unknown): void => {
    this.#lastError = error
    if (isCredentialError(error)) this.#wake()
  }

  readonly #wake = (): void => {
    for (const one of this.#waiting) one.abort()
  }

  /**
   * Counts a user, and resolves when the connection stands.
   *
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for refused credentials.
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` when Redis cannot be reached in time.
   */
  async acquire(): Promise<void> {
    this.#users += 1
    try {
      this.#starting ??= this.#start()
      await this.#starting
    } catch (error) {
      this.#starting = undefined
      await this.release()
      throw error
    }
  }

  async release(): Promise<void> {
    this.#users -= 1
    if (this.#users > 0) return
    this.#parts.onClosed()
    this.#isReleased = true
    this.#client.off('error', this.#noteFailure)
    this.#client.off('node error', this.#noteError)
    this.hub.close()
    if (this.#parts.given) {
      this.#client.off('ready', this.#wake)
      this.#client.off('end', this.#wake)
      this.#wake()
      return
    }
    // An error after the end is nobody's.
    this.#client.on('error', () => undefined)
    this.#client.disconnect()
    // A cluster that is still connecting may take its time to say that it has ended.
    this.#wake()
  }

  async #start(): Promise<void> {
    // Its failure is told by `whenReady`, which also sees the attempts that follow.
    if (this.#client.status === 'wait') this.#client.connect().catch(this.#noteError)
    await this.whenReady(undefined, this.#parts.connectTimeoutMs)
  }

  /**
   * Resolves when commands can be sent.
   *
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` after `timeoutMs`, or when `signal` aborts, with the last reason.
   */
  async whenReady(signal?: AbortSignal, timeoutMs: number = this.#parts.connectTimeoutMs): Promise<void> {
    if (this.#isReady) return
    const ready = new AbortController()
    const over = signal ? AbortSignal.any([ready.signal, signal]) : ready.signal
    this.#waiting.add(ready)
    // `end`: closed for good, by us or by the owner of the client.
    const isOver = this.#isReleased || this.#client.status === 'end'
    if (!isCredentialError(this.#lastError) && !isOver) await sleep(timeoutMs, over)
    this.#waiting.delete(ready)
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- a getter: it has changed meanwhile
    if (this.#isReady) {
      this.#lastError = undefined
      return
    }
    const reason = this.#lastError
    // The next call shall try again, should somebody have corrected the password; those who wait now shall know it.
    if (isCredentialError(reason)) setImmediate(() => (this.#lastError = undefined))
    throw redisFailure(this.shown, reason ?? new Error(`Connection is closed: status ${this.#client.status}`))
  }

  /** Runs a command; bulk strings are text. */
  async call(command: string, ...args: RedisArgument[]): Promise<unknown> {
    if (!this.#isReady) await this.whenReady()
    try {
      return await this.#client.call(command, ...args)
    } catch (error) {
      throw redisFailure(this.shown, error, keyOf(command, args))
    }
  }

  /** Runs a command; bulk strings are bytes. */
  async callBuffer(command: string, ...args: RedisArgument[]): Promise<unknown> {
    if (!this.#isReady) await this.whenReady()
    try {
      return await this.#client.callBuffer(command, ...args)
    } catch (error) {
      throw redisFailure(this.shown, error, keyOf(command, args))
    }
  }

  /**
   * Runs a script; bulk strings are bytes.
   *
   * @param when - `joined`: with the other scripts of this turn of the event loop; `now`: ahead of what this turn still
   *   has to do.
   */
  async run(
    script: Script,
    keys: readonly string[],
    args: readonly RedisArgument[],
    when: 'joined' | 'now' = 'joined',
  ): Promise<unknown> {
    if (!this.#isReady) await this.whenReady()
    if (when === 'joined') this.#join()
    try {
      return await this.#client.callBuffer('EVALSHA', script.sha, keys.length, ...keys, ...args)
    } catch (error) {
      if (!textOf(error).startsWith('NOSCRIPT')) throw redisFailure(this.shown, error, keys[0])
    }
    try {
      return await this.#client.callBuffer('EVAL', script.source, keys.length, ...keys, ...args)
    } catch (error) {
      throw redisFailure(this.shown, error, keys[0])
    }
  }

  /**
   * Every key that matches, once: of all masters where there are several. Walks through all keys, in small steps.
   *
   * @param pattern - As `MATCH` takes it.
   */
  async scan(pattern: string): Promise<readonly string[]> {
    if (!this.#isReady) await this.whenReady()
    try {
      const found = await Promise.all(mastersOf(this.#client).map((master) => scanOf(master, pattern)))
      return [...new Set(found.flat())]
    } catch (error) {
      throw redisFailure(this.shown, error)
    }
  }

  /**
   * Runs work again until it no longer fails for want of a connection. For work that may be done twice.
   *
   * @param signal - Ends the attempts; the last error is then thrown.
   */
  async persist<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.whenReady(signal)
        return await work()
      } catch (error) {
        const isOver = signal === undefined || signal.aborted
        if (isOver || error instanceof ConfigError || !isConnectionError(rootOf(error))) throw error
        await sleep(backoffMs(attempt, RECONNECT_BACKOFF), signal)
      }
    }
  }

  /**
   * Lets the commands of this turn of the event loop travel in one write, and so be answered in one: waking the other
   * process costs more than the commands do.
   */
  #join(): void {
    const { stream } = this.#client
    if (this.#isJoining || stream?.cork === undefined) return
    this.#isJoining = true
    stream.cork()
    setImmediate(() => {
      this.#isJoining = false
      stream.uncork()
    })
  }

  /** A further client to the same Redis, for the caller to connect and to close. */
  duplicate(): RedisClient {
    return this.#parts.makeClient()
  }
}

/** Keys that one step of a scan looks at: less than a millisecond of the server's time. */
const SCAN_COUNT = 1_000

async function scanOf(client: RedisClient, pattern: string): Promise<string[]> {
  const found: string[] = []
  let cursor = '0'
  do {
    const reply = await client.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT)
    const [next, keys] = reply as readonly [string, readonly string[]]
    for (const key of keys) found.push(key)
    cursor = next
  } while (cursor !== '0')
  return found
}

/** The clients to all masters of a cluster, which the driver keeps; otherwise the client itself. */
function mastersOf(client: RedisClient): readonly RedisClient[] {
  if (!isCluster(client)) return [client]
  return (client as RedisClient & { nodes(role: 'master'): readonly RedisClient[] }).nodes('master')
}

function rootOf(error: unknown): unknown {
  return error instanceof BrokerError && error.cause !== undefined ? error.cause : error
}

/** Options under which a client of ours neither queues nor repeats commands by itself. */
const CLIENT_OPTIONS: Readonly<Record<string, unknown>> = {
  lazyConnect: true,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  // Slower by half here: the socket's writes are joined anyway (measured, ioredis 6).
  enableAutoPipelining: false,
  connectionName: 'kiq',
  // What vanished without a word (a machine, an entry of a NAT) is noticed soon, and not by the system after 15 minutes:
  // where an answer is awaited, and where nothing is.
  socketTimeout: 10_000,
  keepAlive: 10_000,
}

function retryStrategy(attempt: number): number {
  return backoffMs(attempt, RECONNECT_BACKOFF)
}

/** After a failover the old master answers READONLY: the new one is found by connecting again. */
function reconnectOnError(error: Error): boolean {
  return error.message.startsWith('READONLY')
}

/** A client for a target, not connected yet. */
export function makeClient(target: RedisTarget, more: Readonly<Record<string, unknown>>): RedisClient {
  const { Redis } = loadDriver().driver
  const options = { ...CLIENT_OPTIONS, retryStrategy, reconnectOnError, ...target.options, ...more }
  if (target.kind !== 'cluster') return new Redis({ ...options, sentinelRetryStrategy: retryStrategy })
  const { lazyConnect, enableOfflineQueue, ...redisOptions } = options as Record<string, unknown>
  return new Redis.Cluster(target.nodes, {
    lazyConnect,
    enableOfflineQueue,
    redisOptions,
    clusterRetryStrategy: retryStrategy,
    retryDelayOnClusterDown: 100,
    retryDelayOnFailover: 100,
  })
}

/** A further client of the kind that the user made. */
export function duplicateOf(client: RedisClient): RedisClient {
  if (isCluster(client)) {
    const cluster = client as { duplicate(nodes: readonly object[], options: object): unknown }
    return cluster.duplicate([], { lazyConnect: true, enableOfflineQueue: false }) as RedisClient
  }
  const single = client as { duplicate(options: object): unknown }
  return single.duplicate(CLIENT_OPTIONS) as RedisClient
}
