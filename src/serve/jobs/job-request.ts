import { createHash } from 'node:crypto'

import { show } from '../../util/show.ts'
import { InvalidInputError } from '../invalid-input.ts'

/** Longest name of a queue, in characters: metrics and records repeat it. */
const MAX_NAME = 256

/** The body of an asynchronous request, and the keywords of its task. */
export interface JobRequest {
  /** What the model is given. */
  readonly message: unknown
  /** Queue for the output; none without. */
  readonly success_queue?: string | undefined
  /** Queue for an outcome that is no success; none without. */
  readonly failure_queue?: string | undefined
  /** Comes back with the outcome. */
  readonly meta?: Readonly<Record<string, unknown>> | undefined
  /** Is told of the outcome. */
  readonly webhook?: { readonly url: string } | null | undefined
}

/** With nothing left out: what travels. */
export interface CompleteRequest {
  readonly message: unknown
  readonly success_queue: string
  readonly failure_queue: string
  readonly meta: Readonly<Record<string, unknown>>
  readonly webhook: { readonly url: string } | null
}

/**
 * Checks a request, which may come from a client in another language, and fills in what it leaves out.
 *
 * @throws {InvalidInputError} `KIQ_ARGUMENTS_INVALID` naming the field.
 */
export function readJobRequest(value: unknown): CompleteRequest {
  if (!isRecord(value)) throw invalid('', value, 'an object with `message`')
  const { message, success_queue: success, failure_queue: failure, meta, webhook, ...others } = value
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    const message = 'It is not known. Use message, success_queue, failure_queue, meta and webhook.'
    throw new InvalidInputError('The request', [{ path: unknown.slice(0, MAX_NAME), message }])
  }
  if (message === undefined) throw invalid('message', message, 'the input for the model')
  return {
    message,
    success_queue: queueName('success_queue', success),
    failure_queue: queueName('failure_queue', failure),
    meta: metaOf(meta),
    webhook: webhookOf(webhook),
  }
}

/** Equal for requests that mean the same, whatever the order of their keys. */
export function fingerprintOf(model: string, request: CompleteRequest): string {
  return hash(canonical([model, request]))
}

export interface KeyedId {
  readonly app: string
  readonly model: string
  readonly caller: string | undefined
  readonly key: string
}

/** The id of the job of an idempotency key: 32 hexadecimal digits. */
export function keyedJobId({ app, model, caller, key }: KeyedId): string {
  return hash(JSON.stringify([app, model, caller ?? null, key])).slice(0, 32)
}

function queueName(field: string, value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'string' && value.length <= MAX_NAME) return value
  throw invalid(field, value, `the name of a queue, as text of at most ${MAX_NAME} characters`)
}

function metaOf(value: unknown): Readonly<Record<string, unknown>> {
  if (value === undefined || value === null) return {}
  if (isRecord(value)) return value
  throw invalid('meta', value, 'an object')
}

function webhookOf(value: unknown): CompleteRequest['webhook'] {
  if (value === undefined || value === null) return null
  if (isRecord(value) && typeof value['url'] === 'string' && Object.keys(value).length === 1) {
    return { url: value['url'] }
  }
  throw invalid('webhook', value, 'an object with `url` and nothing else')
}

function invalid(path: string, value: unknown, use: string): InvalidInputError {
  return new InvalidInputError('The request', [{ path, message: `It is ${show(value)}. Use ${use}.` }])
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === 'bigint') return `${item}n`
    if (!isRecord(item)) return item
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
