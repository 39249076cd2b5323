import { BrokerError, ConfigError, systemClock } from '../../contract/index.ts'
import type {
  CancelOutcome,
  Clock,
  DeadLetters,
  Delivery,
  QueueDepth,
  ReceiveOptions,
  ResultBackend,
  ResultRecord,
  SettleOutcome,
  Settlement,
  Transport,
  TransportCapabilities,
  TransportStart,
  WireMessage,
} from '../../contract/index.ts'
import { Heap } from '../../util/heap.ts'
import { MemoryDeadLetters } from './dead-letters.ts'
import { Entry, EntryList } from './entry.ts'
import { ReadyQueue } from './ready-queue.ts'
import type { MemoryResultBackend } from './result-backend.ts'
import { SentOnce } from './sent-once.ts'

/** Default of {@link MemoryTransportOptions.maxMessages}. */
export const DEFAULT_MAX_MESSAGES = 1_000_000

/** Default of {@link MemoryTransportOptions.maxDeadLetters}. */
export const DEFAULT_MAX_DEAD_LETTERS = 10_000

export interface MemoryTransportOptions {
  /**
   * Messages that may wait in all queues together, delayed ones included, ≥ 1. A send that would exceed it is refused
   * as a whole. `Infinity` = no limit: a producer that outruns its workers then ends the process for want of memory.
   *
   * @defaultValue `1_000_000`, {@link DEFAULT_MAX_MESSAGES}
   */
  readonly maxMessages?: number | undefined
  /**
   * Dead letters kept, ≥ 1; the oldest is dropped for one more.
   *
   * @defaultValue `10_000`, {@link DEFAULT_MAX_DEAD_LETTERS}
   */
  readonly maxDeadLetters?: number | undefined
  /** Results of this backend are stored in the step that settles; see {@link MemoryTransport.joins}. */
  readonly results?: MemoryResultBackend | undefined
  /**
   * When delayed messages are due.
   *
   * @defaultValue the system's
   */
  readonly clock?: Clock | undefined
}

interface Waiter {
  readonly options: ReceiveOptions
  readonly end: (deliveries: readonly Delivery[]) => void
}

interface Delayed {
  readonly deliverAt: number
  /** Equal times leave in the order in which they came. */
  readonly sequence: number
  readonly entry: Entry
}

/** Queues that may be known before idle ones are forgotten: their names may come from users, without end. */
const FIRST_QUEUE_SWEEP = 1_000

/**
 * Keeps messages in this object, for producers and workers of one process: for tests, and for programs that need no
 * second process. Nothing survives the process.
 *
 * Guarantees: first in, first out within a priority; what a worker held when the transport stops is delivered again
 * after the next start of the same object, as a further attempt. A message becomes visible to `receive` in a later
 * macrotask than its `send`, so that the producer's `postSend` hooks come before the worker's `preExecute`.
 *
 * Of several queues each has its turn to be emptied first. A waiting `receive` keeps the process alive only while a
 * delayed message is due later.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when a limit is not a whole number ≥ 1 or `Infinity`.
 */
export class MemoryTransport implements Transport {
  readonly name: string = 'memory'
  readonly capabilities: TransportCapabilities = {
    persists: false,
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
  readonly deadLetters: DeadLetters

  readonly #maxMessages: number
  readonly #results: MemoryResultBackend | undefined
  readonly #dead: MemoryDeadLetters
  readonly #queues = new Map<string, ReadyQueue>()
  readonly #delayed = new Heap<Delayed>(comesBefore)
  readonly #running = new EntryList()
  readonly #waiters = new Set<Waiter>()
  readonly #once = new SentOnce()
  #queueSweepAt = FIRST_QUEUE_SWEEP
  #sequence = 0
  /** Messages in queues, delayed ones included. */
  #waitingCount = 0
  #turn = 0
  #start: TransportStart | undefined
  #publishing = false
  readonly #clock: Clock
  #stopTimer: (() => void) | undefined
  #timerAt = Infinity

  constructor(options: MemoryTransportOptions = {}) {
    this.#maxMessages = limit('maxMessages', options.maxMessages ?? DEFAULT_MAX_MESSAGES)
    this.#results = options.results
    this.#clock = options.clock ?? systemClock
    this.#dead = new MemoryDeadLetters({
      maxLetters: limit('maxDeadLetters', options.maxDeadLetters ?? DEFAULT_MAX_DEAD_LETTERS),
      resend: (entry) => {
        this.#append(new Entry(entry, 1))
        this.#publishSoon()
      },
    })
    this.deadLetters = this.#dead
  }

  async start(options: TransportStart): Promise<void> {
    if (this.#start?.role === 'worker' && options.role === 'client') return
    this.#start = options
  }

  async stop(): Promise<void> {
    this.#start = undefined
    for (const waiter of this.#waiters) waiter.end([])
    for (const entry of [...this.#running].reverse()) {
      this.#running.remove(entry)
      this.#prepend(new Entry(entry, entry.attempt + 1))
    }
  }

  async send(messages: readonly WireMessage[], options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    this.#assertStarted('send')
    if (options?.signal?.aborted) {
      throw new BrokerError('KIQ_SEND_FAILED', 'The send was given up before it began. Send again.', {
        cause: options.signal.reason,
      })
    }
    if (this.#waitingCount + messages.length > this.#maxMessages) throw this.#full(messages.length)
    for (const message of messages) {
      if (message.once === undefined || this.#once.accept(message.queue, message.once)) this.#accept(message)
    }
    if (messages.length > 0) this.#publishSoon()
  }

  async receive(options: ReceiveOptions): Promise<readonly Delivery[]> {
    this.#assertStarted('receive')
    if (options.signal.aborted) return []
    if (!this.#publishing) {
      const taken = this.#take(options)
      if (taken.length > 0) return taken
    }
    return await this.#wait(options)
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleOutcome[]> {
    if (this.#results === undefined) assertNoResults(settlements)
    const records: ResultRecord[] = []
    const released: Entry[] = []
    const outcomes = settlements.map((settlement) => this.#settle(settlement, records, released))
    // Backwards, so that several that go to the front keep their order.
    for (const entry of released.reverse()) this.#prepend(new Entry(entry, entry.attempt))
    if (records.length > 0) this.#results?.put(records)
    return outcomes
  }

  /** True for the backend that was given as `results`. */
  joins(backend: ResultBackend): boolean {
    return backend === this.#results
  }

  async cancel(taskId: string): Promise<CancelOutcome> {
    let removed = this.#delayed.extract(({ entry }) => entry.taskId === taskId).length
    for (const queue of this.#queues.values()) removed += queue.removeTask(taskId)
    this.#waitingCount -= removed
    for (const entry of this.#running) {
      if (entry.taskId !== taskId) continue
      this.#start?.onCancel(taskId)
      return 'requested'
    }
    return removed > 0 ? 'removed' : 'unknown'
  }

  async inspect(): Promise<readonly QueueDepth[]> {
    this.#promote()
    const count = (entries: Iterable<Entry>, queue: string): number =>
      [...entries].filter((entry) => entry.queue === queue).length
    const delayed = [...this.#delayed].map((item) => item.entry)
    const names = new Set([...this.#queues.keys(), ...this.#dead.queues()])
    if (this.#start) names.add(this.#start.defaultQueue)
    return [...names].map((queue) => ({
      queue,
      ready: this.#queues.get(queue)?.size ?? 0,
      delayed: count(delayed, queue),
      running: count(this.#running, queue),
      dead: this.#dead.countOf(queue),
    }))
  }

  #settle(settlement: Settlement, records: ResultRecord[], released: Entry[]): SettleOutcome {
    const { delivery } = settlement
    if (!(delivery instanceof Entry) || delivery.list !== this.#running) return 'stale'
    this.#running.remove(delivery)
    switch (settlement.kind) {
      case 'ack':
        break
      case 'replace':
        this.#accept(settlement.message)
        this.#publishSoon()
        break
      case 'release':
        released.push(delivery)
        this.#publishSoon()
        return 'settled'
      case 'requeue':
        this.#append(new Entry(delivery, delivery.attempt + 1))
        this.#publishSoon()
        return 'settled'
      case 'dead':
        this.#dead.bury(delivery, settlement)
        break
      default:
        return settlement satisfies never
    }
    if (settlement.result !== undefined) records.push(settlement.result)
    return 'settled'
  }

  #accept(message: WireMessage): void {
    const entry = new Entry(message, 1)
    const { deliverAt } = message
    if (deliverAt === undefined || deliverAt <= this.#clock.now()) {
      this.#append(entry)
      return
    }
    this.#delayed.push({ deliverAt, sequence: this.#sequence, entry })
    this.#sequence += 1
    this.#waitingCount += 1
  }

  #append(entry: Entry): void {
    this.#queue(entry.queue).append(entry)
    this.#waitingCount += 1
  }

  #prepend(entry: Entry): void {
    this.#queue(entry.queue).prepend(entry)
    this.#waitingCount += 1
  }

  #queue(name: string): ReadyQueue {
    const known = this.#queues.get(name)
    if (known) return known
    if (this.#queues.size >= this.#queueSweepAt) this.#forgetIdleQueues()
    const queue = new ReadyQueue()
    this.#queues.set(name, queue)
    return queue
  }

  #forgetIdleQueues(): void {
    for (const [name, queue] of this.#queues) {
      if (queue.size === 0) this.#queues.delete(name)
    }
    this.#queueSweepAt = Math.max(FIRST_QUEUE_SWEEP, 2 * this.#queues.size)
  }

  /** Moves what is due from the delayed to the ready ones. */
  #promote(): void {
    const now = this.#clock.now()
    for (
      let first = this.#delayed.peek();
      first !== undefined && first.deliverAt <= now;
      first = this.#delayed.peek()
    ) {
      this.#delayed.pop()
      this.#queue(first.entry.queue).append(first.entry)
    }
  }

  #take({ queues, max }: ReceiveOptions): Entry[] {
    if (this.#delayed.size > 0) this.#promote()
    const taken: Entry[] = []
    const start = this.#turn % queues.length
    this.#turn += 1
    for (let offset = 0; offset < queues.length && taken.length < max; offset += 1) {
      const queue = this.#queues.get(queues[(start + offset) % queues.length] as string)
      if (queue === undefined) continue
      for (let entry = queue.shift(); entry !== undefined; entry = taken.length < max ? queue.shift() : undefined) {
        this.#running.append(entry)
        taken.push(entry)
      }
    }
    this.#waitingCount -= taken.length
    return taken
  }

  #wait(options: ReceiveOptions): Promise<readonly Delivery[]> {
    return new Promise((resolve) => {
      const { signal } = options
      const abort = (): void => waiter.end([])
      const waiter: Waiter = {
        options,
        end: (deliveries) => {
          this.#waiters.delete(waiter)
          signal.removeEventListener('abort', abort)
          if (this.#waiters.size === 0) this.#setTimer(Infinity)
          resolve(deliveries)
        },
      }
      signal.addEventListener('abort', abort, { once: true })
      this.#waiters.add(waiter)
      this.#setTimer(this.#delayed.peek()?.deliverAt ?? Infinity)
    })
  }

  /** Lets `receive` see, in a later macrotask, what was put on a queue in this one. */
  #publishSoon(): void {
    if (this.#publishing) return
    this.#publishing = true
    setImmediate(this.#publish)
  }

  readonly #publish = (): void => {
    this.#publishing = false
    this.#serve()
  }

  #serve(): void {
    for (const waiter of this.#waiters) {
      const taken = this.#take(waiter.options)
      if (taken.length > 0) waiter.end(taken)
    }
    if (this.#waiters.size > 0) this.#setTimer(this.#delayed.peek()?.deliverAt ?? Infinity)
  }

  /** One timer for all delayed messages, and only while somebody waits for them. */
  #setTimer(at: number): void {
    if (at === this.#timerAt) return
    this.#stopTimer?.()
    this.#timerAt = at
    if (at === Infinity) return
    this.#stopTimer = this.#clock.schedule(at - this.#clock.now(), () => {
      this.#timerAt = Infinity
      this.#serve()
    })
  }

  #assertStarted(action: string): void {
    if (this.#start) return
    throw new ConfigError(
      'KIQ_BROKER_NOT_STARTED',
      `The memory transport cannot ${action}: it is not started, or was stopped. Call start() first.`,
    )
  }

  #full(added: number): BrokerError {
    return new BrokerError(
      'KIQ_SEND_FAILED',
      `The memory transport holds ${this.#waitingCount} messages and takes ${this.#maxMessages} at most (maxMessages); ` +
        `${added} more were refused. Start workers for their queues, send more slowly, or raise \`maxMessages\`.`,
    )
  }
}

function comesBefore(a: Delayed, b: Delayed): boolean {
  return a.deliverAt < b.deliverAt || (a.deliverAt === b.deliverAt && a.sequence < b.sequence)
}

function limit(option: string, value: number): number {
  if (value === Infinity || (Number.isInteger(value) && value >= 1)) return value
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `\`${option}\` is ${value}. Use a whole number of at least 1, or Infinity for no limit.`,
  )
}

function assertNoResults(settlements: readonly Settlement[]): void {
  for (const settlement of settlements) {
    if (!('result' in settlement) || settlement.result === undefined) continue
    throw new ConfigError(
      'KIQ_UNSUPPORTED',
      `A settlement carries the result of task ${settlement.result.taskId}, but this memory transport joins no result ` +
        'backend. Give it one: `new MemoryTransport({ results })`, or save the result before settling.',
    )
  }
}
