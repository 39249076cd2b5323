import { KiqError } from '../contract/index.ts'

/** Named after what it says, as waiters in other languages see the name only. */
class TaskCancelledError extends KiqError {}

export function cancelledError(taskId: string): KiqError {
  return new TaskCancelledError('KIQ_TASK_CANCELLED', `Task ${taskId} was cancelled.`)
}
