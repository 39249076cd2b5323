import { inspect } from 'node:util'

import { ConfigError } from '../../contract/index.ts'
import type {
  Delivery,
  Logger,
  ReceiveOptions,
  SettleOutcome,
  Settlement,
  Transport,
  TransportCapabilities,
  TransportStart,
  WireMessage,
} from '../../contract/index.ts'
import { MAX_TIMER_MS, sleep } from '../../util/abort.ts'
import { argumentOf } from './client.ts'
import type { RedisConnection } from './connection.ts'
import { RedisDelivery } from './delivery.ts'
import { isCredentialError, redisFailure } from './failure.ts'
import { queueKeys } from './keys.ts'
import { PlacedList } from '../../util/placed-list.ts'
import { notStarted } from './leased-transport.ts'
import type { RedisOptions } from './options.ts'
import { PubSubBuffer } from './pubsub-buffer.ts'
import type { Waiting } from './pubsub-buffer.ts'
import type { RedisAddress } from './registry.ts'
import { addressOf } from './registry.ts'
import { PUBLISH_ALL, PUBLISH_ONCE } from './scripts/publish.ts'
import { sendByQueue } from './send-by-queue.ts'
import { hasOnce, onceArguments, onceKeys } from './send-once.ts'

export const DEFAULT_BUFFER_SIZE = 10_000

/** Longest wait for a subscription on a connection that stands. */
const SUBSCRIBE_MS = 10_000

export interface RedisPubSubTransportOptions extends RedisOptions {
  /**
   * Most messages of one queue that wait in this process for a free slot. When more come, the oldest is dropped, which is
   * logged as an error at most once a second: of what is told to everybody, the latest counts. At least 1.
   *
   * @defaultValue `10_000`
   */
  readonly bufferSize?: number | undefined
}

/** What exists between start and stop. */
interface Started {
  readonly connection: RedisConnection
  readonly logger: Logger
  readonly unlisten: () => void
  isWorker: boolean
}

/** One subscribed queue. */
interface Subscription {
  readonly buffer: PubSubBuffer
  readonly hear: (message: Buffer) => void
}

/**
 * Transport on Redis channels, in the layout of Taskiq's `PubSubBroker`: a message is its body, published on the channel
 * of its queue, and every worker gets every message. Workers and producers of Python and of Kiq share it.
 *
 * At most once: what is published while a worker does not listen (before its first `receive`, between two connections, or
 * after its end) never reaches it, and what it holds when it dies is lost. `release`, `requeue` and a `replace` on the same
 * queue put the message back into this process: the others have their own. A `replace` for another queue is published, and
 * `dead` only logs. There are no delays, priorities, dead letters or cancels.
 */
export class RedisPubSubTransport implements Transport {
  readonly name = 'redis-pubsub'
  readonly capabilities: TransportCapabilities = {
    persists: false,
    redelivers: false,
    delays: false,
    priorities: false,
    deduplicates: true,
    broadcasts: true,
    replacesAtomically: false,
    deadLetters: false,
    cancels: false,
    inspects: false,
  }
  readonly #address: RedisAddress
  readonly #bufferSize: number
  readonly #held = new PlacedList<RedisDelivery>()
  /** Replacements that are published, should the settlement be tried again. */
  readonly #replaced = new WeakSet<RedisDelivery>()
  readonly #subscriptions = new Map<string, Subscription>()
  #started: Started | undefined
  #turn = 0
  #wake: () => void = () => undefined

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense. */
  constructor(options: RedisPubSubTransportOptions) {
    const { bufferSize = DEFAULT_BUFFER_SIZE } = options
    if (!Number.isSafeInteger(bufferSize) || bufferSize < 1) {
      throw new ConfigError('KIQ_CONFIG_INVALID', `\`bufferSize\` is ${inspect(bufferSize)}. Use a whole number ≥ 1.`)
    }
    this.#address = addressOf(options)
    this.#bufferSize = bufferSize
  }

  /**
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for refused credentials, `KIQ_PEER_MISSING` without a driver.
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` when Redis cannot be reached.
   */
  async start({ role, logger }: TransportStart): Promise<void> {
    if (this.#started === undefined) {
      const connection = this.#address.connection()
      await connection.acquire()
      const unlisten = connection.hub.onChanged(() => this.#wake())
      this.#started = { connection, logger, unlisten, isWorker: false }
    }
    if (role === 'worker') this.#started.isWorker = true
  }

  async stop(): Promise<void> {
    const started = this.#started
    if (started === undefined) return
    this.#started = undefined
    started.unlisten()
    for (const [queue, { buffer, hear }] of this.#subscriptions) {
      started.connection.hub.unsubscribe(queue, hear)
      buffer.close()
    }
    this.#subscriptions.clear()
    this.#held.clear()
    this.#wake()
    await started.connection.release()
  }

  async send(
    messages: readonly WireMessage[],
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const { connection } = this.#begun()
    options.signal?.throwIfAborted()
    await sendByQueue(connection, messages, (queue, group) => publish(connection, queue, group), options.signal)
  }

  async receive({ queues, max, signal }: ReceiveOptions): Promise<readonly Delivery[]> {
    const started = this.#begun()
    if (!started.isWorker) throw notStarted(this.#address.shown, 'was started as `client` and cannot receive')
    const { connection, logger } = started
    for (const queue of queues) this.#subscribe(queue, connection, logger)
    while (!signal.aborted && this.#started === started) {
      const taken = this.#take(queues, max)
      if (taken.length > 0) return taken
      if (queues.every((queue) => connection.hub.stands(queue))) await this.#change(signal, MAX_TIMER_MS)
      else await this.#listen(connection, queues, signal)
    }
    return []
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleOutcome[]> {
    const { connection, logger } = this.#begun()
    const own = this.#own(settlements)
    // What can fail comes first: then nothing is settled, and the call is made again.
    await Promise.all(
      own.map(async (settlement) => {
        if (settlement?.kind !== 'replace' || settlement.message.queue === settlement.delivery.queue) return
        const delivery = RedisDelivery.of(settlement.delivery)
        if (this.#replaced.has(delivery)) return
        await publish(connection, settlement.message.queue, [settlement.message])
        this.#replaced.add(delivery)
      }),
    )
    const outcomes = own.map((settlement): SettleOutcome => {
      const delivery = settlement && RedisDelivery.of(settlement.delivery)
      if (delivery === undefined || !this.#held.has(delivery)) return 'stale'
      this.#held.delete(delivery)
      this.#apply(settlement as Settlement, logger)
      return 'settled'
    })
    this.#wake()
    return outcomes
  }

  /** Those whose delivery is held, and has not had one before in this call. */
  #own(settlements: readonly Settlement[]): readonly (Settlement | undefined)[] {
    const seen = new Set<Delivery>()
    return settlements.map((settlement) => {
      const delivery = RedisDelivery.of(settlement.delivery)
      if (seen.has(delivery) || !this.#held.has(delivery)) return undefined
      seen.add(delivery)
      return settlement
    })
  }

  #apply(settlement: Settlement, logger: Logger): void {
    const { queue, body, attempt } = settlement.delivery
    const buffer = this.#subscriptions.get(queue)?.buffer
    switch (settlement.kind) {
      case 'ack':
        return
      case 'replace':
        if (settlement.message.queue === queue) buffer?.putLast({ body: settlement.message.body, attempt: 1 })
        return
      case 'release':
        buffer?.putFirst({ body, attempt })
        return
      case 'requeue':
        buffer?.putLast({ body, attempt: attempt + 1 })
        return
      case 'dead': {
        const { reason, taskName, delivery } = settlement
        logger.error(
          { queue, taskName, taskId: delivery.taskId, reason },
          `A message of queue "${queue}" was given up, and channels keep no dead letters: ${reason}`,
        )
      }
    }
  }

  #subscribe(queue: string, { hub }: RedisConnection, logger: Logger): void {
    if (hub.stands(queue) && this.#subscriptions.has(queue)) return
    const subscription = this.#subscriptions.get(queue) ?? this.#makeSubscription(queue, logger)
    this.#subscriptions.set(queue, subscription)
    void hub.subscribe(queue, subscription.hear)
  }

  #makeSubscription(queue: string, logger: Logger): Subscription {
    const buffer = new PubSubBuffer(queue, { capacity: this.#bufferSize, logger })
    const hear = (message: Buffer): void => {
      buffer.add(message)
      this.#wake()
    }
    return { buffer, hear }
  }

  /** Waits for the subscriptions; something else may end the wait. */
  async #listen(connection: RedisConnection, queues: readonly string[], signal: AbortSignal): Promise<void> {
    const isStanding = (): boolean => queues.every((queue) => connection.hub.stands(queue))
    const isOver = (): boolean => signal.aborted || this.#started === undefined
    try {
      await connection.whenReady(signal)
    } catch (error) {
      if (isOver()) return
      throw error
    }
    const startedAt = performance.now()
    while (!isStanding() && !isOver()) {
      const leftMs = startedAt + SUBSCRIBE_MS - performance.now()
      const { failure } = connection.hub
      if (leftMs <= 0 || isCredentialError(failure)) {
        const reason = failure ?? new Error('Connection is closed: no subscription within 10 s')
        throw redisFailure(this.#address.shown, reason)
      }
      await this.#change(signal, leftMs)
    }
  }

  /** Resolves at the next event of any kind, or after that time. */
  async #change(signal: AbortSignal, ms: number): Promise<void> {
    const changed = new AbortController()
    const wake = (): void => changed.abort()
    this.#wake = wake
    signal.addEventListener('abort', wake, { once: true })
    if (!signal.aborted) await sleep(ms, changed.signal)
    signal.removeEventListener('abort', wake)
  }

  /** Takes from the queues in turns. */
  #take(queues: readonly string[], max: number): readonly RedisDelivery[] {
    const deliveries: RedisDelivery[] = []
    this.#turn += 1
    for (let empty = 0; empty < queues.length && deliveries.length < max; this.#turn += 1) {
      const queue = queues[this.#turn % queues.length] ?? ''
      const waiting = this.#subscriptions.get(queue)?.buffer.take()
      if (waiting === undefined) {
        empty += 1
        continue
      }
      empty = 0
      deliveries.push(this.#deliver(queue, waiting))
    }
    return deliveries
  }

  #deliver(queue: string, { body, attempt }: Waiting): RedisDelivery {
    const delivery = new RedisDelivery(
      { queue, source: 'q', consumer: '' },
      { id: '', attempt, body, taskId: undefined },
    )
    this.#held.add(delivery)
    return delivery
  }

  #begun(): Started {
    if (this.#started) return this.#started
    throw notStarted(this.#address.shown, 'is not started')
  }
}

async function publish(connection: RedisConnection, queue: string, messages: readonly WireMessage[]): Promise<void> {
  if (hasOnce(messages)) {
    const args = messages.flatMap((message) => [argumentOf(message.body), ...onceArguments(message)])
    await connection.run(PUBLISH_ONCE, [queue, ...onceKeys(queueKeys(queue).publishedOnce, messages)], args)
    return
  }
  const bodies = messages.map(({ body }) => argumentOf(body))
  const [only] = bodies
  if (bodies.length === 1 && only !== undefined && !connection.isCluster) await connection.call('PUBLISH', queue, only)
  else await connection.run(PUBLISH_ALL, [queue], bodies)
}
