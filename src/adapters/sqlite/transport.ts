import { ConfigError, durationOption } from '../../contract/index.ts'
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
import { MAX_TIMER_MS } from '../../util/abort.ts'
import type { Duration } from '../../util/duration.ts'
import { Canceller, CancelWatch } from './cancellations.ts'
import { SqliteDeadLetters } from './dead-letters.ts'
import type { Database } from './database.ts'
import { SqliteDelivery } from './delivery.ts'
import { MessageStore } from './message-store.ts'
import { DEFAULT_BUSY_TIMEOUT_MS, synchronousOption } from './options.ts'
import type { SqliteOptions } from './options.ts'
import { resolvePath } from './open.ts'
import { queueDepths } from './queue-depths.ts'
import { acquireDatabase } from './registry.ts'
import type { DatabaseLease } from './registry.ts'
import { SqliteResultBackend } from './result-backend.ts'
import { ResultStore } from './result-store.ts'
import { settleAll } from './settle.ts'
import type { SettleParts } from './settle.ts'
import { reclaimWorker, WorkerSession } from './worker-session.ts'

export const DEFAULT_LEASE_MS = 15_000
export const DEFAULT_DEAD_LETTER_TTL_MS: number = 30 * 24 * 60 * 60 * 1000
const MIN_LEASE_MS = 100

export interface SqliteTransportOptions extends SqliteOptions {
  /**
   * How long the deliveries of a worker stay its own after it was last heard of. Renewed five times as often, in a thread
   * of its own; so it bounds how long the tasks of a lost process wait, not how long a task may run. At least 100 ms.
   *
   * @defaultValue `'15s'`
   */
  readonly lease?: Duration | undefined
  /**
   * How long dead letters are kept.
   *
   * @defaultValue `'30d'`
   */
  readonly deadLetterTtl?: Duration | undefined
}

/** What exists between start and stop. */
interface Started {
  readonly lease: DatabaseLease
  readonly database: Database
  readonly messages: MessageStore
  readonly results: ResultStore
  readonly canceller: Canceller
}

/** What exists besides in a worker. */
interface WorkerParts {
  readonly session: WorkerSession
  readonly cancelWatch: CancelWatch
}

/**
 * Transport on one SQLite file, for any number of processes of one machine. Needs no server.
 *
 * Messages are rows. A worker claims them in transactions, first those of higher priority, then in the order of sending;
 * settling, the result and a retry are one transaction. Everything survives kill -9 of any process; see
 * {@link SqliteOptions.synchronous} for power cuts.
 *
 * A delivery belongs to the session of its worker, one row that a thread renews. Sessions that are not renewed, or whose
 * process is gone from this machine, lose what they hold to the other workers; a settlement by somebody who lost it is
 * refused. A stopped or frozen process (SIGSTOP, a suspended laptop) therefore comes back harmless.
 *
 * The event loop is never blocked by a lock, and a transaction takes some milliseconds at most.
 */
export class SqliteTransport implements Transport {
  readonly name = 'sqlite'
  readonly capabilities: TransportCapabilities = {
    persists: true,
    redelivers: true,
    delays: true,
    priorities: true,
    deduplicates: true,
    broadcasts: false,
    replacesAtomically: true,
    deadLetters: true,
    cancels: true,
    inspects: true,
  }
  readonly deadLetters: DeadLetters = new SqliteDeadLetters(() => this.#begun().database)
  /** The file: absolute, symbolic links followed. */
  readonly path: string
  readonly #synchronous: 'normal' | 'full'
  readonly #busyTimeoutMs: number
  readonly #leaseMs: number
  readonly #deadLetterTtlMs: number
  readonly #connection: 'process' | 'own'
  readonly #held = new Set<SqliteDelivery>()
  /** Ends the waits of `receive`. */
  readonly #waits = new Set<() => void>()
  #onLeaseLost: TransportStart['onLeaseLost'] = () => undefined
  #started: Started | undefined
  #worker: WorkerParts | undefined
  #firstQueue = 0

  /**
   * @param internal - For tests: a connection of its own, as another process would have.
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense.
   */
  constructor(options: SqliteTransportOptions, internal: { readonly connection?: 'own' } = {}) {
    this.path = resolvePath(options.path)
    this.#synchronous = synchronousOption(options.synchronous)
    this.#busyTimeoutMs = durationOption('busyTimeout', options.busyTimeout, {
      fallbackMs: DEFAULT_BUSY_TIMEOUT_MS,
      minMs: 0,
    })
    this.#leaseMs = durationOption('lease', options.lease, { fallbackMs: DEFAULT_LEASE_MS, minMs: MIN_LEASE_MS })
    this.#deadLetterTtlMs = durationOption('deadLetterTtl', options.deadLetterTtl, {
      fallbackMs: DEFAULT_DEAD_LETTER_TTL_MS,
      minMs: 0,
    })
    this.#connection = internal.connection ?? 'process'
  }

  /**
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` when the file cannot be used (not a database, not writable, of another
   *   application, of a newer Kiq), `KIQ_PEER_MISSING` when this Node needs the driver package.
   */
  async start(options: TransportStart): Promise<void> {
    const started = this.#started ?? (await this.#open(options.logger))
    this.#started = started
    if (options.role === 'client' || this.#worker) return
    this.#onLeaseLost = options.onLeaseLost
    try {
      const session = await WorkerSession.open({
        database: started.database,
        messages: started.messages,
        workerId: options.workerId,
        leaseMs: this.#leaseMs,
        synchronous: this.#synchronous,
        logger: options.logger,
        onLost: (lost) => this.#lose(lost),
      })
      this.#worker = { session, cancelWatch: new CancelWatch(started.database, this.#held, options.onCancel) }
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.#close((session) => session.close())
  }

  /** @internal For tests: ends as kill -9 of the process would. Nothing is handed back. */
  async abandon(): Promise<void> {
    await this.#close((session) => session.abandon())
  }

  async send(
    messages: readonly WireMessage[],
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const { database, messages: store } = this.#begun()
    if (messages.length === 0) return
    await database.write(() => {
      for (const message of messages) store.send(message)
    }, options)
  }

  async receive({ queues, max, signal }: ReceiveOptions): Promise<readonly Delivery[]> {
    const { database, messages } = this.#begun()
    const worker = this.#worker
    if (worker === undefined) throw notStarted(this.path, 'was started as `client` and cannot receive')
    const isOver = (): boolean => signal.aborted || this.#worker !== worker
    while (!isOver()) {
      const since = database.waker.changes()
      const { isReady, nextReadyAt } = await database.read(() => ({
        isReady: queues.some((queue) => messages.hasReady(queue)),
        nextReadyAt: messages.nextReadyAt(),
      }))
      if (isOver()) break
      if (isReady || (nextReadyAt !== undefined && nextReadyAt <= Date.now())) {
        const claimed = await this.#claim(worker, queues, max)
        if (claimed.length > 0) return claimed
      }
      if (!isOver()) await this.#nextChange(since, nextReadyAt, signal)
    }
    return []
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleOutcome[]> {
    const { database, messages, results } = this.#begun()
    const parts: SettleParts = { database, messages, results, deadLetterTtlMs: this.#deadLetterTtlMs }
    const outcomes = await database.write(() => settleAll(parts, settlements, Date.now()))
    for (const { delivery } of settlements) this.#held.delete(SqliteDelivery.of(delivery))
    return outcomes
  }

  joins(backend: ResultBackend): boolean {
    return backend instanceof SqliteResultBackend && backend.path === this.path
  }

  async reclaim(workerId: string): Promise<number> {
    const { database, messages } = this.#begun()
    return await reclaimWorker(database, messages, workerId)
  }

  async cancel(taskId: string): Promise<CancelOutcome> {
    return await this.#begun().canceller.cancel(taskId)
  }

  async inspect(): Promise<readonly QueueDepth[]> {
    const { database } = this.#begun()
    return await database.read(() => queueDepths(database))
  }

  async #open(logger: TransportStart['logger']): Promise<Started> {
    const lease = await acquireDatabase({
      path: this.path,
      synchronous: this.#synchronous,
      busyTimeoutMs: this.#busyTimeoutMs,
      logger,
      connection: this.#connection,
    })
    const { database } = lease
    return {
      lease,
      database,
      messages: new MessageStore(database),
      results: new ResultStore(database),
      canceller: new Canceller(database),
    }
  }

  async #close(end: (session: WorkerSession) => Promise<void>): Promise<void> {
    const [started, worker] = [this.#started, this.#worker]
    this.#started = undefined
    this.#worker = undefined
    worker?.cancelWatch.stop()
    for (const wake of this.#waits) wake()
    try {
      if (worker) await end(worker.session)
    } finally {
      this.#held.clear()
      await started?.lease.release()
    }
  }

  async #claim(worker: WorkerParts, queues: readonly string[], max: number): Promise<SqliteDelivery[]> {
    const { database, messages } = this.#begun()
    const { session, cancelWatch } = worker
    this.#firstQueue += 1
    const turned = this.#firstQueue % queues.length
    const claim = await database.write(() => {
      if (!session.isValid()) return undefined
      messages.promote(Date.now())
      const claimed: SqliteDelivery[] = []
      for (let i = 0; i < queues.length && claimed.length < max; i += 1) {
        const queue = queues[(turned + i) % queues.length] as string
        claimed.push(...messages.claim(queue, session.id, max - claimed.length))
      }
      return { claimed, requested: cancelWatch.requestsFor(claimed) }
    })
    // After a stop: what was claimed last went back with the rest.
    if (this.#worker !== worker) return []
    if (claim === undefined) await session.renew()
    if (claim === undefined || claim.claimed.length === 0) return []
    for (const delivery of claim.claimed) this.#held.add(delivery)
    cancelWatch.watch(claim.requested)
    return claim.claimed
  }

  /** Resolves when the file has changed since then, when a delayed message is due, or when the wait is over. */
  #nextChange(since: number, nextReadyAt: number | undefined, signal: AbortSignal): Promise<void> {
    const { waker } = this.#begun().database
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined
      const done = (): void => {
        unlisten()
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#waits.delete(done)
        resolve()
      }
      const unlisten = waker.listen(done)
      this.#waits.add(done)
      signal.addEventListener('abort', done)
      if (nextReadyAt !== undefined) {
        timer = setTimeout(done, Math.min(Math.max(nextReadyAt - Date.now(), 0), MAX_TIMER_MS))
      }
      if (waker.changes() !== since) done()
    })
  }

  #lose(session: number): void {
    const lost = [...this.#held].filter((delivery) => delivery.session === session)
    for (const delivery of lost) this.#held.delete(delivery)
    if (lost.length > 0) this.#onLeaseLost(lost)
  }

  #begun(): Started {
    if (this.#started) return this.#started
    throw notStarted(this.path, 'is not started')
  }
}

function notStarted(path: string, what: string): ConfigError {
  return new ConfigError(
    'KIQ_BROKER_NOT_STARTED',
    `The SQLite transport on "${path}" ${what}. Start the broker, or the worker, before you use it.`,
  )
}
