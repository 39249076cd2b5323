import { KiqError } from '../../contract/index.ts'
import type { Job } from './job.ts'

export function jobUnknown(id: string): KiqError {
  return new KiqError(
    'KIQ_SERVE_JOB_UNKNOWN',
    `There is no job ${id}: it was never accepted, or its time is over. Send it as a new one.`,
  )
}

/** @param ask - What it was asked for, as a participle. */
export function wrongState({ job_id, state }: Job, ask: 'cancelled' | 'sent again'): KiqError {
  const rule =
    ask === 'cancelled' ? 'Only one that is queued or running is.' : 'Only one that failed or was cancelled is.'
  return new KiqError('KIQ_SERVE_JOB_STATE', `Job ${job_id} is ${state}, and cannot be ${ask}. ${rule}`)
}

export function messageGone(id: string): KiqError {
  return new KiqError(
    'KIQ_SERVE_JOB_STATE',
    `Job ${id} cannot be sent again: its message is not kept any more. Send it as a new one.`,
  )
}

export function keyReused(id: string): KiqError {
  return new KiqError(
    'KIQ_SERVE_KEY_REUSED',
    `The idempotency key belongs to job ${id}, which has another request. Use a key of its own for each request.`,
  )
}
