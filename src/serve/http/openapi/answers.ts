import { schemaRef } from './hoist.ts'
import type {
  ApiDescription,
  Components,
  HeaderObject,
  JsonSchema,
  Parameter,
  Reference,
  ResponseObject,
} from './types.ts'

export const JSON_TYPE = 'application/json'
export const EVENTS_TYPE = 'text/event-stream'
export const LINES_TYPE = 'application/x-ndjson'
const PROBLEM_TYPE = 'application/problem+json'

/** Headers that answers share. */
export const HEADERS: Readonly<Record<string, HeaderObject>> = {
  RequestId: {
    description: 'Names the request in the log of the service. That of the request, when it had one.',
    schema: { type: 'string', maxLength: 128 },
  },
  RetryAfter: {
    description: 'Seconds to wait before the request is sent again.',
    schema: { type: 'integer', minimum: 0 },
  },
  Location: { description: 'Path of the job.', schema: { type: 'string', format: 'uri-reference' } },
}

const REQUEST_ID: Readonly<Record<string, Reference>> = { 'x-request-id': { $ref: '#/components/headers/RequestId' } }
const RETRY_AFTER: Readonly<Record<string, Reference>> = { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } }
const LOCATION: Readonly<Record<string, Reference>> = { Location: { $ref: '#/components/headers/Location' } }

/** The statuses of problems that the routes may answer with. */
export type ProblemStatus = 400 | 401 | 404 | 408 | 409 | 413 | 415 | 422 | 429 | 500 | 503 | 504

const NAMES: Readonly<Record<ProblemStatus, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  404: 'NotFound',
  408: 'BodyTimeout',
  409: 'Conflict',
  413: 'PayloadTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Unprocessable',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'Unavailable',
  504: 'DeadlineExceeded',
}

/** The components for problems, each as a problem document and as an error of the inference protocol. */
export function problemResponses(api: ApiDescription): Components['responses'] {
  const meanings: Readonly<Record<ProblemStatus, string>> = {
    400: 'The body is not JSON, or the request is not well formed otherwise.',
    401: 'The key is missing or wrong.',
    404: 'There is no such model or job.',
    408: 'The body did not come in time.',
    409: 'The state of the job does not allow it.',
    413: `The body is longer than ${api.maxPayloadBytes} bytes.`,
    415: 'The body is not `application/json`, or is encoded.',
    422: 'The body does not fit the schema.',
    429: 'Too many requests wait already.',
    500: 'The model failed for this input, or the service has a fault. The log of the service has the cause.',
    503: 'The service is not ready, or stops.',
    504: 'The deadline passed before the output was there.',
  }
  const components: Record<string, ResponseObject> = {}
  for (const status of statuses()) {
    const headers = { ...REQUEST_ID, ...(status === 429 || status === 503 ? RETRY_AFTER : {}) }
    const description = meanings[status]
    const name = NAMES[status]
    components[name] = { description, headers, content: { [PROBLEM_TYPE]: { schema: schemaRef('Problem') } } }
    if (status === 409) continue
    const content = { [JSON_TYPE]: { schema: schemaRef('InferenceError') } }
    components[`Inference${name}`] = { description, headers, content }
  }
  return components
}

function statuses(): readonly ProblemStatus[] {
  return Object.keys(NAMES).map((status) => Number(status) as ProblemStatus)
}

/** Which problems a route may answer with; 401 is added where the service has keys. */
export interface ProblemOptions {
  readonly api: ApiDescription
  readonly form?: 'problem' | 'inference'
  /** Whether the route needs no key. */
  readonly isOpen?: true
}

/** References to the answers of these statuses. */
export function problems(
  options: ProblemOptions,
  ...codes: readonly ProblemStatus[]
): Readonly<Record<string, Reference>> {
  const prefix = options.form === 'inference' ? 'Inference' : ''
  const needsKey = options.api.hasKeys && options.isOpen !== true
  const all = new Set<ProblemStatus>(needsKey ? [...codes, 401] : codes)
  return Object.fromEntries(
    [...all]
      .sort((a, b) => a - b)
      .map((code) => [String(code), { $ref: `#/components/responses/${prefix}${NAMES[code]}` }]),
  )
}

/** What else an answer has. */
export interface AnswerOptions {
  /** Media type and schema of further forms of the body. */
  readonly more?: Readonly<Record<string, JsonSchema>>
  readonly headers?: readonly ('Location' | 'Retry-After')[]
  /** Of the first form of the body. Default `application/json`. */
  readonly mediaType?: string
}

/** An answer with a body. */
export function answer(description: string, schema: JsonSchema, options: AnswerOptions = {}): ResponseObject {
  const bodies = { [options.mediaType ?? JSON_TYPE]: schema, ...options.more }
  const headers = options.headers ?? []
  return {
    description,
    headers: {
      ...REQUEST_ID,
      ...(headers.includes('Location') ? LOCATION : {}),
      ...(headers.includes('Retry-After') ? RETRY_AFTER : {}),
    },
    content: Object.fromEntries(Object.entries(bodies).map(([type, body]) => [type, { schema: body }])),
  }
}

/** Parameters that routes share. */
export function sharedParameters(api: ApiDescription): Readonly<Record<string, Parameter>> {
  return {
    RequestId: {
      name: 'x-request-id',
      in: 'header',
      description:
        'Names the request in the log of the service. Visible ASCII characters. Made up when it is left out.',
      required: false,
      schema: { type: 'string', minLength: 1, maxLength: 128, pattern: '^[!-~]+$' },
    },
    RequestTimeout: {
      name: 'x-request-timeout',
      in: 'header',
      description: 'The deadline, in seconds from now. A longer one than the service allows is cut to that.',
      required: false,
      schema: { type: 'number', exclusiveMinimum: 0, default: api.requestTimeoutSeconds },
    },
    IdempotencyKey: {
      name: 'Idempotency-Key',
      in: 'header',
      description:
        'The same key with the same body gives the same job, with another body 422. Visible ASCII characters.',
      required: false,
      schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$' },
    },
    JobId: { name: 'id', in: 'path', description: 'The `job_id`.', required: true, schema: { type: 'string' } },
    InferenceModel: {
      name: 'model',
      in: 'path',
      description: 'Name of the model.',
      required: true,
      schema: { type: 'string', enum: api.models.map((model) => model.name) },
    },
  }
}

/** A reference to a shared parameter. */
export function parameter(
  name: 'RequestId' | 'RequestTimeout' | 'IdempotencyKey' | 'JobId' | 'InferenceModel',
): Reference {
  return { $ref: `#/components/parameters/${name}` }
}
