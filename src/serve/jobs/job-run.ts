import { KiqError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import type { TaskContext } from '../../core/index.ts'
import { MAX_TIMER_MS, sleep } from '../../util/abort.ts'
import { backoffMs } from '../../util/backoff.ts'
import { messageOf } from '../../util/show.ts'
import type { OutputEnvelope } from '../output-envelope.ts'
import type { QueueMessage, QueueSender } from '../queues/index.ts'
import type { Job, JobModel, JobQueue, JobState } from './job.ts'
import { deliveriesOf, executionsOf, handBack } from './job-attempts.ts'
import type { BaseRecord, JobOutcome, JobRecords, RunFailure } from './job-records.ts'
import { fingerprintOf, readJobRequest } from './job-request.ts'
import type { CompleteRequest } from './job-request.ts'
import { endedJobOf } from './job-view.ts'
import { linkedSignal } from './linked-signal.ts'
import type { LiveRuns } from './live-runs.ts'
import { publicMessage } from './public-message.ts'
import { failureMessage, outputMessage } from './queue-message.ts'
import { RunWriter } from './run-writer.ts'

/** Label with the time at which a job was accepted. */
export const CREATED_LABEL = 'job_created_at'

const BUSY_BACKOFF = { baseMs: 50, maxMs: 2_000 }
/** Executions that ended with their process, after which a job is the reason. A worker gives a message up after one more. */
const MAX_DEATHS = 4

export interface JobRunParts {
  readonly records: JobRecords
  readonly live: LiveRuns
  readonly sender: QueueSender
  readonly timeoutMs: number
  readonly delays: 'delays' | 'waits'
  readonly log: Logger
  /** Aborts when what has not begun is to be handed back. */
  readonly stopping: AbortSignal
  /** Sends the webhook of a job that has one. Never rejects. */
  readonly announce: (job: Job, base: BaseRecord) => Promise<void>
  /** @throws {MessageError} `KIQ_ARGUMENTS_INVALID` for a webhook that is not allowed. */
  readonly checkRequest: (request: CompleteRequest) => void
  readonly onJob: (model: string, state: JobState) => void
}

/** Streams that ended with their worker, after which the job is the reason. */
const MAX_DIED_STREAMING = 2

/** How the model ended. */
type Inferred = { readonly envelope: OutputEnvelope } | { readonly error: unknown }

/** One execution of a job: the model, the message to the queue, the webhook, the records. */
export class JobRun {
  readonly #model: string
  readonly #infer: JobModel['infer']
  readonly #input: unknown
  readonly #context: TaskContext
  readonly #parts: JobRunParts
  readonly #startedAt = new Date().toISOString()

  constructor(job: JobRunTask, parts: JobRunParts) {
    this.#model = job.model
    this.#infer = job.infer
    this.#input = job.input
    this.#context = job.context
    this.#parts = parts
  }

  get #id(): string {
    return this.#context.taskId
  }

  /** @throws what makes the task fail, or hands its message back. */
  async execute(): Promise<JobOutcome> {
    const end = this.#parts.live.begin(this.#id)
    let request: CompleteRequest | undefined
    let refused: unknown
    try {
      request = readJobRequest(this.#input)
      this.#parts.checkRequest(request)
    } catch (error) {
      refused = error
    }
    try {
      return await this.#executeRequest(request ?? NO_REQUEST, refused)
    } finally {
      end()
      this.#parts.live.tell(this.#id, { type: 'changed' })
    }
  }

  async #executeRequest(request: CompleteRequest, refused: unknown): Promise<JobOutcome> {
    const { records, live, log, onJob } = this.#parts
    const base = await this.#readBase(request)
    const run = {
      state: 'running' as const,
      started_at: this.#startedAt,
      finished_at: null,
      attempt: executionsOf(this.#context),
      progress: null,
      failure: null,
    }
    const writer = new RunWriter(this.#id, run, { records, log })
    try {
      await Promise.all([this.#writeBase(base), writer.put()])
      live.tell(this.#id, { type: 'changed' })
      onJob(this.#model, 'running')
      const inferred = refused === undefined ? await this.#inferred(request, writer) : { error: refused }
      return await this.#finish({ request, base, writer }, inferred)
    } catch (error) {
      if (this.#isHandedBack(error)) await writer.end({ ...run, state: 'queued', attempt: run.attempt - 1 })
      throw error
    } finally {
      await writer.close()
    }
  }

  /** @throws what hands the message back, and the reason of a cancel. */
  async #inferred({ message }: CompleteRequest, writer: RunWriter): Promise<Inferred> {
    const { live, stopping, timeoutMs } = this.#parts
    const { signal: told } = this.#context
    const deliveries = deliveriesOf(this.#context)
    if (deliveries > MAX_DEATHS) return { error: diedTooOften(this.#id, deliveries - 1) }
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(tookTooLong(this.#id, timeoutMs)), Math.min(timeoutMs, MAX_TIMER_MS))
    const signal = AbortSignal.any([told, late.signal])
    const onProgress = (value: unknown): void => {
      if (signal.aborted || !isJson(value)) return
      writer.progress(value)
      live.tell(this.#id, { type: 'progress', value: value ?? null })
    }
    const stream = { hasBegun: false, deaths: 0 }
    const onOutput = (output: object): void => {
      stream.hasBegun = true
      if (!signal.aborted) live.tell(this.#id, { type: 'output', output })
    }
    try {
      for (let attempt = 1; ; attempt += 1) {
        const inferred = await outcomeOf(() => this.#infer(message, { signal, onOutput, onProgress }), signal)
        if ('envelope' in inferred) return inferred
        if (told.aborted && !KiqError.is(told.reason, 'KIQ_TASK_TIMED_OUT')) throw told.reason
        const { error } = inferred
        if (signal.aborted) return { error: signal.reason }
        if (KiqError.is(error, 'KIQ_SERVE_STOPPING')) return await handBack(this.#context, this.#parts.delays)
        // The model does not run a batch again of which an output was told; for a job the outputs may come twice.
        const hasDied = stream.hasBegun && KiqError.is(error, 'KIQ_SERVE_WORKER_DIED')
        if (hasDied && stream.deaths < MAX_DIED_STREAMING) {
          stream.hasBegun = false
          stream.deaths += 1
          continue
        }
        if (!KiqError.is(error, 'KIQ_SERVE_BUSY')) return inferred
        const wait = linkedSignal(signal, stopping)
        await sleep(backoffMs(attempt, BUSY_BACKOFF), wait.signal)
        wait.unlink()
        if (stopping.aborted) return await handBack(this.#context, this.#parts.delays)
      }
    } catch (error) {
      if (KiqError.is(error, 'KIQ_TASK_CANCELLED')) return { error }
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  async #finish({ request, base, writer }: Finishing, inferred: Inferred): Promise<JobOutcome> {
    const { onJob, announce } = this.#parts
    const finished_at = new Date().toISOString()
    const isCancelled = 'error' in inferred && KiqError.is(inferred.error, 'KIQ_TASK_CANCELLED')
    const failed = 'error' in inferred ? publicMessage(inferred.error, `job ${this.#id}`) : undefined
    if ('error' in inferred && !isCancelled) this.#log(inferred.error)
    const queue = isCancelled ? null : await this.#send(request, { inferred, failed, finished_at })
    const outcome: RunFailure =
      'envelope' in inferred
        ? { envelope: inferred.envelope, error: inferred.envelope.error, queue }
        : { envelope: null, error: failed ?? null, queue }
    const isSuccess = 'envelope' in inferred && inferred.envelope.status === 'success'
    const state = isSuccess ? 'succeeded' : isCancelled ? 'cancelled' : 'failed'
    const ended = { ...writer.record, state: 'ended' as const, finished_at, failure: isSuccess ? null : outcome }
    const job = endedJobOf(this.#id, { base, run: ended, webhook: undefined }, { state, run: ended, outcome })
    await Promise.all([writer.end(ended), announce(job, base)])
    onJob(this.#model, state)
    if (!isSuccess) throw failure(this.#id, inferred)
    const { attempt } = ended
    return { envelope: inferred.envelope, queue, started_at: this.#startedAt, finished_at, attempt }
  }

  async #send(request: CompleteRequest, { inferred, failed, finished_at }: Sending): Promise<JobQueue | null> {
    const facts = { jobId: this.#id, timestamp: finished_at }
    const message: QueueMessage =
      'envelope' in inferred
        ? outputMessage(inferred.envelope, request, facts)
        : failureMessage(failed ?? '', request, facts)
    const { state, attempts, error } = await this.#parts.sender.send(message)
    if (state === 'skipped') return null
    const name = message.queueName
    if (state === 'sent') return { name, state, attempts, error: null }
    this.#parts.log.error({ err: error, job: this.#id, queue: name }, 'The message of a job did not reach its queue.')
    const why = `The queue did not take the message. The log of the service has the cause, under job ${this.#id}.`
    return { name, state, attempts, error: why }
  }

  /** One that another client has sent has none yet. */
  async #readBase(request: CompleteRequest): Promise<BaseRecord> {
    let known: BaseRecord | undefined
    try {
      known = await this.#parts.records.base(this.#id)
    } catch (err) {
      this.#parts.log.warn({ err, job: this.#id }, 'The record of a job could not be read; it is made anew.')
    }
    const created = this.#context.labels[CREATED_LABEL]
    return {
      model_name: this.#model,
      created_at: known?.created_at ?? (typeof created === 'string' ? created : this.#startedAt),
      meta: request.meta,
      webhook_url: request.webhook?.url ?? null,
      fingerprint: known?.fingerprint ?? fingerprintOf(this.#model, request),
      retries: known?.retries ?? 0,
      // From now on the message is with a worker, or with the dead letters.
      request: null,
    }
  }

  async #writeBase(base: BaseRecord): Promise<void> {
    try {
      await this.#parts.records.setBase(this.#id, base)
    } catch (err) {
      this.#parts.log.warn({ err, job: this.#id }, 'The record of a job could not be written; the job goes on.')
    }
  }

  /** Not the end of the job: another execution follows, here or elsewhere. Who has lost the lease writes nothing. */
  #isHandedBack(error: unknown): boolean {
    return !KiqError.is(error) || (error.code === 'KIQ_WORKER_STOPPED' && error === this.#context.signal.reason)
  }

  #log(err: unknown): void {
    this.#parts.log.error({ err, job: this.#id, model: this.#model }, `A job failed: ${messageOf(err)}`)
  }
}

/** What is to be executed. */
export interface JobRunTask {
  readonly model: string
  readonly infer: JobModel['infer']
  /** As received. */
  readonly input: unknown
  readonly context: TaskContext
}

interface Finishing {
  readonly request: CompleteRequest
  readonly base: BaseRecord
  readonly writer: RunWriter
}

interface Sending {
  readonly inferred: Inferred
  readonly failed: string | undefined
  readonly finished_at: string
}

const NO_REQUEST: CompleteRequest = { message: null, success_queue: '', failure_queue: '', meta: {}, webhook: null }

/** What cannot be stored cannot be told either. */
function isJson(value: unknown): boolean {
  try {
    JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? 0 : item))
    return true
  } catch {
    return false
  }
}

/** The outcome of the model, or none as soon as the signal aborts: a model may not watch it. */
async function outcomeOf(infer: () => Promise<OutputEnvelope>, signal: AbortSignal): Promise<Inferred> {
  if (signal.aborted) return { error: signal.reason }
  let stop = (): void => undefined
  const aborted = new Promise<Inferred>((resolve) => {
    stop = (): void => resolve({ error: signal.reason })
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    const inferred = infer().then(
      (envelope) => ({ envelope }),
      (error: unknown) => ({ error }),
    )
    return await Promise.race([inferred, aborted])
  } catch (error) {
    return { error }
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function failure(id: string, inferred: Inferred): Error {
  if ('error' in inferred) {
    const { error } = inferred
    if (KiqError.is(error)) return error
    return new KiqError('KIQ_TASK_FAILED', `The model failed for job ${id}: ${messageOf(error)}`, { cause: error })
  }
  const { status, error } = inferred.envelope
  return new KiqError('KIQ_TASK_FAILED', `The output of job ${id} has the status "${status}": ${error ?? 'no reason'}`)
}

function tookTooLong(id: string, ms: number): KiqError {
  return new KiqError(
    'KIQ_SERVE_TIMED_OUT',
    `Job ${id} was not done within ${ms / 1000} s, and was ended. Send less at once, or raise \`async_config.timeout\`.`,
  )
}

function diedTooOften(id: string, deaths: number): KiqError {
  return new KiqError(
    'KIQ_SERVE_WORKER_DIED',
    `Job ${id} is given up: ${deaths} processes that ran it ended before it was done. Find out why in their logs, then ` +
      'send it again.',
  )
}
