import { BrokerError } from '../../contract/index.ts'
import { sleep } from '../../util/abort.ts'
import type { RedisArgument, RedisClient } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { isCredentialError, keyOf, redisFailure } from './failure.ts'

/** How much longer than asked a blocking read may last before its connection is taken for dead. */
const GRACE_MS = 5_000
/** Longest wait for the end of a read that was asked to end. */
const UNBLOCK_MS = 800

/**
 * One connection for one read that blocks. At most one read is under way; it may outlive the call that began it, and its
 * answer then waits for the next one.
 */
export class Intake {
  readonly #connection: RedisConnection
  #client: RedisClient | undefined
  /** Of the client's present connection. */
  #clientId: number | undefined
  #pending: Promise<unknown> | undefined

  constructor(connection: RedisConnection) {
    this.#connection = connection
  }

  get isPending(): boolean {
    return this.#pending !== undefined
  }

  /**
   * Begins a command that blocks, or joins the one that is under way. Resolves to its reply; `null` = nothing came.
   *
   * @param blockMs - As the command itself says.
   */
  read(command: readonly [string, ...RedisArgument[]], blockMs: number): Promise<unknown> {
    this.#pending ??= this.#run(command, blockMs).finally(() => (this.#pending = undefined))
    return this.#pending
  }

  /** Ends the read that is under way; resolves when it has ended, or soon. */
  async unblock(): Promise<void> {
    const pending = this.#pending
    if (pending === undefined || this.#connection.isCluster) return
    const ended = new AbortController()
    pending.then(
      () => ended.abort(),
      () => ended.abort(),
    )
    const until = performance.now() + UNBLOCK_MS
    // The command that blocks goes another way, and may arrive after the one that ends it.
    for (let everyMs = 10; !ended.signal.aborted && performance.now() < until; everyMs *= 2) {
      if (this.#clientId !== undefined) {
        this.#connection.call('CLIENT', 'UNBLOCK', this.#clientId).catch(() => undefined)
      }
      await sleep(Math.min(everyMs, Math.max(until - performance.now(), 1)), ended.signal)
    }
  }

  close(): void {
    const client = this.#client
    this.#client = undefined
    this.#clientId = undefined
    client?.disconnect()
  }

  async #run(command: readonly [string, ...RedisArgument[]], blockMs: number): Promise<unknown> {
    const { shown } = this.#connection
    const client = await this.#ready()
    const watch = setTimeout(() => client.disconnect(true), blockMs + GRACE_MS)
    const [name, ...args] = command
    try {
      return await client.callBuffer(name, ...args)
    } catch (error) {
      throw redisFailure(shown, error, keyOf(name, args))
    } finally {
      clearTimeout(watch)
    }
  }

  async #ready(): Promise<RedisClient> {
    const client = (this.#client ??= this.#open())
    if (client.status === 'wait') client.connect().catch(() => undefined)
    if (client.status !== 'ready') await this.#untilReady(client)
    return client
  }

  #open(): RedisClient {
    const client = this.#connection.duplicate()
    // Its reads last as long as they are asked to; `#run` watches over them.
    Object.assign(client.options, { commandTimeout: undefined, socketTimeout: undefined })
    client.on('error', () => undefined)
    client.on('close', () => (this.#clientId = undefined))
    if (this.#connection.isCluster) return client
    client.on('ready', () => {
      client.call('CLIENT', 'ID').then(
        (id) => (this.#clientId = Number(id)),
        () => undefined,
      )
    })
    return client
  }

  async #untilReady(client: RedisClient): Promise<void> {
    // What keeps the other connection from standing keeps this one, and it has the words for it.
    await this.#connection.whenReady()
    const ready = new AbortController()
    let reason: unknown
    const end = (): void => ready.abort()
    const fail = (error: unknown): void => {
      reason = error
      if (isCredentialError(error)) end()
    }
    client.on('ready', end)
    client.on('end', end)
    client.on('error', fail)
    if (client.status !== 'ready') await sleep(GRACE_MS, ready.signal)
    client.off('ready', end)
    client.off('end', end)
    client.off('error', fail)
    if (client.status === 'ready') return
    if (this.#client !== client) throw new BrokerError('KIQ_TRANSPORT_FAILED', 'The transport was stopped.')
    throw redisFailure(this.#connection.shown, reason ?? new Error(`Connection is closed: status ${client.status}`))
  }
}
