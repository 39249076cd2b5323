import { Counter, Gauge, Histogram, Registry } from 'prom-client'

import { BoundedLabels, NO_LABEL } from './bounded-labels.ts'
import { ProcessMetrics } from './process-metrics.ts'
import type { SendCount } from './queues/index.ts'

/** How a model goes. */
export interface ModelFacts {
  readonly name: string
  /** `ready`: takes requests. */
  readonly state: string
  /** Requests that wait for a batch. */
  readonly waiting: number
  /** Batches in work. */
  readonly running: number
  readonly workers: number
}

/** What is read when somebody asks. */
export interface MetricSources {
  readonly models: readonly ModelFacts[]
  /** Messages by queue, since the start. */
  readonly queues: ReadonlyMap<string, SendCount>
}

export interface ServeMetricsOptions {
  /** Name of the service. */
  readonly app: string
  /** Of the service. @defaultValue `'(none)'` */
  readonly version?: string | undefined
  /** May throw: then the values from here are missing, and everything else is there. */
  readonly sources: () => MetricSources
  /** Whether memory, processor time and event loop of this process are told, too. @defaultValue `true` */
  readonly processMetrics?: boolean | undefined
}

/** How a request ended. */
export interface RequestOutcome {
  /** The one it was for, if it was for one. */
  readonly model?: string | undefined
  /** Of the answer. */
  readonly status: number
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
const MAX_LABELS = 100

/**
 * What a service tells Prometheus. Each service has a registry of its own, and nothing goes to that of prom-client.
 *
 * Only the values of labels that are known, or the first hundred, have series of their own: a request cannot make new ones
 * without end.
 */
export class ServeMetrics {
  readonly #registry = new Registry()
  readonly #sources: () => MetricSources
  readonly #process: ProcessMetrics | undefined
  readonly #models = new Set<string>()
  readonly #routes = new BoundedLabels(MAX_LABELS)
  readonly #reasons = new BoundedLabels(MAX_LABELS)
  readonly #states = new BoundedLabels(MAX_LABELS)

  readonly #requestSeconds: Histogram<'route' | 'model' | 'status'>
  readonly #requestsInProgress: Gauge<'route'>
  readonly #batchSize: Histogram<'model'>
  readonly #batchSeconds: Histogram<'model'>
  readonly #queueSeconds: Histogram<'model'>
  readonly #jobs: Counter<'model' | 'state'>
  readonly #webhooks: Counter<'outcome'>
  readonly #restarts: Counter<'model' | 'reason'>
  readonly #itemsFailed: Counter<'model' | 'reason'>
  readonly #waiting: Gauge<'model'>
  readonly #running: Gauge<'model'>
  readonly #workers: Gauge<'model'>
  readonly #ready: Gauge<'model'>
  readonly #messages: Counter<'queue' | 'state'>
  readonly #sourceErrors: Counter

  constructor({ app, version = NO_LABEL, sources, processMetrics = true }: ServeMetricsOptions) {
    this.#sources = sources
    this.#requestSeconds = this.#histogram('request_duration_seconds', 'Time to answer a request.', {
      labels: ['route', 'model', 'status'],
      buckets: SECONDS,
    })
    this.#requestsInProgress = this.#gauge('requests_in_progress', 'Requests that are being answered.', ['route'])
    this.#batchSize = this.#histogram('batch_size', 'Inputs of a batch.', { labels: ['model'], buckets: SIZES })
    this.#batchSeconds = this.#histogram('batch_duration_seconds', 'Time that a pipeline takes for a batch.', {
      labels: ['model'],
      buckets: SECONDS,
    })
    this.#queueSeconds = this.#histogram('queue_wait_seconds', 'Time that a request waits for its batch.', {
      labels: ['model'],
      buckets: SECONDS,
    })
    this.#jobs = this.#counter('jobs_total', 'Jobs that came into a state.', ['model', 'state'])
    this.#webhooks = this.#counter('webhooks_total', 'Attempts to deliver webhooks.', ['outcome'])
    this.#restarts = this.#counter('worker_restarts_total', 'Workers that were replaced.', ['model', 'reason'])
    this.#itemsFailed = this.#counter('items_failed_total', 'Inputs for which a pipeline failed.', ['model', 'reason'])
    this.#waiting = this.#gauge('waiting_requests', 'Requests that wait for a batch.', ['model'])
    this.#running = this.#gauge('running_batches', 'Batches in work.', ['model'])
    this.#workers = this.#gauge('workers', 'Workers of a model.', ['model'])
    this.#ready = this.#gauge('model_ready', 'Whether a model takes requests: 1 or 0.', ['model'])
    this.#messages = this.#counter('queue_messages_total', 'Messages with outcomes of jobs.', ['queue', 'state'])
    this.#sourceErrors = this.#counter('scrape_errors_total', 'Scrapes without the values of models and queues.', [])
    this.#gauge('info', 'The service; always 1.', ['app', 'version']).set({ app, version }, 1)
    this.#process = processMetrics ? new ProcessMetrics(this.#registry) : undefined
  }

  /** Of what {@link ServeMetrics.text} gives. */
  get contentType(): string {
    return this.#registry.contentType
  }

  /**
   * A request has come.
   *
   * @param route - Its template, such as `/jobs/{id}`.
   * @returns To be called when it is answered; harmless when called again.
   */
  beginRequest(route: string): (outcome: RequestOutcome) => void {
    const label = this.#routes.of(route)
    const startedAt = performance.now()
    this.#requestsInProgress.inc({ route: label })
    let hasEnded = false
    return ({ model, status }) => {
      if (hasEnded) return
      hasEnded = true
      this.#requestsInProgress.dec({ route: label })
      this.#requestSeconds.observe(
        { route: label, model: this.#modelLabel(model), status: statusLabel(status) },
        (performance.now() - startedAt) / 1_000,
      )
    }
  }

  /** A batch was done, whatever its outcome. */
  batch(model: string, { size, seconds }: { readonly size: number; readonly seconds: number }): void {
    const labels = { model: this.#modelLabel(model) }
    this.#batchSize.observe(labels, size)
    this.#batchSeconds.observe(labels, seconds)
  }

  /** A request has left the queue for a batch. */
  queueWait(model: string, seconds: number): void {
    this.#queueSeconds.observe({ model: this.#modelLabel(model) }, seconds)
  }

  /** A job has come into a state. */
  job(model: string, state: string): void {
    this.#jobs.inc({ model: this.#modelLabel(model), state: this.#states.of(state) })
  }

  /** A webhook was tried. */
  webhook(outcome: string): void {
    this.#webhooks.inc({ outcome: this.#states.of(outcome) })
  }

  /** A worker was replaced. */
  workerRestart(model: string, reason: string): void {
    this.#restarts.inc({ model: this.#modelLabel(model), reason: this.#reasons.of(reason) })
  }

  /** A pipeline failed for an input. */
  itemFailed(model: string, reason: string): void {
    this.#itemsFailed.inc({ model: this.#modelLabel(model), reason: this.#reasons.of(reason) })
  }

  /** Everything, in the text format of Prometheus. */
  async text(): Promise<string> {
    this.#process?.begin()
    this.#readSources()
    const text = await this.#registry.metrics()
    this.#process?.end()
    return text
  }

  /** Ends what measures by itself. The values stay, and can still be asked for. */
  close(): void {
    this.#process?.close()
  }

  /** Nothing is better than what was true at an earlier time, so all values go before the new ones come. */
  #readSources(): void {
    this.#forget()
    try {
      const { models, queues } = this.#sources()
      for (const { name: model, state, waiting, running, workers } of models) {
        this.#models.add(model)
        this.#waiting.set({ model }, waiting)
        this.#running.set({ model }, running)
        this.#workers.set({ model }, workers)
        this.#ready.set({ model }, state === 'ready' ? 1 : 0)
      }
      for (const [queue, { sent, failed }] of queues) {
        this.#messages.inc({ queue, state: 'sent' }, sent)
        this.#messages.inc({ queue, state: 'failed' }, failed)
      }
    } catch {
      this.#forget()
      this.#sourceErrors.inc()
    }
  }

  #forget(): void {
    for (const metric of [this.#waiting, this.#running, this.#workers, this.#ready, this.#messages]) metric.reset()
  }

  /** A name that is not served comes from a request, and must not get a series. */
  #modelLabel(model: string | undefined): string {
    if (model === undefined) return NO_LABEL
    if (this.#models.has(model)) return model
    try {
      for (const { name } of this.#sources().models) this.#models.add(name)
    } catch {
      // Counting must not fail what is counted.
    }
    return this.#models.has(model) ? model : NO_LABEL
  }

  #histogram<L extends string>(
    name: string,
    help: string,
    { labels, buckets }: { readonly labels: readonly L[]; readonly buckets: readonly number[] },
  ): Histogram<L> {
    return new Histogram({
      name: `kiq_serve_${name}`,
      help,
      labelNames: [...labels],
      buckets: [...buckets],
      registers: [this.#registry],
    })
  }

  #counter<L extends string>(name: string, help: string, labels: readonly L[]): Counter<L> {
    return new Counter({ name: `kiq_serve_${name}`, help, labelNames: [...labels], registers: [this.#registry] })
  }

  #gauge<L extends string>(name: string, help: string, labels: readonly L[]): Gauge<L> {
    return new Gauge({ name: `kiq_serve_${name}`, help, labelNames: [...labels], registers: [this.#registry] })
  }
}

function statusLabel(status: number): string {
  return Number.isInteger(status) && status >= 100 && status <= 599 ? String(status) : NO_LABEL
}
