import { ConfigError } from '../../contract/index.ts'
import type {
  CancelOutcome,
  DeadLetters,
  Delivery,
  QueueDepth,
  ReceiveOptions,
  ResultBackend,
  SettleOutcome,
  Settlement,
  Transport,
  TransportCapabilities,
  TransportStart,
  WireMessage,
} from '../../contract/index.ts'
import { Canceller } from './canceller.ts'
import { RedisDeadLetters } from './dead-letters.ts'
import type { RedisDelivery } from './delivery.ts'
import { PlacedList } from '../../util/placed-list.ts'
import { CANCEL_CHANNEL, CONSUMER_PREFIX } from './keys.ts'
import type { QueueKeys } from './keys.ts'
import type { ClientContext, ClientParts, Layout, MessageReceiver } from './layout.ts'
import type { RedisAddress } from './registry.ts'
import { RedisResultBackend } from './result-backend.ts'
import type { ResultPlace } from './result-place.ts'
import { Sessions } from './sessions.ts'

/** What exists between start and stop. */
interface Started extends ClientContext, ClientParts {
  readonly canceller: Canceller
}

/** What exists besides in a worker. */
interface WorkerParts {
  readonly sessions: Sessions
  readonly receiver: MessageReceiver
  readonly onCancel: (message: Buffer) => void
  /** Ends the sessions of a worker that has stopped. */
  readonly resting: NodeJS.Timeout
}

/** Longest wait at the start for requests to cancel to be heard; without them the worker can do its work. */
const SUBSCRIBE_MS = 2_000
/** Time between looks at whether this worker still works. */
const REST_MS = 500
/** So many that find nothing in a row, and it does not. */
const REST_LOOKS = 6
const NO_RESULTS: ResultPlace = { keyPrefix: '', channelPrefix: '' }

/** What transports whose workers hold their messages have in common, however the {@link Layout} keeps them. */
export class LeasedTransport implements Transport {
  readonly name: string
  readonly capabilities: TransportCapabilities
  readonly deadLetters: DeadLetters
  readonly #address: RedisAddress
  readonly #layout: Layout
  readonly #held = new PlacedList<RedisDelivery>()
  #started: Started | undefined
  #worker: WorkerParts | undefined
  #results: ResultPlace = NO_RESULTS
  #receiving = 0
  #idleLooks = 0
  #onLeaseLost: TransportStart['onLeaseLost'] = () => undefined

  protected constructor(address: RedisAddress, layout: Layout) {
    this.name = layout.name
    this.capabilities = layout.capabilities
    this.#address = address
    this.#layout = layout
    this.deadLetters = new RedisDeadLetters({
      connection: () => this.#begun().connection,
      queues: () => this.#queues(),
      retry: layout.retry,
    })
  }

  /**
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for refused credentials, `KIQ_PEER_MISSING` without a driver.
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` when Redis cannot be reached.
   */
  async start(options: TransportStart): Promise<void> {
    const started = this.#started ?? (await this.#open(options))
    this.#started = started
    if (options.role === 'client' || this.#worker) return
    this.#onLeaseLost = options.onLeaseLost
    try {
      this.#worker = await this.#openWorker(started, options)
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.#close((sessions) => sessions.close())
  }

  /** @internal For tests: ends as kill -9 of the process would. Nothing is handed back. */
  async abandon(): Promise<void> {
    await this.#close((sessions) => sessions.abandon())
  }

  async send(
    messages: readonly WireMessage[],
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const { sender } = this.#begun()
    options.signal?.throwIfAborted()
    await sender.send(messages, options.signal)
  }

  async receive(options: ReceiveOptions): Promise<readonly Delivery[]> {
    this.#begun()
    const worker = this.#worker
    if (worker === undefined) throw this.#notStarted('was started as `client` and cannot receive')
    this.#receiving += 1
    let deliveries: readonly RedisDelivery[]
    try {
      deliveries = await worker.receiver.receive(options)
    } finally {
      this.#receiving -= 1
    }
    for (const { attempt } of deliveries) {
      if (attempt === 1) continue
      this.#tellRequested(deliveries, worker)
      break
    }
    return deliveries
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleOutcome[]> {
    return await this.#begun().settler.settle(settlements)
  }

  joins(backend: ResultBackend): boolean {
    if (!(backend instanceof RedisResultBackend) || backend.address.id !== this.#address.id) return false
    // In a cluster the key of a result lies anywhere.
    if (this.#started?.connection.isCluster !== false) return false
    this.#results = backend.place
    return true
  }

  async reclaim(workerId: string): Promise<number> {
    const { connection } = this.#begun()
    let count = 0
    for (const keys of await this.#queues()) {
      count += await this.#layout.endSessions(connection, keys, `${CONSUMER_PREFIX}${workerId}:`)
    }
    return count
  }

  async cancel(taskId: string): Promise<CancelOutcome> {
    return await this.#begun().canceller.cancel(taskId, await this.#queues())
  }

  async inspect(): Promise<readonly QueueDepth[]> {
    const { connection } = this.#begun()
    return await Promise.all((await this.#queues()).map((keys) => this.#layout.depth(connection, keys)))
  }

  async #open({ logger, defaultQueue }: TransportStart): Promise<Started> {
    const connection = this.#address.connection()
    await connection.acquire()
    const context: ClientContext = { connection, logger, held: this.#held, results: () => this.#results }
    const parts = this.#layout.open(context)
    try {
      await parts.sender.declare(defaultQueue)
    } catch (error) {
      await connection.release()
      throw error
    }
    // What another process delayed, and has not lived to see.
    parts.promoter.note(defaultQueue, Date.now())
    return { ...context, ...parts, canceller: new Canceller(connection, parts.search) }
  }

  async #openWorker(started: Started, { workerId, logger, onCancel: cancel }: TransportStart): Promise<WorkerParts> {
    const { connection } = started
    const { leaseMs, keysOf } = this.#layout
    const sessions = new Sessions({
      connection,
      scripts: this.#layout.sessions(connection),
      keysOf,
      workerId,
      leaseMs,
      logger,
      onLost: (queue, consumer) => this.#lose(queue, consumer),
    })
    await sessions.start()
    const receiver = this.#layout.openReceiver({ ...started, sessions })
    const onCancel = (message: Buffer): void => cancel(message.toString())
    await connection.hub.subscribe(CANCEL_CHANNEL, onCancel)
    await connection.hub.whenStanding(CANCEL_CHANNEL, SUBSCRIBE_MS)
    const parts = { sessions, receiver, onCancel }
    return { ...parts, resting: setInterval(() => this.#rest(parts), REST_MS).unref() }
  }

  async #close(end: (sessions: Sessions) => Promise<void>): Promise<void> {
    const [started, worker] = [this.#started, this.#worker]
    this.#started = undefined
    this.#worker = undefined
    clearInterval(worker?.resting)
    worker?.receiver.close()
    started?.promoter.stop()
    if (worker) started?.connection.hub.unsubscribe(CANCEL_CHANNEL, worker.onCancel)
    try {
      if (worker) await end(worker.sessions)
    } finally {
      this.#held.clear()
      await started?.promoter.finish()
      await started?.connection.release()
    }
  }

  /** Who neither receives nor holds anything has stopped to work; its session must not look as if it went on. */
  #rest({ sessions }: Pick<WorkerParts, 'sessions'>): void {
    this.#idleLooks = this.#receiving > 0 || this.#held.size > 0 ? 0 : this.#idleLooks + 1
    if (this.#idleLooks < REST_LOOKS) return
    sessions.rest().catch((err: unknown) => {
      this.#started?.logger.debug({ err }, 'Could not end a session; it ends with its lease.')
    })
  }

  /** Messages that are delivered again may be of tasks whose cancel their last worker did not live to hear. */
  #tellRequested(deliveries: readonly RedisDelivery[], { onCancel }: WorkerParts): void {
    const { canceller, logger } = this.#begun()
    const taskIds = deliveries.flatMap(({ attempt, taskId }) => (attempt > 1 && taskId !== undefined ? [taskId] : []))
    canceller.requested(taskIds).then(
      (requested) => {
        for (const taskId of requested) onCancel(Buffer.from(taskId))
      },
      (err: unknown) => logger.warn({ err }, 'Could not look for cancelled tasks.'),
    )
  }

  #lose(queue: string, consumer: string): void {
    const lost = this.#held.filter((delivery) => delivery.queue === queue && delivery.consumer === consumer)
    for (const delivery of lost) this.#held.delete(delivery)
    if (lost.length > 0) this.#onLeaseLost(lost)
  }

  async #queues(): Promise<readonly QueueKeys[]> {
    const names = (await this.#begun().connection.call('SMEMBERS', this.#layout.queuesKey)) as readonly string[]
    return [...names].sort().map(this.#layout.keysOf)
  }

  #begun(): Started {
    if (this.#started) return this.#started
    throw this.#notStarted('is not started')
  }

  #notStarted(what: string): ConfigError {
    return notStarted(this.#address.shown, what)
  }
}

export function notStarted(shown: string, what: string): ConfigError {
  return new ConfigError(
    'KIQ_BROKER_NOT_STARTED',
    `The Redis transport on ${shown} ${what}. Start the broker, or the worker, before you use it.`,
  )
}
