import { KiqError } from '../contract/index.ts'
import type { ErrorCode, Failure, TaskFailure } from '../contract/index.ts'

const CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'KIQ_TASK_TIMED_OUT',
  'KIQ_TASK_CANCELLED',
  'KIQ_TASK_REJECTED',
  'KIQ_TASK_UNKNOWN',
  'KIQ_ARGUMENTS_INVALID',
  'KIQ_LABEL_INVALID',
  'KIQ_LEASE_LOST',
  'KIQ_WORKER_STOPPED',
  'KIQ_MESSAGE_UNDECODABLE',
  'KIQ_MESSAGE_POISONED',
  'KIQ_RESULT_UNSERIALIZABLE',
  'KIQ_ISOLATE_DIED',
])

/**
 * What `result()` throws when the task failed. `code` is `KIQ_TASK_FAILED`, or says which of Kiq's own reasons it was
 * (timed out, cancelled, rejected, unknown task …). What the task threw is in {@link TaskError.failure}, as data.
 */
export class TaskError extends KiqError {
  readonly taskId: string
  readonly failure: Failure

  constructor(taskId: string, result: TaskFailure) {
    const { error: failure } = result
    super(
      failure.code !== undefined && CODES.has(failure.code) ? (failure.code as ErrorCode) : 'KIQ_TASK_FAILED',
      `Task ${taskId} failed: ${failure.name}${failure.message === '' ? '' : `: ${failure.message}`}`,
      { cause: failure },
    )
    this.taskId = taskId
    this.failure = failure
  }
}
