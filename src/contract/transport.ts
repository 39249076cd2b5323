import type { Logger } from './logger.ts'
import type { Body, WireMessage } from './message.ts'
import type { ResultBackend, ResultRecord } from './result-backend.ts'

/**
 * What a transport can do. The conformance suite tests exactly what is claimed here; the core adapts to what is not
 * (for example: a delay on a transport without `delays` is refused with a clear error).
 */
export interface TransportCapabilities {
  /** Messages survive the end of every process of ours. */
  readonly persists: boolean
  /** A message whose worker dies is delivered again. */
  readonly redelivers: boolean
  /** `WireMessage.deliverAt` is honoured. */
  readonly delays: boolean
  /** `WireMessage.priority` is honoured within a queue. */
  readonly priorities: boolean
  /** `WireMessage.once` is honoured, in the step that accepts the message. */
  readonly deduplicates: boolean
  /** Every worker gets every message, instead of each message going to one worker. */
  readonly broadcasts: boolean
  /** A `replace` settlement is one transaction: the old message goes exactly when the new one is there. */
  readonly replacesAtomically: boolean
  /** Dead letters are kept and can be listed: {@link Transport.deadLetters} exists. */
  readonly deadLetters: boolean
  /** Queued and running tasks can be cancelled from any process: {@link Transport.cancel} exists. */
  readonly cancels: boolean
  /** Queue depths can be read: {@link Transport.inspect} exists. */
  readonly inspects: boolean
}

export interface TransportStart {
  /**
   * `worker` when this process will call {@link Transport.receive}. A transport started as `client` may be started
   * again as `worker`, never the other way round.
   */
  readonly role: 'client' | 'worker'
  /** Unique name of this worker process; what it holds is kept under this name, see {@link Transport.reclaim}. */
  readonly workerId: string
  readonly logger: Logger
  /** Queue to declare when the engine needs to know it before the first send. */
  readonly defaultQueue: string
  /**
   * A running task should stop: somebody cancelled it. May be called for tasks that this process does not run.
   * Needs `capabilities.cancels`.
   */
  readonly onCancel: (taskId: string) => void
  /** These deliveries now belong to somebody else; their settlement will be refused. */
  readonly onLeaseLost: (deliveries: readonly Delivery[]) => void
}

export interface ReceiveOptions {
  /** Queues to take from. Never empty. */
  readonly queues: readonly string[]
  /** Most deliveries to return, ≥ 1: the free slots of the caller. */
  readonly max: number
  /** Ends the wait: `receive` then resolves with `[]`, or with what it already holds, within a second. */
  readonly signal: AbortSignal
}

/** One received message. A transport may return objects with more fields; it gets the same objects back. */
export interface Delivery {
  readonly body: Body
  readonly queue: string
  /** 1 on the first delivery; counts deliveries of this message whose outcome is not known, and requeues. */
  readonly attempt: number
  /** Where the transport knows it without decoding the body. */
  readonly taskId?: string | undefined
}

/**
 * What became of a delivery.
 *
 * - `ack`: done. With `result` (only when {@link Transport.joins} said so) the result is stored in the same
 *   transaction: both happen or neither.
 * - `replace`: done, and `message` takes its place (a retry). `result` as above.
 * - `release`: not started; back to the front of its queue, the attempt does not count.
 * - `requeue`: back to its queue; the attempt counts.
 * - `dead`: to the dead letters, with the reason. `result` as above.
 */
export type Settlement =
  | { readonly kind: 'ack'; readonly delivery: Delivery; readonly result?: ResultRecord | undefined }
  | {
      readonly kind: 'replace'
      readonly delivery: Delivery
      readonly message: WireMessage
      readonly result?: ResultRecord | undefined
    }
  | { readonly kind: 'release'; readonly delivery: Delivery }
  | { readonly kind: 'requeue'; readonly delivery: Delivery }
  | {
      readonly kind: 'dead'
      readonly delivery: Delivery
      readonly reason: string
      readonly taskName?: string | undefined
      readonly result?: ResultRecord | undefined
    }

/**
 * `settled`, or `stale`: the delivery's lease went to somebody else, nothing was changed and no result was stored.
 */
export type SettleOutcome = 'settled' | 'stale'

/** A message that was given up. */
export interface DeadLetter {
  /** Names this letter in {@link DeadLetters}; unique within the transport. */
  readonly id: string
  readonly queue: string
  readonly taskId: string | undefined
  readonly taskName: string | undefined
  readonly body: Body
  readonly attempt: number
  /** Why it was given up, one sentence. */
  readonly reason: string
  /** Milliseconds since the epoch. */
  readonly diedAt: number
}

/** Which dead letters: by ids, by queue, by task, or all. */
export interface DeadLetterFilter {
  readonly ids?: readonly string[] | undefined
  readonly queue?: string | undefined
  /** Of the task with this id. */
  readonly taskId?: string | undefined
  /** Most letters to touch or list. */
  readonly limit?: number | undefined
}

export interface DeadLetters {
  /** Newest first. */
  list(filter?: DeadLetterFilter): Promise<readonly DeadLetter[]>
  /** Puts them back on their queues as if sent now, with attempt 1. Returns how many. */
  retry(filter?: DeadLetterFilter): Promise<number>
  /** Deletes them for good. Returns how many. */
  drop(filter?: DeadLetterFilter): Promise<number>
}

/** How much is in a queue. */
export interface QueueDepth {
  readonly queue: string
  /** Could be delivered now. */
  readonly ready: number
  /** Wait for their time. */
  readonly delayed: number
  /** With a worker now. */
  readonly running: number
  readonly dead: number
}

/**
 * What became of a request to cancel: `removed` from its queue before it started; `requested` from the worker that
 * runs it; `unknown`: neither queued nor running.
 */
export type CancelOutcome = 'removed' | 'requested' | 'unknown'

/**
 * Moves messages from producers to workers. Knows nothing of tasks, results, labels or middlewares.
 *
 * The seam is batched: the core collects the sends and the settlements of one turn of the event loop (and of the time
 * that an earlier batch is under way) and hands them over together; `receive` asks for as many deliveries as there are
 * free slots.
 *
 * **Leases.** A delivery is leased to the process that received it until it is settled. While that process lives the
 * transport renews the lease by itself, and not on the event loop that runs the handlers: a handler that blocks the
 * loop for a minute is not delivered twice. When the process is gone its deliveries go to others: within the lease time,
 * or at once when {@link Transport.reclaim} is called by somebody who knows that it died.
 *
 * **Fencing.** A delivery that went to somebody else cannot be settled any more by the first holder: `stale`.
 *
 * **Failure.** `send`, `receive` and `settle` reject with {@link BrokerError} when the engine cannot be reached; the
 * core retries `receive` and `settle` with backoff. A transport reconnects by itself.
 */
export interface Transport {
  /** Short name for logs, for example `sqlite`. */
  readonly name: string
  readonly capabilities: TransportCapabilities
  start(options: TransportStart): Promise<void>
  /** Hands back what is still held, ends renewal and closes what `start` opened. Calling it twice is harmless. */
  stop(): Promise<void>
  /**
   * Resolves after the engine accepted every message, else rejects: with {@link PartialSendError} when some were
   * accepted, with another error when none was.
   *
   * @param options.signal - Aborts when the caller gives up; the transport then rejects soon.
   */
  send(messages: readonly WireMessage[], options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /** Waits for at least one delivery, or for the end of `signal`. Called by one loop at a time. */
  receive(options: ReceiveOptions): Promise<readonly Delivery[]>
  /** @returns One outcome per settlement, in their order. */
  settle(settlements: readonly Settlement[]): Promise<readonly SettleOutcome[]>
  /** True when results of that backend can be written in the transaction that settles: see {@link Settlement}. */
  joins?(backend: ResultBackend): boolean
  /** Hands back at once what a dead worker held. Only for callers who know that the process is gone. */
  reclaim?(workerId: string): Promise<number>
  cancel?(taskId: string): Promise<CancelOutcome>
  inspect?(): Promise<readonly QueueDepth[]>
  readonly deadLetters?: DeadLetters
}
