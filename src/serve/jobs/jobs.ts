import { setMaxListeners } from 'node:events'

import { ConfigError, KiqError } from '../../contract/index.ts'
import type { Logger, TaskMessage } from '../../contract/index.ts'
import { context, requeueTask, Worker } from '../../core/index.ts'
import type { Broker } from '../../core/index.ts'
import { MAX_TIMER_MS } from '../../util/abort.ts'
import type { BackoffOptions } from '../../util/backoff.ts'
import type { QueueSender } from '../queues/index.ts'
import { followJob } from './follow-job.ts'
import type { Job, JobEvent, JobModel, JobState } from './job.ts'
import { handBack } from './job-attempts.ts'
import { cancelJob, retryJob } from './job-changes.ts'
import type { JobChangeParts } from './job-changes.ts'
import { jobUnknown, keyReused } from './job-errors.ts'
import { messageOf } from './job-message.ts'
import type { JobTask } from './job-message.ts'
import { JobRecords } from './job-records.ts'
import type { BaseRecord, JobOutcome } from './job-records.ts'
import { fingerprintOf, keyedJobId, readJobRequest } from './job-request.ts'
import type { CompleteRequest, JobRequest } from './job-request.ts'
import { JobRun } from './job-run.ts'
import type { JobRunParts } from './job-run.ts'
import { JobSlots } from './job-slots.ts'
import { jobOf } from './job-view.ts'
import { LiveRuns } from './live-runs.ts'
import { noWebhooks, WEBHOOK_SLOTS, WebhookDeliveries } from './webhook-deliveries.ts'
import type { WebhookAttempt, WebhookSender } from './webhook.ts'

export interface JobsOptions {
  /**
   * Keeps the jobs. Not started yet. Needs a result backend with progress that keeps results when they are read; and to
   * cancel and to send again a transport that does.
   */
  readonly broker: Broker
  /** Whether {@link Jobs.stop} shuts the broker down. */
  readonly ownsBroker: boolean
  /** Jobs are on the queue `serve:<appName>`. */
  readonly appName: string
  readonly models: ReadonlyMap<string, JobModel>
  readonly sender: QueueSender
  /** Without it requests that name a webhook are refused. */
  readonly webhooks: WebhookSender | undefined
  /** Milliseconds for one execution; the wait in the queue does not count. */
  readonly timeoutMs: number
  /** Milliseconds for which jobs that have ended are known. */
  readonly resultTtlMs: number
  readonly log: Logger
  /** Whether {@link Jobs.start} starts a worker, too. A broker in memory executes in any case. */
  readonly executes: boolean
  /** Is told when a job reaches a state here. */
  readonly onJob?: ((model: string, state: JobState) => void) | undefined
  readonly onWebhook?: ((outcome: WebhookAttempt['outcome']) => void) | undefined
  /**
   * Waits between the attempts of a webhook, of which there are 12.
   *
   * @defaultValue 1 s, doubled each time, at most 10 min
   */
  readonly webhookBackoff?: BackoffOptions | undefined
}

export interface SubmitJobOptions {
  /** The same key with the same request gives the same job, for as long as the job is known. */
  readonly idempotencyKey?: string | undefined
  /** Keys of one caller are none of another. */
  readonly caller?: string | undefined
}

/** What the worker may take besides the outcome: queue messages are tried for 30 s. */
const AFTER_MODEL_MS = 60_000
/** How long a job waits here for another to end before it goes back for the workers of other processes to take. */
const MAX_HOLD_MS = 30_000

/**
 * Asynchronous requests as tasks of a broker: `serve.<model>`, with the request as keywords, so that clients in other
 * languages can send them, too. At least once: a job whose process ends is executed again, and may send its message twice.
 *
 * States: *made*; *started* by {@link Jobs.start}; *stopped* by {@link Jobs.stop}, for good.
 */
export class Jobs {
  readonly #options: JobsOptions
  readonly #records: JobRecords
  readonly #live = new LiveRuns()
  readonly #slots: JobSlots
  readonly #tasks = new Map<string, JobTask>()
  readonly #webhooks: WebhookDeliveries | undefined
  readonly #stopping = new AbortController()
  readonly #run: JobRunParts
  /** Requests with one key come one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>()
  readonly #queues: readonly string[]
  #worker: Worker | undefined

  /** Declares the tasks. */
  constructor(options: JobsOptions) {
    this.#options = options
    const { broker, appName, models, webhooks, log, resultTtlMs, timeoutMs } = options
    // Each job that waits listens.
    setMaxListeners(0, this.#stopping.signal)
    this.#records = new JobRecords({ broker, resultTtlMs, timeoutMs })
    this.#slots = new JobSlots(this.#concurrency)
    const queue = `serve:${appName}`
    const webhookQueue = `${queue}:webhooks`
    this.#queues = webhooks ? [queue, webhookQueue] : [queue]
    this.#webhooks =
      webhooks &&
      new WebhookDeliveries({
        broker,
        queue: webhookQueue,
        sender: webhooks,
        records: this.#records,
        resultTtlMs,
        log,
        backoff: options.webhookBackoff,
        onWebhook: (outcome) => options.onWebhook?.(outcome),
      })
    this.#run = {
      records: this.#records,
      live: this.#live,
      sender: options.sender,
      timeoutMs,
      delays: broker.transport.capabilities.delays ? 'delays' : 'waits',
      log,
      stopping: this.#stopping.signal,
      announce: async (job, base) => await this.#webhooks?.enqueue(job, base),
      checkRequest: (request) => void this.#checked(request),
      onJob: (model, state) => this.#tell(model, state),
    }
    for (const [name, model] of models) this.#tasks.set(name, this.#declare(name, model, queue))
    const ours = new Set([...this.#tasks.values()].map(({ taskName }) => taskName))
    broker.withMiddlewares({ preSend: (message) => (ours.has(message.taskName) ? onQueue(message, queue) : message) })
  }

  /**
   * Starts the broker, and the worker where it `executes`.
   *
   * @throws {ConfigError} `KIQ_NO_RESULT_BACKEND`, `KIQ_UNSUPPORTED` when the broker cannot keep jobs.
   */
  async start(): Promise<void> {
    const { broker, executes } = this.#options
    if (this.#stopping.signal.aborted) {
      throw new ConfigError('KIQ_CONFIG_INVALID', 'These jobs were stopped, and start once. Make new ones.')
    }
    this.#records.check()
    await broker.startup()
    if (!executes || this.#worker) return
    const worker = new Worker(broker, {
      queues: this.#queues,
      concurrency: this.#concurrency + (this.#webhooks ? WEBHOOK_SLOTS : 0),
      // Executions count themselves how often their process ended, and then tell the queue and the webhook of it.
      maxDeliveries: 1_000,
      waitTasksTimeout: MAX_TIMER_MS,
    })
    this.#worker = worker
    try {
      await worker.start()
    } catch (error) {
      this.#worker = undefined
      throw error
    }
  }

  /**
   * Takes no more jobs, and waits for those that run. What waits stays in its queue.
   *
   * @param options.timeoutMs - After so many milliseconds what still runs is aborted and goes back to its queue.
   */
  async stop({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    this.#stopping.abort()
    this.#slots.close()
    this.#webhooks?.stop()
    const worker = this.#worker
    if (worker) {
      const timer = setTimeout(
        () => void worker.stop({ running: 'abort' }).catch(() => undefined),
        Math.min(timeoutMs, MAX_TIMER_MS),
      )
      try {
        await worker.stop()
      } finally {
        clearTimeout(timer)
      }
    }
    if (this.#options.ownsBroker) await this.#options.broker.shutdown()
  }

  /**
   * Accepts a job. Resolves when the broker has it.
   *
   * @returns `isNew: false` for the job of an earlier request with the same key.
   * @throws {KiqError} `KIQ_SERVE_MODEL_UNKNOWN`, `KIQ_ARGUMENTS_INVALID`, `KIQ_SERVE_KEY_REUSED` for a key that came with
   *   another request.
   * @throws {BrokerError} when the broker does not take it.
   */
  async submit(
    model: string,
    request: JobRequest,
    { idempotencyKey: key, caller }: SubmitJobOptions = {},
  ): Promise<{ readonly job: Job; readonly isNew: boolean }> {
    const { broker, appName: app } = this.#options
    const task = this.#tasks.get(model)
    if (task === undefined) {
      const known = [...this.#tasks.keys()].join(', ')
      throw new KiqError('KIQ_SERVE_MODEL_UNKNOWN', `There is no model "${model}". Use one of: ${known}.`)
    }
    const complete = this.#checked(readJobRequest(request))
    const base: BaseRecord = {
      model_name: model,
      created_at: new Date().toISOString(),
      meta: complete.meta,
      webhook_url: complete.webhook?.url ?? null,
      fingerprint: fingerprintOf(model, complete),
      retries: 0,
      request: complete,
    }
    if (key === undefined) return await this.#accept(broker.nextTaskId(), task, base)
    const id = keyedJobId({ app, model, caller, key })
    return await this.#inTurn(id, async () => await this.#acceptOnce(id, task, base))
  }

  /** @returns `undefined` when there is no such job, or no longer. */
  async get(id: string): Promise<Job | undefined> {
    const parts = await this.#records.read(id)
    return parts && jobOf(id, parts)
  }

  /**
   * Takes a job out of its queue, or ends its execution. One that runs may be `running` still when this resolves.
   *
   * @throws {KiqError} `KIQ_SERVE_JOB_UNKNOWN`, `KIQ_SERVE_JOB_STATE` when it has ended.
   * @throws {ConfigError} `KIQ_UNSUPPORTED` when the transport cannot cancel.
   */
  async cancel(id: string): Promise<Job> {
    return await cancelJob(id, this.#changes)
  }

  /**
   * Sends a job again that has failed or was cancelled, under its id.
   *
   * @throws {KiqError} `KIQ_SERVE_JOB_UNKNOWN`, `KIQ_SERVE_JOB_STATE` when it has not failed, or its message is gone.
   * @throws {ConfigError} `KIQ_UNSUPPORTED` when the transport keeps no dead letters.
   */
  async retry(id: string): Promise<Job> {
    return await retryJob(id, this.#changes)
  }

  /** The events of a job until its end; see {@link followJob}. */
  follow(id: string, { signal }: { readonly signal?: AbortSignal | undefined } = {}): AsyncIterable<JobEvent> {
    const look = async (): Promise<Job> => await this.#known(id)
    return followJob(id, { broker: this.#options.broker, live: this.#live, look }, signal)
  }

  get #concurrency(): number {
    let sum = 0
    for (const { concurrency } of this.#options.models.values()) sum += concurrency
    return Math.max(1, sum)
  }

  #declare(name: string, model: JobModel, queue: string): JobTask {
    const { broker, timeoutMs, resultTtlMs } = this.#options
    return broker.task({
      name: `serve.${name}`,
      queue,
      // The execution ends by itself; this is for one that does not.
      timeout: timeoutMs + AFTER_MODEL_MS,
      resultTtl: resultTtlMs,
      keepFailed: broker.transport.deadLetters !== undefined,
      run: async (input: CompleteRequest) => await this.#execute(name, model, input),
    })
  }

  async #execute(name: string, model: JobModel, input: unknown): Promise<JobOutcome> {
    const current = context()
    const ms = this.#options.broker.transport.capabilities.persists ? MAX_HOLD_MS : MAX_TIMER_MS
    const slot = await this.#slots.acquire({ ms, signal: current.signal })
    try {
      // Cancelled while it waited: it has not begun.
      if (slot === 'over') current.signal.throwIfAborted()
      if (slot === 'over' && this.#stopping.signal.aborted) return await handBack(current, this.#run.delays)
      if (slot === 'over') throw requeueTask()
      const infer: JobModel['infer'] = async (message, options) => await model.infer(message, options)
      return await new JobRun({ model: name, infer, input, context: current }, this.#run).execute()
    } finally {
      if (slot === 'held') this.#slots.release()
    }
  }

  async #accept(id: string, task: JobTask, base: BaseRecord): Promise<{ readonly job: Job; readonly isNew: boolean }> {
    await this.#records.setBase(id, base)
    try {
      await this.#options.broker.send([messageOf(id, task, base)])
    } catch (error) {
      await this.#records.forget(id).catch(() => undefined)
      throw error
    }
    this.#tell(base.model_name, 'queued')
    return { job: jobOf(id, { base, run: undefined, result: undefined, webhook: undefined }), isNew: true }
  }

  async #acceptOnce(
    id: string,
    task: JobTask,
    base: BaseRecord,
  ): Promise<{ readonly job: Job; readonly isNew: boolean }> {
    const parts = await this.#records.read(id)
    if (parts && parts.base.fingerprint !== base.fingerprint) throw keyReused(id)
    if (parts === undefined) await this.#records.setBase(id, base)
    // Sent again when it may not have been sent: who wrote the record may have ended before.
    if (parts === undefined || this.#maySendAgain(parts.base, jobOf(id, parts))) {
      try {
        // For one key no later time: it is accepted once, whoever sends it.
        const once = { key: id, at: 1, ttlMs: this.#options.resultTtlMs }
        await this.#options.broker.send([messageOf(id, task, parts?.base ?? base)], once)
      } catch (error) {
        if (parts === undefined) await this.#records.forget(id).catch(() => undefined)
        throw error
      }
    }
    if (parts) return { job: jobOf(id, parts), isNew: false }
    this.#tell(base.model_name, 'queued')
    return { job: jobOf(id, { base, run: undefined, result: undefined, webhook: undefined }), isNew: true }
  }

  /** Only while the transport surely remembers that it took it. */
  #maySendAgain({ created_at, retries, request }: BaseRecord, { state, attempt }: Job): boolean {
    const { broker, resultTtlMs } = this.#options
    if (state !== 'queued' || attempt > 0 || retries > 0 || request === null) return false
    return broker.transport.capabilities.deduplicates && Date.now() - Date.parse(created_at) < resultTtlMs / 2
  }

  /** @throws {KiqError} `KIQ_ARGUMENTS_INVALID` for a webhook that cannot be. */
  #checked(request: CompleteRequest): CompleteRequest {
    if (request.webhook === null) return request
    const { webhooks } = this.#options
    if (webhooks === undefined) throw noWebhooks()
    return { ...request, webhook: { url: webhooks.assertUrl(request.webhook.url) } }
  }

  async #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(id) ?? Promise.resolve()).then(work)
    const settled = turn.catch(() => undefined)
    this.#turns.set(id, settled)
    try {
      return await turn
    } finally {
      if (this.#turns.get(id) === settled) this.#turns.delete(id)
    }
  }

  get #changes(): JobChangeParts {
    return {
      broker: this.#options.broker,
      records: this.#records,
      taskOf: (model) => this.#tasks.get(model),
      announce: this.#run.announce,
      onJob: this.#run.onJob,
    }
  }

  async #known(id: string): Promise<Job> {
    const job = await this.get(id)
    if (job) return job
    throw jobUnknown(id)
  }

  /** What counts them must not fail them. */
  #tell(model: string, state: JobState): void {
    try {
      this.#options.onJob?.(model, state)
    } catch (err) {
      this.#options.log.warn({ err, model, state }, 'What was to be told of a job threw.')
    }
  }
}

/** What another client has put on the queue says nothing of it, and would be sent again to the broker's own. */
function onQueue(message: TaskMessage, queue: string): TaskMessage {
  if (message.labels['queue_name'] !== undefined) return message
  return { ...message, labels: { ...message.labels, queue_name: queue } }
}
