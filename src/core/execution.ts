import { KiqError } from '../contract/index.ts'
import type {
  Body,
  Delivery,
  Invocation,
  Labels,
  Logger,
  Progress,
  SettleOutcome,
  TaskMessage,
} from '../contract/index.ts'
import type { Duration } from '../util/duration.ts'
import type { Placed } from '../util/placed-list.ts'
import type { ExecutionContext, ProgressTracker } from './context.ts'
import { withFields } from './default-logger.ts'
import type { State } from './events.ts'
import type { Results } from './results.ts'
import { attemptOf } from './retry-message.ts'
import { noResult, rejectTask, requeueTask, retryTask } from './signals.ts'
import type { RetryTaskOptions } from './signals.ts'
import type { TaskDefinition } from './task-definition.ts'

/** What an execution needs of its worker. */
export interface AbortListener {
  aborted(reason: KiqError): void
}

export interface ExecutionParts {
  readonly state: State
  readonly logger: Logger
  readonly results: Results
  readonly ack: (delivery: Delivery) => Promise<SettleOutcome>
}

export interface ExecutionFacts {
  readonly definition: TaskDefinition
  readonly message: TaskMessage
  readonly delivery: Delivery
  readonly startedAt: number
}

/**
 * One execution of one message: the context a task sees, and the switch that ends it early. Expensive parts (signal,
 * logger, progress) are made when first asked for; most tasks never do.
 */
export class Execution implements ExecutionContext, Placed {
  /** Among those that run. */
  place = -1
  readonly definition: TaskDefinition
  /** `preExecute` hooks may replace it before the task runs. */
  message: TaskMessage
  readonly delivery: Delivery
  /** On the clock of `performance.now()`. */
  readonly startedAt: number
  isAcked = false
  /** The lease was gone when it was to be acknowledged: nothing that follows counts. */
  isStale = false
  invocation: Invocation | undefined = undefined

  readonly #parts: ExecutionParts
  #controller: AbortController | undefined
  #abortedBy: KiqError | undefined
  #listener: AbortListener | undefined
  #progress: ProgressTracker | undefined
  #log: Logger | undefined

  constructor({ definition, message, delivery, startedAt }: ExecutionFacts, parts: ExecutionParts) {
    this.definition = definition
    this.message = message
    this.delivery = delivery
    this.startedAt = startedAt
    this.#parts = parts
  }

  get attempt(): number {
    return attemptOf(this.message, this.delivery.attempt)
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
    return (this.#progress ??= trackProgress(this.taskId, this.delivery.body, this.#parts.results))
  }

  async ack(): Promise<void> {
    if (this.isAcked) return
    this.isAcked = true
    if ((await this.#parts.ack(this.delivery)) === 'settled') return
    this.isStale = true
    this.abort(leaseLostError(this.taskId))
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
    this.#listener?.aborted(reason)
  }

  /** At most one listener: the runner of the task. Called at once when aborted already. */
  onAbort(listener: AbortListener): void {
    this.#listener = listener
    if (this.#abortedBy) listener.aborted(this.#abortedBy)
  }
}

/** Seconds since then, to a hundredth: what results say. @param startedAt - On the clock of `performance.now()`. */
export function executionTimeSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) / 10) / 100
}

export function leaseLostError(taskId: string): KiqError {
  return new KiqError(
    'KIQ_LEASE_LOST',
    `The lease of task ${taskId} went to another worker, because this process did not renew it in time (was it ` +
      'paused?). What it does from now on does not count.',
  )
}

function trackProgress(taskId: string, request: Body, results: Results): ProgressTracker {
  let last: Progress | undefined
  return {
    set: async (state, meta) => {
      const kept = meta === undefined ? ((last ?? (await results.getProgress(taskId)))?.meta ?? undefined) : meta
      last = { state, meta: kept }
      await results.setProgress(taskId, last, request)
    },
    get: async () => await results.getProgress(taskId),
  }
}
