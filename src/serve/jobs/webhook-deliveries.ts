import { setMaxListeners } from 'node:events'

import { KiqError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import { context, retryTask } from '../../core/index.ts'
import type { Broker, Sendable, TaskContext } from '../../core/index.ts'
import { sleep } from '../../util/abort.ts'
import { backoffMs } from '../../util/backoff.ts'
import type { BackoffOptions } from '../../util/backoff.ts'
import { isEnded } from './job.ts'
import type { Job, JobWebhook } from './job.ts'
import { handBack } from './job-attempts.ts'
import { webhookIdOf } from './job-records.ts'
import type { BaseRecord, JobRecords } from './job-records.ts'
import { jobOf } from './job-view.ts'
import { linkedSignal } from './linked-signal.ts'
import type { WebhookAttempt, WebhookSender } from './webhook.ts'

/** Webhooks on their way at once in this process. Each takes a slot of the worker that no job may have. */
export const WEBHOOK_SLOTS = 8
const MAX_ATTEMPTS = 12
const BACKOFF: BackoffOptions = { baseMs: 1_000, maxMs: 10 * 60 * 1000 }
const SEND_ATTEMPTS = 3
/** How long a webhook waits for the result of its job to be stored, each time. */
const RESULT_MS = 5_000
/** So many times; then it tells what it was sent with. */
const RESULT_WAITS = 12
/** Waits that no transport keeps pass in the worker, and hold a slot. */
const LONGEST_WAIT_HERE_MS = 30_000

export interface WebhookDeliveriesOptions {
  readonly broker: Broker
  readonly queue: string
  readonly sender: WebhookSender
  readonly records: JobRecords
  readonly resultTtlMs: number
  readonly log: Logger
  readonly backoff?: BackoffOptions | undefined
  readonly onWebhook: (outcome: WebhookAttempt['outcome']) => void
}

/** Arguments of the task. */
interface Delivery {
  readonly url: string
  /** How often the job had been sent again. */
  readonly retries: number
  /** The job at its end. */
  readonly job: Job
}

/** Tells URLs of the end of jobs, by a task of its own, so that neither a restart nor a dead server loses one. */
export class WebhookDeliveries {
  readonly #options: WebhookDeliveriesOptions
  readonly #task: Sendable<readonly [Delivery], void>
  readonly #delays: 'delays' | 'waits'
  readonly #stopping = new AbortController()
  #running = 0

  /** Declares the task. */
  constructor(options: WebhookDeliveriesOptions) {
    this.#options = options
    const { broker, queue } = options
    // Those that wait listen, at most as many as the worker runs.
    setMaxListeners(0, this.#stopping.signal)
    this.#delays = broker.transport.capabilities.delays ? 'delays' : 'waits'
    this.#task = broker.task({
      name: 'serve.webhook',
      queue,
      resultTtl: options.resultTtlMs,
      run: async (delivery: Delivery) => await this.#run(delivery),
    })
  }

  /** Sends the task, once per end of a job. Never rejects. */
  async enqueue(job: Job, { webhook_url: url, retries }: BaseRecord): Promise<void> {
    if (url === null) return
    const { broker, records, log, resultTtlMs } = this.#options
    const taskId = webhookIdOf(job.job_id, retries)
    const message = {
      taskId,
      taskName: this.#task.taskName,
      labels: this.#task.definition.labels,
      args: [],
      kwargs: { url, retries, job },
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        await broker.send([message], { key: taskId, at: 1, ttlMs: resultTtlMs })
        return
      } catch (err) {
        if (attempt < SEND_ATTEMPTS) {
          await sleep(backoffMs(attempt, { baseMs: 200, maxMs: 1_000 }))
          continue
        }
        log.error({ err, job: job.job_id, url }, 'The webhook of a job could not be queued, and is given up.')
        await records
          .setWebhook(taskId, { url, state: 'failed', attempts: 0, error: 'It could not be queued.' })
          .catch(() => undefined)
        return
      }
    }
  }

  /** Those that wait for something hand their messages back. */
  stop(): void {
    this.#stopping.abort()
  }

  async #run(delivery: Delivery): Promise<void> {
    const current = context()
    // A worker that others have started may run more at once than there are slots for.
    if (this.#running >= WEBHOOK_SLOTS) await handBack(current, this.#delays)
    this.#running += 1
    try {
      await this.#deliver(delivery, current)
    } finally {
      this.#running -= 1
    }
  }

  async #deliver({ url, retries, job: carried }: Delivery, current: TaskContext): Promise<void> {
    const { sender, records, onWebhook } = this.#options
    const id = webhookIdOf(carried.job_id, retries)
    const known = (await records.webhook(id)) ?? { url, state: 'pending' as const, attempts: 0, error: null }
    // It was delivered before its worker ended.
    if (known.state !== 'pending') return
    const job = await this.#settled(carried, retries, current)
    const attempts = known.attempts + 1
    const wait = linkedSignal(current.signal, this.#stopping.signal)
    const attempt = await sender.attempt({ url, id, body: bodyOf(job), signal: wait.signal })
    wait.unlink()
    if (attempt.outcome !== 'delivered') {
      current.signal.throwIfAborted()
      // Cut short: it does not count.
      if (this.#stopping.signal.aborted) return await handBack(current, this.#delays)
    }
    onWebhook(attempt.outcome)
    const next = stateAfter(attempt, attempts)
    await records.setWebhook(id, { url, state: next, attempts, error: attempt.error ?? null })
    if (next === 'pending') await this.#tryAgain(attempt, attempts)
    if (next === 'failed') this.#giveUp({ job: job.job_id, url, attempts, reason: attempt.error })
  }

  /** The job as whoever asks for it sees it, if its result is stored by now; else as its execution has sent it. */
  async #settled(carried: Job, retries: number, current: TaskContext): Promise<Job> {
    const { broker, records } = this.#options
    const id = carried.job_id
    const first = await records.read(id)
    // A later end of the job has a webhook of its own.
    if (first === undefined || first.base.retries !== retries) return carried
    if (first.result) return jobOf(id, first)
    const wait = linkedSignal(current.signal, this.#stopping.signal)
    await broker.waitResult(id, { timeout: RESULT_MS, signal: wait.signal }).catch(() => undefined)
    wait.unlink()
    current.signal.throwIfAborted()
    const parts = await records.read(id)
    const job = parts?.base.retries === retries && parts.result ? jobOf(id, parts) : undefined
    if (job && isEnded(job)) return job
    // Its process may have ended in between: then the job runs again.
    if (current.attempt > RESULT_WAITS || parts === undefined) return carried
    return await handBack(current, this.#delays)
  }

  async #tryAgain({ retryAfterMs = 0 }: WebhookAttempt, attempts: number): Promise<never> {
    const delay = Math.max(retryAfterMs, backoffMs(attempts, this.#options.backoff ?? BACKOFF))
    if (this.#delays === 'delays') throw retryTask({ delay })
    await sleep(Math.min(delay, LONGEST_WAIT_HERE_MS), this.#stopping.signal)
    throw retryTask()
  }

  #giveUp(fields: object): void {
    this.#options.log.warn(fields, 'A webhook is given up. Who gave its URL can ask for the job instead.')
  }
}

function stateAfter({ outcome }: WebhookAttempt, attempts: number): JobWebhook['state'] {
  if (outcome === 'delivered') return 'delivered'
  return outcome === 'never' || attempts >= MAX_ATTEMPTS ? 'failed' : 'pending'
}

function bodyOf(job: Job): string {
  return JSON.stringify({ type: `job.${job.state}`, timestamp: job.finished_at, data: job })
}

/** @throws {KiqError} `KIQ_ARGUMENTS_INVALID` */
export function noWebhooks(): KiqError {
  return new KiqError(
    'KIQ_ARGUMENTS_INVALID',
    'The request names a webhook, but this service sends none. Leave `webhook` out, and ask for the job.',
  )
}
