import type { Logger } from './logger.ts'
import type { Body } from './message.ts'
import type { Serializer } from './serializer.ts'

/** What a result backend can do; tested as claimed. */
export interface ResultBackendCapabilities {
  /** Records disappear after their `ttlMs`. */
  readonly expires: boolean
  /** {@link ResultBackend.subscribe} exists: waiters are told instead of asking again and again. */
  readonly notifies: boolean
  /** Progress is kept. */
  readonly progress: boolean
}

/** A result on its way to the backend, already serialized. */
export interface ResultRecord {
  readonly taskId: string
  readonly body: Body
  /** Milliseconds the record is kept; `undefined` = for ever. */
  readonly ttlMs?: number | undefined
}

/**
 * Keeps the results of tasks, and their progress, under the task's id. Deals in bytes: the core encodes and decodes.
 *
 * A later `save` of the same id replaces the earlier one. All methods reject with {@link ResultError}
 * `KIQ_RESULT_BACKEND_FAILED` when the engine cannot be reached; the core retries a failed `save` until it succeeds and
 * acks no message before.
 */
export interface ResultBackend {
  readonly capabilities: ResultBackendCapabilities
  /** Format of the records; the broker's serializer when absent. */
  readonly serializer?: Serializer | undefined
  /**
   * Format of the answer to one message, by the message's own bytes, for backends that answer each peer in its own;
   * {@link ResultBackend.serializer} must read them all.
   */
  serializerFor?(request: Body): Serializer
  /** Milliseconds that records of tasks without a time of their own are kept; the broker's `resultTtl` when absent. */
  readonly defaultTtlMs?: number | undefined
  start(options: { readonly logger: Logger }): Promise<void>
  /** Calling it twice is harmless. Waiters that are still subscribed are not called any more. */
  stop(): Promise<void>
  /** All records or none. */
  save(records: readonly ResultRecord[]): Promise<void>
  /** @returns One entry per id, in order; `undefined` = not, or no longer, there. */
  get(taskIds: readonly string[]): Promise<readonly (Body | undefined)[]>
  /** Whether there are records, without reading them; {@link ResultBackend.get} is asked when absent. */
  has?(taskIds: readonly string[]): Promise<readonly boolean[]>
  /** Forgets results and progress. */
  forget(taskIds: readonly string[]): Promise<void>
  /**
   * Calls `listener` once with the record as soon as it is there, also when it is there already. Never calls it before
   * this method has returned.
   *
   * @returns Ends the subscription; harmless after the call.
   */
  subscribe?(taskId: string, listener: (body: Body) => void): () => void
  /** Replaces the progress of a task. Kept for `ttlMs`, and beyond the end of the task. */
  setProgress(record: ResultRecord): Promise<void>
  getProgress(taskId: string): Promise<Body | undefined>
}
