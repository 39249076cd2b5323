import { ConfigError, KiqError } from '../contract/index.ts'
import type { FailureControl, Labels, Provider, TaskInjector, TaskMessage, TaskResult } from '../contract/index.ts'
import type { Duration } from '../util/duration.ts'
import { show } from '../util/show.ts'
import type { Broker } from './broker.ts'
import type { TaskContext } from './context.ts'
import { durationMs } from './duration.ts'
import { Execution, executionTimeSince } from './execution.ts'
import { toFailure } from './failure.ts'
import { notSetUp } from './not-set-up.ts'
import { attemptOf } from './retry-message.ts'
import { createRunTask } from './run-task.ts'
import { TaskSignal } from './signals.ts'
import type { TaskDefinition } from './task-definition.ts'
import { toWireArguments } from './task-definition.ts'
import type { Sendable } from './task.ts'

export interface ExecuteOptions {
  /** Other values for some keys, in this execution alone; made with `bind()` of `kiq/di`. */
  readonly overrides?: readonly Provider[] | undefined
  /** Merged over the labels of the task. */
  readonly labels?: Labels | undefined
  /** A new one when absent. */
  readonly taskId?: string | undefined
  /** Longest execution; the task's own when absent. */
  readonly timeout?: Duration | undefined
  /** Cancels the execution: aborts the signal of the task, and rejects. */
  readonly signal?: AbortSignal | undefined
}

/** A task that takes one record, or nothing. */
export interface RecordSendable<A extends readonly unknown[], R> extends Sendable<A, R> {
  run(...args: never[]): unknown
}

/** What follows the task in `broker.execute()`. */
export type ExecuteCall<A extends readonly unknown[]> = [] extends A
  ? [input?: A[0], options?: ExecuteOptions]
  : [input: A[0], options?: ExecuteOptions]

/** Milliseconds between the abort of the signal and the end of waiting for the task, as in a worker. */
const ABORT_GRACE_MS = 1_000

/**
 * Runs a task in this process as a worker would: its arguments through the message format and its schema, `preExecute`,
 * injection, timeout, `onError`, `postExecute`. Nothing is sent, stored or retried, and a task with `isolate` runs here.
 *
 * @returns What the function returned.
 * @throws what the function threw, the same object.
 */
export async function execute<R>(
  broker: Broker,
  task: Sendable<readonly unknown[], R>,
  input: unknown,
  options: ExecuteOptions = {},
): Promise<R> {
  const definition = definitionOf(broker, task)
  const args = callArguments(definition, input)
  const own = broker.parts.injector
  if (own === undefined && (definition.deps !== undefined || options.overrides !== undefined)) {
    throw notSetUp([definition.name])
  }
  const fork = options.overrides === undefined ? undefined : own?.fork(options.overrides)
  const injector = fork ?? own
  try {
    const message = messageOf(broker, definition, args, options)
    return (await run({ broker, definition, injector, options }, message)) as R
  } finally {
    // What could not be closed was reported, and changes no outcome.
    await fork?.close().catch(() => {})
  }
}

interface Setting {
  readonly broker: Broker
  readonly definition: TaskDefinition
  readonly injector: TaskInjector<TaskContext> | undefined
  readonly options: ExecuteOptions
}

async function run({ broker, definition, injector, options }: Setting, received: TaskMessage): Promise<unknown> {
  const { middlewares, logger, results } = broker.parts
  const { taskId } = received
  const delivery = { body: '', queue: broker.defaultQueue, attempt: 1, taskId }
  const startedAt = performance.now()
  const execution = new Execution(
    { definition, message: received, delivery, startedAt },
    { state: broker.state, logger, results, ack: async () => 'settled' },
  )
  const runTask = createRunTask({
    abortGraceMs: ABORT_GRACE_MS,
    logger,
    clock: broker.clock,
    injector,
  })
  const cancel = (): void => execution.abort(cancelled(execution, options.signal))
  options.signal?.addEventListener('abort', cancel, { once: true })
  if (options.signal?.aborted) cancel()
  const facts = (): Pick<TaskResult, 'executionTime' | 'labels'> => {
    return { executionTime: executionTimeSince(startedAt), labels: execution.message.labels }
  }
  let value: unknown
  try {
    execution.message = await middlewares.preExecute(received)
    value = await new Promise((resolve, reject) => {
      runTask(execution, (thrown, returned) => {
        if (thrown) reject(thrown.error)
        else resolve(returned)
      })
    })
  } catch (error) {
    if (!(error instanceof TaskSignal)) {
      const result: TaskResult = { isErr: true, error: toFailure(error), ...facts() }
      await middlewares.onError(execution.message, result, error, ignoredControl(execution))
      await middlewares.postExecute(execution.message, result)
    } else if (error.steering.kind === 'no-result') {
      return undefined
    }
    throw error
  } finally {
    options.signal?.removeEventListener('abort', cancel)
  }
  await middlewares.postExecute(execution.message, { isErr: false, returnValue: value, ...facts() })
  return value
}

function definitionOf(broker: Broker, task: Sendable<readonly unknown[], unknown>): TaskDefinition {
  const definition = task.definition.run === undefined ? broker.findTask(task.taskName) : task.definition
  if (definition?.run !== undefined) return definition
  throw new ConfigError(
    'KIQ_TASK_UNKNOWN',
    `Task "${task.taskName}" has no function here, so execute() cannot run it. Declare it on this broker, or send it.`,
  )
}

function callArguments({ style, name }: TaskDefinition, input: unknown): readonly unknown[] {
  if (style === 'record') return [input]
  if (Array.isArray(input)) return input
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `execute() was given ${show(input)} for task "${name}", which takes arguments by position. Pass them as an array.`,
  )
}

/** As a worker would receive it: what the format makes of a value is what the function gets. */
function messageOf(
  broker: Broker,
  definition: TaskDefinition,
  callArgs: readonly unknown[],
  { labels, taskId = broker.nextTaskId(), timeout }: ExecuteOptions,
): TaskMessage {
  const { args, kwargs } = toWireArguments(definition, callArgs, undefined)
  const all: Labels = {
    ...definition.labels,
    ...labels,
    ...(timeout === undefined ? {} : { timeout: durationMs('timeout', timeout) / 1000 }),
  }
  const { formatter } = broker.parts
  return formatter.loads(formatter.dumps({ taskId, taskName: definition.name, labels: all, args, kwargs }).body)
}

/** Hooks may ask for a retry, as they would in a worker; here the failure is told to the caller. */
function ignoredControl({ message, delivery }: Execution): FailureControl {
  return { attempt: attemptOf(message, delivery.attempt), decision: 'fail', retry: () => {}, reject: () => {} }
}

function cancelled({ taskId, taskName }: Execution, signal: AbortSignal | undefined): KiqError {
  return new KiqError(
    'KIQ_TASK_CANCELLED',
    `Task "${taskName}" (${taskId}) was cancelled by the signal of execute().`,
    {
      cause: signal?.reason,
    },
  )
}
