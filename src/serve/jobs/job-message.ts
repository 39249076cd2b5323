import type { TaskMessage } from '../../contract/index.ts'
import type { Sendable } from '../../core/index.ts'
import type { BaseRecord, JobOutcome } from './job-records.ts'
import type { CompleteRequest } from './job-request.ts'
import { CREATED_LABEL } from './job-run.ts'

/** The task of a model. */
export type JobTask = Sendable<readonly [CompleteRequest], JobOutcome>

/** The message of a job, as `kiq()` would make it: by hand, since it is sent once. */
export function messageOf(id: string, task: JobTask, { request, created_at }: BaseRecord): TaskMessage {
  return {
    taskId: id,
    taskName: task.taskName,
    labels: { ...task.definition.labels, [CREATED_LABEL]: created_at },
    args: [],
    kwargs: { ...request },
  }
}
