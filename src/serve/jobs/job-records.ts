import { ConfigError, ResultError } from '../../contract/index.ts'
import type { ResultBackend, TaskResult } from '../../contract/index.ts'
import type { Broker } from '../../core/index.ts'
import { messageOf } from '../../util/show.ts'
import type { OutputEnvelope } from '../output-envelope.ts'
import type { JobQueue, JobWebhook } from './job.ts'
import type { CompleteRequest } from './job-request.ts'

/** What is known of a job from the moment it is accepted. */
export interface BaseRecord {
  readonly model_name: string
  readonly created_at: string
  readonly meta: Readonly<Record<string, unknown>>
  readonly webhook_url: string | null
  readonly fingerprint: string
  /** How often somebody has sent it again. */
  readonly retries: number
  /** Until it begins: one that is cancelled in its queue has no other place from where it could be sent again. */
  readonly request: CompleteRequest | null
}

/** What an execution has left for those who look. */
export interface RunRecord {
  readonly state: 'queued' | 'running' | 'ended'
  readonly started_at: string | null
  readonly finished_at: string | null
  readonly attempt: number
  readonly progress: unknown
  /** Of an execution that failed; that of one that succeeded is its result. */
  readonly failure: RunFailure | null
}

export interface RunFailure {
  readonly envelope: OutputEnvelope | null
  readonly error: string | null
  readonly queue: JobQueue | null
}

/** What a job that succeeded returns. */
export interface JobOutcome {
  readonly envelope: OutputEnvelope
  readonly queue: JobQueue | null
  readonly started_at: string
  readonly finished_at: string
  readonly attempt: number
}

/** All there is of a job. */
export interface JobParts {
  readonly base: BaseRecord
  readonly run: RunRecord | undefined
  readonly result: TaskResult | undefined
  readonly webhook: JobWebhook | undefined
}

export interface JobRecordsOptions {
  readonly broker: Broker
  readonly resultTtlMs: number
  /** How long one execution may take. */
  readonly timeoutMs: number
}

/** A job may wait so long in addition before it begins, and still be known. */
const WAIT_MS = 60 * 60 * 1000

/**
 * The records of jobs, as progress of ids next to the job's own: what is kept under that id is forgotten when its message is
 * sent again.
 */
export class JobRecords {
  readonly #broker: Broker
  readonly #resultTtlMs: number
  /** Longer than the result: which is stored up to an execution later. */
  readonly #recordTtlMs: number

  constructor({ broker, resultTtlMs, timeoutMs }: JobRecordsOptions) {
    this.#broker = broker
    this.#resultTtlMs = resultTtlMs
    this.#recordTtlMs = resultTtlMs + timeoutMs + WAIT_MS
  }

  /** @throws {ConfigError} `KIQ_NO_RESULT_BACKEND`, `KIQ_UNSUPPORTED` when there is no place for records. */
  check(): void {
    if (this.#backend.capabilities.progress) return
    throw new ConfigError(
      'KIQ_UNSUPPORTED',
      'The result backend of the broker of jobs keeps no progress, which holds the records of jobs. Use one that does.',
    )
  }

  /** @returns `undefined` when the job is not known, or no longer. */
  async read(id: string): Promise<JobParts | undefined> {
    const [base, run, result] = await Promise.all([this.base(id), this.run(id), this.#broker.getResult(id)])
    if (base === undefined) return undefined
    const webhook = base.webhook_url === null ? undefined : await this.webhook(webhookIdOf(id, base.retries))
    return { base, run, result, webhook }
  }

  async base(id: string): Promise<BaseRecord | undefined> {
    return (await this.#get(`${id}:job`)) as BaseRecord | undefined
  }

  async setBase(id: string, record: BaseRecord): Promise<void> {
    await this.#set(`${id}:job`, 'job', record)
  }

  async run(id: string): Promise<RunRecord | undefined> {
    return (await this.#get(`${id}:run`)) as RunRecord | undefined
  }

  async setRun(id: string, record: RunRecord): Promise<void> {
    await this.#set(`${id}:run`, record.state, record)
  }

  async webhook(webhookId: string): Promise<JobWebhook | undefined> {
    return (await this.#get(webhookId)) as JobWebhook | undefined
  }

  async setWebhook(webhookId: string, record: JobWebhook): Promise<void> {
    await this.#set(webhookId, record.state, record)
  }

  /** Of a job that was not sent after all. */
  async forget(id: string): Promise<void> {
    await this.#backend.forget([`${id}:job`, `${id}:run`])
  }

  /** Takes the result of a job away. @returns Puts it back. */
  async takeResult(id: string): Promise<() => Promise<void>> {
    const [body] = await this.#backend.get([id])
    if (body === undefined) return async () => undefined
    await this.#backend.forget([id])
    return async () => await this.#backend.save([{ taskId: id, body, ttlMs: this.#resultTtlMs }])
  }

  async #get(id: string): Promise<unknown> {
    const body = await this.#backend.getProgress(id)
    if (body === undefined) return undefined
    try {
      const text = typeof body === 'string' ? body : Buffer.from(body).toString()
      return (JSON.parse(text) as { readonly meta: unknown }).meta
    } catch (cause) {
      throw new ResultError(
        'KIQ_RESULT_UNREADABLE',
        `The record ${id} cannot be read: ${messageOf(cause)}. Do not set the progress of that id from elsewhere.`,
        { cause },
      )
    }
  }

  /** In the shape of progress, as JSON whatever the serializer of the broker: the records are read here alone. */
  async #set(id: string, state: string, meta: object): Promise<void> {
    const body = JSON.stringify({ state, meta }, writable)
    await this.#backend.setProgress({ taskId: id, body, ttlMs: this.#recordTtlMs })
  }

  get #backend(): ResultBackend {
    const { resultBackend } = this.#broker.parts
    if (resultBackend) return resultBackend
    throw new ConfigError(
      'KIQ_NO_RESULT_BACKEND',
      'The broker of jobs keeps no results, so nobody could ask for a job. Give it a result backend: ' +
        '`broker.withResultBackend(…)`.',
    )
  }
}

/** A job that is sent again has another event to tell of, with an id that its receiver has not seen. */
export function webhookIdOf(jobId: string, retries: number): string {
  return retries === 0 ? `${jobId}.webhook` : `${jobId}.webhook.${retries}`
}

/** Whole numbers beyond 2^53, which clients in other languages send, keep their digits as text. */
function writable(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
