import type { Labels } from './message.ts'

/** A thrown value as data: safe to serialize, never turned back into the thrower's class. */
export interface Failure {
  /** Class name, for example `RangeError` or Python's `ValueError`. */
  readonly name: string
  /** Text of the error. For Python errors with several arguments: the arguments, joined by commas. */
  readonly message: string
  /** Constructor arguments, as Python's `exception.args`. For JavaScript errors: the message, if there is one. */
  readonly args: readonly unknown[]
  /** Where the class lives: Python's module, `builtins` or `javascript`. */
  readonly module?: string | undefined
  /** `error.code` of Node and Kiq errors. */
  readonly code?: string | undefined
  /** Only from Kiq workers: Python's Taskiq does not store tracebacks. */
  readonly stack?: string | undefined
  readonly cause?: Failure | undefined
  /** Python's `__context__`: what was being handled when this was raised, without `from`. */
  readonly context?: Failure | undefined
}

interface ResultFacts {
  /** Seconds the execution took, rounded to hundredths, as Taskiq counts it. */
  readonly executionTime: number
  /** Labels of the message after all middlewares. */
  readonly labels: Labels
}

export interface TaskSuccess<R> extends ResultFacts {
  readonly isErr: false
  readonly returnValue: R
}

export interface TaskFailure extends ResultFacts {
  readonly isErr: true
  readonly error: Failure
}

/** Outcome of a task call, as stored. */
export type TaskResult<R = unknown> = TaskSuccess<R> | TaskFailure

/** How far a task has come, as the task itself reported. */
export interface Progress {
  /** Taskiq uses `STARTED`, `RETRY`, `SUCCESS`, `FAILURE`; any text is allowed. */
  readonly state: string
  /** Any JSON value; `undefined` when none was ever given. */
  readonly meta?: unknown
}
