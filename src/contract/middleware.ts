import type { Labels, TaskMessage } from './message.ts'
import type { TaskResult } from './result.ts'

export type MaybePromise<T> = T | Promise<T>

/** How an `onError` hook asks for another attempt. */
export interface RetryOptions {
  /** Milliseconds until the next attempt; 0 = at once. Needs a transport that delays when greater than 0. */
  readonly delayMs?: number | undefined
  /** Merged over the labels of the message. */
  readonly labels?: Labels | undefined
  /**
   * What a waiter sees until the next attempt has ended: nothing, or the failure of this one.
   *
   * @defaultValue `'nothing'`
   */
  readonly visible?: 'nothing' | 'failure' | undefined
}

/** Handed to `onError`: decides what becomes of a failed execution. The last call wins; none = the failure is final. */
export interface FailureControl {
  /** The execution that failed: 1 = the first. Counts retries and redeliveries. */
  readonly attempt: number
  /** What was decided so far, by the hooks before. */
  readonly decision: 'fail' | 'retry' | 'reject'
  /** Sends the message again, in the same step as the ack where the transport can. */
  retry(options?: RetryOptions): void
  /** Stores the failure and moves the message to the dead letters. */
  reject(reason: string): void
}

/**
 * Hooks around sending and executing. Every hook may be sync or async.
 *
 * | hook | where | order | may change |
 * | --- | --- | --- | --- |
 * | `startup`, `shutdown` | both | list order | |
 * | `preSend` | producer, and worker for retries and requeues | list order | the message, by returning it |
 * | `postSend` | same | reverse | |
 * | `sendFailed` | same | reverse | |
 * | `preExecute` | worker | list order | the message, by returning it |
 * | `onError` | worker, when the task failed | reverse | what becomes of it, by `control` |
 * | `postExecute` | worker, always | reverse | |
 * | `postSave` | worker, when a result was stored | reverse | |
 *
 * A hook that throws: in `preSend`, the send fails with that error. In `preExecute`, `onError` or `postExecute`, the
 * execution fails with it and that failure is stored: nobody waits for ever. In `postSend`, `sendFailed` and `postSave`
 * the deed is done: the error is logged and the other hooks still run.
 */
export interface Middleware {
  startup?(): MaybePromise<void>
  shutdown?(): MaybePromise<void>
  preSend?(message: TaskMessage): MaybePromise<TaskMessage>
  postSend?(message: TaskMessage): MaybePromise<void>
  /** The transport did not accept the message. */
  sendFailed?(message: TaskMessage, error: unknown): MaybePromise<void>
  preExecute?(message: TaskMessage): MaybePromise<TaskMessage>
  onError?(message: TaskMessage, result: TaskResult, error: unknown, control: FailureControl): MaybePromise<void>
  postExecute?(message: TaskMessage, result: TaskResult): MaybePromise<void>
  postSave?(message: TaskMessage, result: TaskResult): MaybePromise<void>
}
