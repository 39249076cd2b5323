import { KiqError } from '../contract/index.ts'
import type { Delivery, Labels, Logger, Progress, TaskMessage } from '../contract/index.ts'
import type { Duration } from '../util/duration.ts'
import type { ProgressTracker, TaskContext } from './context.ts'
import { withFields } from './default-logger.ts'
import type { State } from './events.ts'
import type { Results } from './results.ts'
import { noResult, rejectTask, requeueTask, retryTask } from './signals.ts'
import type { RetryTaskOptions } from './signals.ts'

/** What an execution needs of its worker. */
export interface ExecutionParts {
  readonly state: State
  readonly logger: Logger
  readonly results: Results
  /** Settles the delivery as done; resolves to false when the lease was lost. */
  readonly ack: (delivery: Delivery) => Promise<void>
}

/**
 * One execution of one message: the context a task sees, and the switch that ends it early. Expensive parts (signal,
 * logger, progress) are made when first asked for; most tasks never do.
 */
export class Execution implements TaskContext {
  readonly message: TaskMessage
  readonly attempt: number
  readonly delivery: Delivery
  isAcked = false

  readonly #parts: ExecutionParts
  #controller: AbortController | undefined
  #abortedBy: KiqError | undefined
  #onAbort: ((reason: KiqError) => void) | undefined
  #progress: ProgressTracker | undefined
  #log: Logger | undefined

  constructor(message: TaskMessage, delivery: Delivery, attempt: number, parts: ExecutionParts) {
    this.message = message
    this.delivery = delivery
    this.attempt = attempt
    this.#parts = parts
  }

  get taskId(): string {
    return this.message.taskId
  }

  get taskName(): string {
    return this.message.taskName
  }

  get labels(): Labels {
    return this.message.labels
  }

  get state(): State {
    return this.#parts.state
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortedBy) this.#controller.abort(this.#abortedBy)
    }
    return this.#controller.signal
  }

  get log(): Logger {
    const { taskId, taskName, attempt } = this
    return (this.#log ??= withFields(this.#parts.logger, { taskId, taskName, attempt }))
  }

  get progress(): ProgressTracker {
    return (this.#progress ??= trackProgress(this.taskId, this.#parts.results))
  }

  async ack(): Promise<void> {
    if (this.isAcked) return
    this.isAcked = true
    await this.#parts.ack(this.delivery)
  }

  requeue(options?: { readonly delay?: Duration | undefined }): never {
    throw requeueTask(options)
  }

  retry(options?: RetryTaskOptions): never {
    throw retryTask(options)
  }

  reject(reason: string): never {
    throw rejectTask(reason)
  }

  noResult(): never {
    throw noResult()
  }

  /** Why this execution was told to stop, if it was. The first reason stays. */
  get abortedBy(): KiqError | undefined {
    return this.#abortedBy
  }

  /** Aborts the signal; whoever runs the task learns through {@link Execution.onAbort}. */
  abort(reason: KiqError): void {
    if (this.#abortedBy) return
    this.#abortedBy = reason
    this.#controller?.abort(reason)
    this.#onAbort?.(reason)
  }

  /** At most one listener: the runner of the task. Called at once when aborted already. */
  onAbort(listener: (reason: KiqError) => void): void {
    this.#onAbort = listener
    if (this.#abortedBy) listener(this.#abortedBy)
  }
}

function trackProgress(taskId: string, results: Results): ProgressTracker {
  let last: Progress | undefined
  return {
    set: async (state, meta) => {
      const kept = meta === undefined ? ((last ?? (await results.getProgress(taskId)))?.meta ?? undefined) : meta
      last = { state, meta: kept }
      await results.setProgress(taskId, last)
    },
    get: async () => await results.getProgress(taskId),
  }
}
