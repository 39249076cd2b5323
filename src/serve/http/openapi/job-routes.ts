import { answer, EVENTS_TYPE, parameter, problems } from './answers.ts'
import { schemaRef } from './hoist.ts'
import type { ApiDescription, JsonSchema, Operation, Paths } from './types.ts'

export const JOBS_TAG = 'Jobs'

const EVENTS: JsonSchema = {
  description:
    'The data of one event. `state`: the job, at once and after each change; the last one ends it. `progress`: any JSON. ' +
    '`output`: a chunk of a model that streams.',
}

/** What is done with jobs that have been accepted. */
export function jobRoutes(api: ApiDescription): Paths {
  const job = schemaRef('Job')
  const common: Pick<Operation, 'tags' | 'parameters'> = {
    tags: [JOBS_TAG],
    parameters: [parameter('JobId'), parameter('RequestId')],
  }
  return {
    '/jobs/{id}': {
      get: {
        ...common,
        operationId: 'getJob',
        summary: 'Read a job',
        responses: { 200: answer('The job.', job), ...problems({ api }, 404, 500, 503) },
      },
      delete: {
        ...common,
        operationId: 'cancelJob',
        summary: 'Cancel a job',
        description: 'For a job that is queued or running.',
        responses: { 202: answer('The job is being cancelled.', job), ...problems({ api }, 404, 409, 500, 503) },
      },
    },
    '/jobs/{id}/retry': {
      post: {
        ...common,
        operationId: 'retryJob',
        summary: 'Run a job again, under its id',
        description: 'For a job that failed or was cancelled.',
        responses: { 202: answer('The job waits to be run.', job), ...problems({ api }, 404, 409, 500, 503) },
      },
    },
    '/jobs/{id}/events': {
      get: {
        ...common,
        operationId: 'getJobEvents',
        summary: 'Follow a job',
        responses: {
          200: answer('Events until the job has ended.', EVENTS, { mediaType: EVENTS_TYPE }),
          ...problems({ api }, 404, 500, 503),
        },
      },
    },
  }
}
