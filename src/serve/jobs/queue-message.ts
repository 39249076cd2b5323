import type { OutputEnvelope } from '../output-envelope.ts'
import type { QueueMessage } from '../queues/index.ts'
import type { CompleteRequest } from './job-request.ts'

/** Which job, and when it ended: in every message. */
export interface MessageFacts {
  readonly jobId: string
  /** ISO 8601. */
  readonly timestamp: string
}

/**
 * An output for its queue. The `meta` of the request takes the place of the output's own. One that is no success brings the
 * request along, which its receiver may send again.
 */
export function outputMessage(envelope: OutputEnvelope, request: CompleteRequest, facts: MessageFacts): QueueMessage {
  const { status, error, meta: _meta, job_id: _id, timestamp: _time, ...fields } = envelope
  const isSuccess = status === 'success'
  return {
    queueName: isSuccess ? request.success_queue : request.failure_queue,
    message: {
      status,
      ...(isSuccess ? {} : { error }),
      meta: request.meta,
      ...fields,
      ...(isSuccess ? {} : { original_message: originalOf(request) }),
      job_id: facts.jobId,
      timestamp: facts.timestamp,
    },
  }
}

/** The end of a job without an output. */
export function failureMessage(error: string, request: CompleteRequest, facts: MessageFacts): QueueMessage {
  return {
    queueName: request.failure_queue,
    message: {
      status: 'error',
      error,
      meta: {},
      original_message: originalOf(request),
      job_id: facts.jobId,
      timestamp: facts.timestamp,
    },
  }
}

function originalOf({
  message,
  success_queue,
  failure_queue,
  meta,
}: CompleteRequest): Omit<CompleteRequest, 'webhook'> {
  return { message, success_queue, failure_queue, meta }
}
