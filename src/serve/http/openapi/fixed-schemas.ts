import { schemaRef } from './hoist.ts'
import { INFERENCE_SCHEMAS } from './inference-schemas.ts'
import type { JsonSchema } from './types.ts'

const TEXT: JsonSchema = { type: 'string' }
const TEXT_OR_NULL: JsonSchema = { type: ['string', 'null'] }
const TIME_OR_NULL: JsonSchema = { type: ['string', 'null'], format: 'date-time' }
const META: JsonSchema = { type: 'object', additionalProperties: true }

/** Of an object whose properties are all required, apart from those that are named. */
function record(properties: Readonly<Record<string, JsonSchema>>, optional: readonly string[] = []): JsonSchema {
  return { type: 'object', properties, required: Object.keys(properties).filter((name) => !optional.includes(name)) }
}

/** Components that are the same for every service. */
export const FIXED_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  Problem: {
    ...record(
      {
        type: { type: 'string', format: 'uri-reference', default: 'about:blank' },
        title: { ...TEXT, description: 'The words of the status.' },
        status: { type: 'integer', description: 'The status of the answer.' },
        detail: { ...TEXT, description: 'What happened, and what to do.' },
        code: { ...TEXT, description: 'Code of the error, for programs.' },
        errors: { type: 'array', items: schemaRef('ProblemError'), description: 'What does not fit, place by place.' },
      },
      ['code', 'errors'],
    ),
    description: 'A problem document as of RFC 9457.',
  },
  ProblemError: record({
    path: { ...TEXT, description: 'Names and positions that lead to the value, with dots between them.' },
    message: TEXT,
  }),
  SuccessEnvelope: {
    ...record({ status: { type: 'string', const: 'success' }, error: { type: 'null' }, meta: META }),
    description: 'The fields of every output of a model that succeeded.',
  },
  FailureEnvelope: {
    ...record({
      status: {
        ...TEXT,
        not: { const: 'success' },
        description: 'Anything but `success`; `error` unless the model says else.',
      },
      error: { ...TEXT, description: 'Why there is no output.' },
      meta: META,
    }),
    description: 'The fields of every output of a model that failed for this input.',
  },
  WebhookTarget: {
    ...record({ url: { type: 'string', format: 'uri', maxLength: 2048 } }),
    additionalProperties: false,
    description: 'Where the job is sent when it has ended.',
  },
  AcceptedJob: record({ job_id: TEXT, state: schemaRef('JobState') }),
  JobState: { type: 'string', enum: ['queued', 'running', 'succeeded', 'failed', 'cancelled'] },
  JobQueue: {
    ...record({
      name: TEXT,
      state: { type: 'string', enum: ['sent', 'failed'] },
      attempts: { type: 'integer', minimum: 0 },
      error: TEXT_OR_NULL,
    }),
    description: 'What became of the message to the queue that the request named.',
  },
  JobWebhook: {
    ...record({
      url: { type: 'string', format: 'uri' },
      state: { type: 'string', enum: ['pending', 'delivered', 'failed'] },
      attempts: { type: 'integer', minimum: 0 },
      error: TEXT_OR_NULL,
    }),
    description: 'What became of the webhook that the request named.',
  },
  Health: record({
    status: { type: 'string', enum: ['ok', 'unavailable'] },
    models: { type: 'object', additionalProperties: TEXT, description: 'Name of each model, and its state.' },
  }),
  Info: record({
    name: TEXT,
    version: TEXT,
    started_at: { type: 'string', format: 'date-time' },
    models: { type: 'array', items: schemaRef('ModelInfo') },
  }),
  ModelInfo: record({
    name: TEXT,
    state: TEXT,
    max_batch_size: { type: 'integer', minimum: 1 },
    wait_ms: { type: 'number', minimum: 0, description: 'How long a batch waits for more inputs, in milliseconds.' },
    workers: { type: 'integer', minimum: 0 },
    streams: { type: 'boolean', description: 'Whether outputs can come in chunks.' },
  }),
  ...INFERENCE_SCHEMAS,
}

/**
 * Components that depend on what the models return.
 *
 * @param envelopes - References to the envelopes of all models.
 */
export function jobSchemas(envelopes: readonly JsonSchema[]): Readonly<Record<string, JsonSchema>> {
  return {
    Job: record({
      job_id: TEXT,
      model_name: TEXT,
      state: schemaRef('JobState'),
      created_at: { type: 'string', format: 'date-time' },
      started_at: TIME_OR_NULL,
      finished_at: TIME_OR_NULL,
      duration_ms: { type: ['number', 'null'], minimum: 0, description: 'From start to end, in milliseconds.' },
      attempt: { type: 'integer', minimum: 0 },
      progress: { description: 'What the model told last of its progress: any JSON, or null.' },
      result: { anyOf: [...envelopes, { type: 'null' }] },
      error: { ...TEXT_OR_NULL, description: 'Why it failed.' },
      meta: META,
      queue: { anyOf: [schemaRef('JobQueue'), { type: 'null' }] },
      webhook: { anyOf: [schemaRef('JobWebhook'), { type: 'null' }] },
    }),
  }
}
