import type { Progress, TaskResult } from '../contract/index.ts'
import type { WaitOptions } from './results.ts'
import { TaskError } from './task-error.ts'

/** The part of a broker that a handle asks. */
export interface ResultSource {
  waitResult<T>(taskId: string, options: WaitOptions | undefined, map: (result: TaskResult) => T): Promise<T>
  hasResult(taskId: string): Promise<boolean>
  getProgress(taskId: string): Promise<Progress | undefined>
  cancel(taskId: string): Promise<boolean>
}

/** Handle of a task that was sent. Holds nothing but the id: make one anywhere with `broker.sentTask(id)`. */
export class SentTask<R = unknown> {
  readonly taskId: string
  readonly #source: ResultSource

  constructor(taskId: string, source: ResultSource) {
    this.taskId = taskId
    this.#source = source
  }

  /**
   * Waits for the end of the task and returns what it returned.
   *
   * @throws {TaskError} when the task failed; its `code` says how.
   * @throws {ResultError} `KIQ_RESULT_TIMED_OUT` when there is no result in time.
   */
  result(options?: WaitOptions): Promise<R> {
    return this.#source.waitResult(this.taskId, options, (result) => {
      if (result.isErr) throw new TaskError(this.taskId, result)
      return result.returnValue as R
    })
  }

  /**
   * Waits for the end of the task and returns its outcome, failed or not.
   *
   * @throws {ResultError} `KIQ_RESULT_TIMED_OUT` when there is no result in time.
   */
  waitResult(options?: WaitOptions): Promise<TaskResult<R>> {
    return this.#source.waitResult(this.taskId, options, (result) => result as TaskResult<R>)
  }

  /** Whether there is a result now. */
  async isReady(): Promise<boolean> {
    return await this.#source.hasResult(this.taskId)
  }

  /** What the task last reported; `undefined` when it reported nothing. */
  async getProgress(): Promise<Progress | undefined> {
    return await this.#source.getProgress(this.taskId)
  }

  /**
   * Cancels the task: takes it from its queue, or aborts the signal of the worker that runs it. A cancelled task has a
   * failed result with code `KIQ_TASK_CANCELLED`.
   *
   * @returns `false` when it is neither queued nor running any more.
   * @throws {ConfigError} `KIQ_UNSUPPORTED` when the transport cannot cancel.
   */
  async cancel(): Promise<boolean> {
    return await this.#source.cancel(this.taskId)
  }
}
