import { ConfigError, KiqError } from '../contract/index.ts'
import type { Logger, TaskMessage } from '../contract/index.ts'
import { MAX_TIMER_MS } from '../util/abort.ts'
import { runInContext } from './context.ts'
import type { Execution } from './execution.ts'
import { numberLabel } from './sender.ts'
import type { TaskDefinition } from './task-definition.ts'
import { fromWireArguments } from './task-definition.ts'

/** Runs the function of a task and resolves to what it returns. */
export type RunTask = (definition: TaskDefinition, execution: Execution) => Promise<unknown>

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
  readonly runIsolated: RunIsolated
  readonly logger: Logger
}

/** Makes the runner of one worker: arguments, context, timeout, abort and grace period. */
export function createRunTask(parts: RunTaskParts): RunTask {
  return async (definition, execution) => {
    const timeoutMs = timeoutOf(definition, execution.message)
    const timer = timeoutMs === undefined ? undefined : startTimeout(execution, timeoutMs)
    try {
      const prepared = fromWireArguments(definition, execution.message)
      const args = prepared instanceof Promise ? await prepared : prepared
      if (definition.isolate !== 'none') return await parts.runIsolated(definition, args, execution, parts.abortGraceMs)
      const run = definition.run as (...all: readonly unknown[]) => unknown
      const value = runInContext(execution, () => run(...args))
      return isThenable(value) ? await untilAborted(value, execution, parts) : value
    } catch (error) {
      // A handler that notices the abort throws what it likes; the reason of the abort is the outcome.
      throw execution.abortedBy ?? error
    } finally {
      clearTimeout(timer)
    }
  }
}

/** The label wins over the task's own setting; both are in seconds on the wire. */
function timeoutOf(definition: TaskDefinition, message: TaskMessage): number | undefined {
  const seconds = numberLabel('timeout', message.labels['timeout'])
  if (seconds === undefined) return definition.timeoutMs
  if (seconds > 0) return seconds * 1000
  throw new ConfigError('KIQ_LABEL_INVALID', `Label "timeout" is ${seconds} seconds. Use more than 0, or leave it out.`)
}

function startTimeout(execution: Execution, timeoutMs: number): NodeJS.Timeout {
  return setTimeout(
    () => execution.abort(new TaskTimeoutError(execution.taskName, timeoutMs)),
    Math.min(timeoutMs, MAX_TIMER_MS),
  )
}

/** Reason of a timeout; called `TimeoutError` on the wire, which Python knows as a builtin. */
class TaskTimeoutError extends KiqError {
  constructor(taskName: string, timeoutMs: number) {
    super('KIQ_TASK_TIMED_OUT', `Task "${taskName}" ran longer than its timeout of ${timeoutMs / 1000} s and was stopped.`)
    this.name = 'TimeoutError'
  }
}

/**
 * The task's promise; after an abort it has the grace period to end. A task that was told to stop because the worker
 * stops, and still succeeds, has succeeded; with any other reason the reason is the outcome.
 */
function untilAborted(value: PromiseLike<unknown>, execution: Execution, parts: RunTaskParts): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let grace: NodeJS.Timeout | undefined
    value.then((result) => {
      clearTimeout(grace)
      const reason = execution.abortedBy
      if (reason && reason.code !== 'KIQ_WORKER_STOPPED') reject(reason)
      else resolve(result)
    }, (error: unknown) => {
      clearTimeout(grace)
      reject(error as Error)
    })
    execution.onAbort((reason) => {
      grace = setTimeout(() => {
        parts.logger.warn(
          { taskId: execution.taskId, taskName: execution.taskName, reason: reason.code },
          `The task did not stop within ${parts.abortGraceMs} ms of its signal; its slot is given away while it still ` +
            'runs. Watch context().signal in it, or run it with `isolate`.',
        )
        reject(reason)
      }, parts.abortGraceMs)
    })
  })
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
