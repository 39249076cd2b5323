import type { Labels } from '../contract/index.ts'
import { durationMs } from './duration.ts'
import type { Duration } from '../util/duration.ts'

export interface RetryTaskOptions {
  /** Until the next attempt; at once when absent. Needs a transport that delays when greater than 0. */
  readonly delay?: Duration | undefined
  /** Merged over the labels of the message. */
  readonly labels?: Labels | undefined
}

/** What a task can ask for instead of returning. */
export type Steering =
  | { readonly kind: 'retry'; readonly delayMs: number; readonly labels: Labels }
  | { readonly kind: 'requeue'; readonly delayMs: number }
  | { readonly kind: 'reject'; readonly reason: string }
  | { readonly kind: 'no-result' }

/**
 * Thrown by a task to steer what becomes of it. Not a failure: it is not logged as one and `onError` hooks do not see
 * it. An `Error` only so that debuggers and linters treat it as something that is thrown.
 */
export class TaskSignal extends Error {
  readonly steering: Steering

  constructor(steering: Steering) {
    super(`kiq signal: ${steering.kind}`)
    this.name = 'TaskSignal'
    this.steering = steering
  }
}

/**
 * Runs the task again under the same id; counts as a retry. `throw retryTask({ delay: '5s' })`.
 *
 * Waiters keep waiting. Not limited: bound it by `context().attempt`.
 */
export function retryTask(options: RetryTaskOptions = {}): TaskSignal {
  const delayMs = options.delay === undefined ? 0 : durationMs('delay', options.delay)
  return new TaskSignal({ kind: 'retry', delayMs, labels: options.labels ?? {} })
}

/** Puts the message back on its queue, as Taskiq's `requeue`: label `X-Taskiq-requeue` counts how often. */
export function requeueTask(options: { readonly delay?: Duration | undefined } = {}): TaskSignal {
  const delayMs = options.delay === undefined ? 0 : durationMs('delay', options.delay)
  return new TaskSignal({ kind: 'requeue', delayMs })
}

/** Gives the message up: to the dead letters, with the reason, and a failed result `KIQ_TASK_REJECTED`. */
export function rejectTask(reason: string): TaskSignal {
  return new TaskSignal({ kind: 'reject', reason })
}

/** Ends the task without storing a result; whoever waits for one keeps waiting. */
export function noResult(): TaskSignal {
  return new TaskSignal({ kind: 'no-result' })
}
