import { ConfigError, KiqError } from '../contract/index.ts'
import type { Clock, InjectedCall, Invocation, Logger, TaskInjector, TaskMessage, Thrown } from '../contract/index.ts'
import { isPromiseLike } from '../util/thenable.ts'
import { runInContext } from './context.ts'
import type { TaskContext } from './context.ts'
import type { AbortListener, Execution } from './execution.ts'
import { notSetUp } from './not-set-up.ts'
import { numberLabel } from './sender.ts'
import type { TaskDefinition } from './task-definition.ts'
import { fromWireArguments } from './task-definition.ts'

/** Told once how the function of a task ended: with what was thrown, or with its value. */
export type RunDone = (thrown: Thrown | undefined, value: unknown) => void

/** Runs the function of a task. A callback, because this stands in the path of every message. */
export type RunTask = (execution: Execution, done: RunDone) => void

/** Runs a task outside this event loop; see `isolate`. Rejects with the abort reason after killing it. */
export type RunIsolated = (
  definition: TaskDefinition,
  args: readonly unknown[],
  execution: Execution,
  graceMs: number,
) => Promise<unknown>

export interface RunTaskParts {
  /** Milliseconds between the abort of the signal and the end of waiting for the task. */
  readonly abortGraceMs: number
  /** Without it all run here. */
  readonly runIsolated?: RunIsolated | undefined
  readonly logger: Logger
  readonly clock: Clock
  /** Gives tasks what they depend on. */
  readonly injector: TaskInjector<TaskContext> | undefined
}

/** Makes the runner of one worker: arguments, context, timeout, abort and grace period. */
export function createRunTask(parts: RunTaskParts): RunTask {
  return (execution, done) => new Run(execution, parts, done).start()
}

/**
 * One run of a task's function. After an abort the function has the grace period to end. A task that was told to stop
 * because the worker stops, and still succeeds, has succeeded; with any other reason the reason is the outcome.
 */
class Run implements AbortListener, InjectedCall<TaskContext> {
  args: readonly unknown[] = []
  readonly #execution: Execution
  readonly #parts: RunTaskParts
  readonly #done: RunDone
  #stopTimeout: (() => void) | undefined
  #grace: NodeJS.Timeout | undefined
  #invocation: Invocation | undefined
  #ended = false
  /** The function of an injected task has ended; what follows is bounded by the injector. */
  #functionEnded = false

  constructor(execution: Execution, parts: RunTaskParts, done: RunDone) {
    this.#execution = execution
    this.#parts = parts
    this.#done = done
  }

  start(): void {
    const { definition, message, abortedBy } = this.#execution
    if (abortedBy) {
      this.#fail(abortedBy)
      return
    }
    try {
      const timeoutMs = timeoutOf(definition, message)
      if (timeoutMs !== undefined) this.#startTimeout(timeoutMs)
      const args = fromWireArguments(definition, message)
      if (args instanceof Promise) {
        this.#execution.onAbort(this)
        args.then(
          (checked) => this.#call(checked),
          (error: unknown) => this.#fail(error),
        )
      } else {
        this.#call(args)
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  #startTimeout(timeoutMs: number): void {
    const execution = this.#execution
    this.#stopTimeout = this.#parts.clock.schedule(timeoutMs, () => {
      execution.abort(new TaskTimeoutError(execution.taskName, timeoutMs))
    })
  }

  #call(args: readonly unknown[]): void {
    if (this.#ended) return
    if (this.#execution.abortedBy) {
      this.#fail(this.#execution.abortedBy)
      return
    }
    const { definition } = this.#execution
    const { injector } = this.#parts
    const { isolate, run } = definition
    try {
      const { runIsolated } = this.#parts
      if (isolate !== 'none' && runIsolated) {
        // Kills what it runs by itself.
        const outcome = runIsolated(definition, args, this.#execution, this.#parts.abortGraceMs)
        outcome.then(
          (value) => this.#end(undefined, value),
          (error: unknown) => this.#fail(error),
        )
        return
      }
      if (injector) {
        this.#inject(injector, args)
        return
      }
      if (definition.deps !== undefined) throw notSetUp([definition.name])
      const call = run as (...all: readonly unknown[]) => unknown
      const value = runInContext(this.#execution, () => call(...args))
      if (!isPromiseLike(value)) {
        this.#end(undefined, value)
        return
      }
      value.then(
        (result) => this.#succeed(result),
        (error: unknown) => this.#fail(error),
      )
      this.#execution.onAbort(this)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** The injector decides what an abort makes of the outcome, since it tells what it opened of that. */
  #inject(injector: TaskInjector<TaskContext>, args: readonly unknown[]): void {
    this.args = args
    const invocation = injector.begin(this)
    this.#invocation = invocation
    this.#execution.invocation = invocation
    runInContext(this.#execution, () => invocation.start())
    if (!this.#ended) this.#execution.onAbort(this)
  }

  // What an injector asks

  get task(): TaskDefinition {
    return this.#execution.definition
  }

  get message(): TaskMessage {
    return this.#execution.message
  }

  get context(): TaskContext {
    return this.#execution
  }

  get startedAt(): number {
    return this.#execution.startedAt
  }

  get abortedBy(): KiqError | undefined {
    return this.#execution.abortedBy
  }

  onEnd(thrown: Thrown | undefined, value: unknown): void {
    this.#end(thrown, value)
  }

  onFunctionEnd(): void {
    this.#functionEnded = true
    this.#clearTimers()
  }

  aborted(reason: KiqError): void {
    if (this.#ended || this.#functionEnded) return
    const { taskId, taskName } = this.#execution
    this.#grace = setTimeout(() => {
      this.#parts.logger.warn(
        { taskId, taskName, reason: reason.code },
        `The task did not stop within ${this.#parts.abortGraceMs} ms of its signal; its slot is given away while it ` +
          'still runs. Watch context().signal in it, or run it with `isolate`.',
      )
      this.#abandon(reason)
    }, this.#parts.abortGraceMs)
  }

  #abandon(reason: KiqError): void {
    if (this.#invocation) void this.#invocation.abandon(reason).then(() => this.#fail(reason))
    else this.#fail(reason)
  }

  #succeed(value: unknown): void {
    const reason = this.#execution.abortedBy
    if (reason && reason.code !== 'KIQ_WORKER_STOPPED') this.#fail(reason)
    else this.#end(undefined, value)
  }

  /** A handler that notices the abort throws what it likes; the reason of the abort is the outcome. */
  #fail(error: unknown): void {
    this.#end({ error: this.#execution.abortedBy ?? error }, undefined)
  }

  #end(thrown: Thrown | undefined, value: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#clearTimers()
    this.#done(thrown, value)
  }

  #clearTimers(): void {
    this.#stopTimeout?.()
    if (this.#grace) clearTimeout(this.#grace)
  }
}

/** The label wins over the task's own setting; both are in seconds on the wire. */
function timeoutOf(definition: TaskDefinition, message: TaskMessage): number | undefined {
  const seconds = numberLabel('timeout', message.labels['timeout'])
  if (seconds === undefined) return definition.timeoutMs
  if (seconds > 0) return seconds * 1000
  throw new ConfigError('KIQ_LABEL_INVALID', `Label "timeout" is ${seconds} seconds. Use more than 0, or leave it out.`)
}

/** Reason of a timeout; called `TimeoutError` on the wire, which Python knows as a builtin. */
class TaskTimeoutError extends KiqError {
  constructor(taskName: string, timeoutMs: number) {
    super(
      'KIQ_TASK_TIMED_OUT',
      `Task "${taskName}" ran longer than its timeout of ${timeoutMs / 1000} s and was stopped.`,
    )
    this.name = 'TimeoutError'
  }
}
