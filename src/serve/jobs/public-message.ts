import { KiqError } from '../../contract/index.ts'
import type { ErrorCode } from '../../contract/index.ts'

const TIMED_OUT = 'The model was not done within its time.'
const DIED = 'The process that ran the model ended before it was done.'

const SENTENCES: Readonly<Partial<Record<ErrorCode, string>>> = {
  KIQ_SERVE_BUSY: 'Too many requests wait for the model. Try again later.',
  KIQ_SERVE_STOPPING: 'The service is stopping. Try again later.',
  KIQ_SERVE_TIMED_OUT: TIMED_OUT,
  KIQ_TASK_TIMED_OUT: TIMED_OUT,
  KIQ_SERVE_WORKER_DIED: DIED,
  KIQ_MESSAGE_POISONED: DIED,
  KIQ_TASK_CANCELLED: 'The job was cancelled.',
  KIQ_ARGUMENTS_INVALID: 'The input does not fit the model.',
}

/**
 * What callers may read of an error: never its own text, which may tell of files, addresses or data of others.
 *
 * @param where - Where the log has more, such as `job 17`.
 */
export function publicMessage(error: unknown, where: string): string {
  return publicSentence(KiqError.is(error) ? error.code : undefined, where)
}

/** The same for an error of which only its code is known. */
export function publicSentence(code: string | undefined, where: string): string {
  const known = (SENTENCES as Readonly<Record<string, string | undefined>>)[code ?? '']
  return known ?? `The model failed for this input. The log of the service has the cause, under ${where}.`
}
