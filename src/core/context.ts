import { AsyncLocalStorage } from 'node:async_hooks'

import { ConfigError } from '../contract/index.ts'
import type { Invocation, Labels, Logger, Progress, TaskMessage } from '../contract/index.ts'
import type { Duration } from '../util/duration.ts'
import type { RetryTaskOptions } from './signals.ts'
import type { State } from './events.ts'

/** Reports how far a task has come; readable by `sent.getProgress()` in any process. */
export interface ProgressTracker {
  /**
   * Stores a new state. Resolves when it is stored; a failing result backend rejects.
   *
   * @param state - Any text; Taskiq uses `STARTED`, `RETRY`, `SUCCESS`, `FAILURE`.
   * @param meta - Any JSON value; when left out the last one is kept.
   */
  set(state: string, meta?: unknown): Promise<void>
  get(): Promise<Progress | undefined>
}

/** What a running task can ask and do. One object per execution; nothing of it is shared with other tasks. */
export interface TaskContext {
  /** As received, after `preExecute` hooks. */
  readonly message: TaskMessage
  readonly taskId: string
  readonly taskName: string
  readonly labels: Labels
  /** This execution: 1 = the first. Counts retries and redeliveries. */
  readonly attempt: number
  /** State of the worker's broker, filled by `broker.on('workerStartup', …)`. */
  readonly state: State
  /**
   * Aborts on timeout, on cancel, when the worker stops and its deadline is over, and when the lease was lost.
   * `signal.reason` is a `KiqError` whose `code` says which.
   */
  readonly signal: AbortSignal
  readonly progress: ProgressTracker
  /** The broker's logger with `taskId`, `taskName` and `attempt` added. */
  readonly log: Logger
  readonly isAcked: boolean
  /** Acknowledges now. Needed with ack type `manual`; afterwards a crash loses the task. Calling it twice is harmless. */
  ack(): Promise<void>
  /** Ends the task and puts its message back on the queue. */
  requeue(options?: { readonly delay?: Duration | undefined }): never
  /** Ends the task and sends it again as a retry. */
  retry(options?: RetryTaskOptions): never
  /** Ends the task, stores a failure and moves the message to the dead letters. */
  reject(reason: string): never
  /** Ends the task without a result. */
  noResult(): never
}

/** A context, and what belongs to the execution besides what its task may see. */
export interface ExecutionContext extends TaskContext {
  /** Where an injector has taken over. */
  invocation: Invocation | undefined
}

const storage = new AsyncLocalStorage<ExecutionContext>()

/**
 * Context of the task that is running here, also after an `await`.
 *
 * @throws {ConfigError} `KIQ_NO_CONTEXT` outside a task, for example when the task was called as a plain function.
 */
export function context(): TaskContext {
  const current = storage.getStore()
  if (current) return current
  throw new ConfigError(
    'KIQ_NO_CONTEXT',
    'context() was called outside a running task. Call it inside a task that was sent with kiq(); ' +
      'in code that also runs elsewhere, use tryContext().',
  )
}

/** Like {@link context}, but `undefined` outside a task. */
export function tryContext(): TaskContext | undefined {
  return storage.getStore()
}

/** @internal What an injector began for the task that is running here. */
export function currentInvocation(): Invocation | undefined {
  return storage.getStore()?.invocation
}

/** Runs `fn` as part of the task whose context this is. */
export function runInContext<T>(current: ExecutionContext, fn: () => T): T {
  return storage.run(current, fn)
}
