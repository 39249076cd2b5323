import { ConfigError, silentLogger } from '../../contract/index.ts'
import type { Body, Logger, ResultBackend, ResultBackendCapabilities, ResultRecord } from '../../contract/index.ts'
import { ResultStore } from './result-store.ts'

/** Default of {@link MemoryResultBackendOptions.maxStoredResults}. */
export const DEFAULT_MAX_STORED_RESULTS = 100

export interface MemoryResultBackendOptions {
  /**
   * Results kept, ≥ 1, and as many progress records; the oldest are dropped first. -1 = no limit, other than their time
   * to live. Whoever is subscribed gets the result, however many come after it; whoever asks later may come too late.
   *
   * @defaultValue `100`, {@link DEFAULT_MAX_STORED_RESULTS}, as Taskiq
   */
  readonly maxStoredResults?: number | undefined
}

interface Subscription {
  readonly taskId: string
  readonly listener: (body: Body) => void
  /** What the listener will be called with; `undefined` = not there yet. */
  body: Body | undefined
  ended: boolean
}

/**
 * Keeps results and progress in this object, for one process.
 *
 * Subscribers are told in a later macrotask than the save, so that the worker's `postSave` hooks come first. Expired
 * records go when they are read or when others are saved; no timer keeps the process alive.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when `maxStoredResults` is neither a whole number ≥ 1 nor -1.
 */
export class MemoryResultBackend implements ResultBackend {
  readonly capabilities: ResultBackendCapabilities = { expires: true, notifies: true, progress: true }

  readonly #results: ResultStore
  readonly #progress: ResultStore
  readonly #subscriptions = new Map<string, Set<Subscription>>()
  #ready: Subscription[] = []
  #logger: Logger = silentLogger

  constructor({ maxStoredResults = DEFAULT_MAX_STORED_RESULTS }: MemoryResultBackendOptions = {}) {
    if (maxStoredResults !== -1 && !(Number.isInteger(maxStoredResults) && maxStoredResults >= 1)) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `\`maxStoredResults\` is ${maxStoredResults}. Use a whole number of at least 1, or -1 for no limit.`,
      )
    }
    const maxKept = maxStoredResults === -1 ? Infinity : maxStoredResults
    this.#results = new ResultStore(maxKept)
    this.#progress = new ResultStore(maxKept)
  }

  async start({ logger }: { readonly logger: Logger }): Promise<void> {
    this.#logger = logger
  }

  async stop(): Promise<void> {
    for (const subscriptions of this.#subscriptions.values()) {
      for (const subscription of subscriptions) subscription.ended = true
    }
    for (const subscription of this.#ready) subscription.ended = true
    this.#subscriptions.clear()
  }

  async save(records: readonly ResultRecord[]): Promise<void> {
    this.put(records)
  }

  /**
   * {@link MemoryResultBackend.save} within the same synchronous step, for the transport that joins.
   *
   * @internal
   */
  put(records: readonly ResultRecord[]): void {
    const now = Date.now()
    for (const record of records) {
      this.#results.put(record, now)
      if (this.#subscriptions.size > 0) this.#fulfil(record)
    }
  }

  async get(taskIds: readonly string[]): Promise<readonly (Body | undefined)[]> {
    const now = Date.now()
    return taskIds.map((taskId) => this.#results.get(taskId, now))
  }

  async forget(taskIds: readonly string[]): Promise<void> {
    for (const taskId of taskIds) {
      this.#results.delete(taskId)
      this.#progress.delete(taskId)
    }
  }

  subscribe(taskId: string, listener: (body: Body) => void): () => void {
    const subscription: Subscription = { taskId, listener, body: this.#results.get(taskId, Date.now()), ended: false }
    if (subscription.body === undefined) this.#remember(subscription)
    else this.#notifySoon(subscription)
    return () => {
      subscription.ended = true
      this.#forgetSubscription(subscription)
    }
  }

  async setProgress(record: ResultRecord): Promise<void> {
    this.#progress.put(record, Date.now())
  }

  async getProgress(taskId: string): Promise<Body | undefined> {
    return this.#progress.get(taskId, Date.now())
  }

  #fulfil({ taskId, body }: ResultRecord): void {
    const subscriptions = this.#subscriptions.get(taskId)
    if (subscriptions === undefined) return
    this.#subscriptions.delete(taskId)
    for (const subscription of subscriptions) {
      // The body is kept here: the record may be dropped for others before the listener is called.
      subscription.body = body
      this.#notifySoon(subscription)
    }
  }

  #remember(subscription: Subscription): void {
    const subscriptions = this.#subscriptions.get(subscription.taskId)
    if (subscriptions) subscriptions.add(subscription)
    else this.#subscriptions.set(subscription.taskId, new Set([subscription]))
  }

  #forgetSubscription(subscription: Subscription): void {
    const subscriptions = this.#subscriptions.get(subscription.taskId)
    if (subscriptions?.delete(subscription) && subscriptions.size === 0) {
      this.#subscriptions.delete(subscription.taskId)
    }
  }

  #notifySoon(subscription: Subscription): void {
    this.#ready.push(subscription)
    if (this.#ready.length === 1) setImmediate(this.#notify)
  }

  readonly #notify = (): void => {
    const ready = this.#ready
    this.#ready = []
    for (const { ended, listener, taskId, body } of ready) {
      if (ended || body === undefined) continue
      try {
        listener(body)
      } catch (error) {
        this.#logger.error({ err: error, taskId }, 'A listener for a result threw; the others are still told.')
      }
    }
  }
}
