import { resolve } from 'node:path'

import { ConfigError, KiqError } from '../contract/index.ts'
import type { Logger } from '../contract/index.ts'
import { defaultLogger, durationMs } from '../core/index.ts'
import type { Broker } from '../core/index.ts'
import { sleep } from '../util/abort.ts'
import type { Duration } from '../util/duration.ts'
import type { ServeConfig } from './config/index.ts'
import { connect } from './connections.ts'
import type { Connections } from './connections.ts'
import { FolderWatch } from './folder-watch.ts'
import { createApp } from './http/app.ts'
import type { App } from './http/environment.ts'
import { unknownModel } from './http/find-model.ts'
import type { Served } from './http/served.ts'
import { listen } from './http/server.ts'
import type { HttpServer, ListenOptions } from './http/server.ts'
import type { AnyPipelineClass } from './make-model.ts'
import { makeModel } from './make-model.ts'
import { ServeMetrics } from './metrics.ts'
import type { OutputEnvelope } from './output-envelope.ts'
import { runSettings } from './run-settings.ts'
import type { RunSettings } from './run-settings.ts'
import type { InferOptions, ServiceModel } from './service-model.ts'
import type { InferenceServiceOptions, ModelOptions, ServiceOptions } from './service-options.ts'
import { isInferenceWorker } from './workers/index.ts'

/** A server that listens. */
export interface ServerHandle {
  /** Where to reach it, for example `http://127.0.0.1:8000`. */
  readonly url: string
  readonly port: number
  /** Closes the service, too; see {@link InferenceService.close}. */
  close(options?: CloseOptions): Promise<void>
}

export interface CloseOptions {
  /**
   * Longest time for requests and jobs that have begun. What is not done then is cut off; jobs are executed again later.
   *
   * @defaultValue `'30s'`
   */
  readonly timeout?: Duration | undefined
}

/** Milliseconds for which an answer of the pipelines about their health is good. */
const READY_MS = 500

/** Milliseconds for messages to queues that are under way when a worker of the jobs ends. */
const WORKER_END_MS = 5_000

/** Milliseconds between looks at the folder of the models where every batch should look. */
const WATCH_MS = 5_000

/**
 * Serves models: over HTTP, as asynchronous jobs, and to this process by {@link InferenceService.infer}.
 *
 * States: *made*: models can be added; *starting* and *running* after {@link InferenceService.start} or
 * {@link InferenceService.listen}; *closed* after {@link InferenceService.close}, for good.
 *
 * @example
 * ```ts
 * const service = new InferenceService({ modelName: 'echo', pipeline: Echo, input, output, config: await loadServeConfig() })
 * const server = await service.listen({ port: 8000 })
 * ```
 */
export class InferenceService<I = unknown, O extends object = object> {
  readonly config: ServeConfig
  readonly #options: ServiceOptions
  readonly #log: Logger
  readonly #run: RunSettings = runSettings()
  readonly #models = new Map<string, ServiceModel>()
  readonly #pipelines = new Map<string, AnyPipelineClass>()
  readonly #metrics: ServeMetrics
  readonly #closing = new AbortController()
  readonly #startedAt = new Date()
  #connected: Promise<Connections> | undefined
  #starting: Promise<void> | undefined
  #running: Connections | undefined
  #closed: Promise<void> | undefined
  #server: HttpServer | undefined
  #watch: FolderWatch | undefined
  #app: App | undefined
  #ready: { readonly at: number; readonly answer: Promise<boolean> } | undefined

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` when the configuration does not have the model, or an option is out of range. */
  constructor(options: InferenceServiceOptions<I, O>) {
    this.#options = options
    this.config = options.config
    this.#log = options.logger ?? this.#run.log ?? defaultLogger
    this.#metrics = new ServeMetrics({
      app: this.config.appName,
      version: this.#version,
      sources: () => ({
        models: [...this.#models.values()].map(({ name, served }) => {
          const { waiting, running } = served.stats
          return { name, state: served.state, waiting, running, workers: served.workers }
        }),
        queues: this.#running?.sender.counts ?? new Map(),
      }),
    })
    const { modelName, pipeline, input, output, batching, workers } = options
    if (modelName === undefined) return
    if (pipeline === undefined || input === undefined) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `Model "${modelName}" has no ${pipeline === undefined ? 'pipeline' : 'input schema'}. Pass \`pipeline\` and \`input\`.`,
      )
    }
    this.withModel(modelName, { pipeline, input, output, batching, workers })
  }

  /**
   * Adds a model. It is served under its name: `?model_name=`, or `/models/<name>/…`.
   *
   * @throws {ConfigError} `KIQ_CONFIG_INVALID` for a name that is taken or not configured, or after the start.
   */
  withModel<MI, MO extends object>(modelName: string, options: ModelOptions<MI, MO>): this {
    if (this.#starting !== undefined || this.#connected !== undefined || this.#models.has(modelName)) {
      const why = this.#models.has(modelName) ? 'there is one of that name' : 'the service has started'
      throw new ConfigError('KIQ_CONFIG_INVALID', `Model "${modelName}" cannot be added: ${why}.`)
    }
    const parts = { name: modelName, config: this.config, run: this.#run, metrics: this.#metrics, log: this.#log }
    this.#models.set(modelName, makeModel({ ...parts, options }))
    this.#pipelines.set(modelName, options.pipeline)
    return this
  }

  get modelNames(): readonly string[] {
    return [...this.#models.keys()]
  }

  /** @internal For worker processes, which load the module of the service. */
  get servedPipelines(): ReadonlyMap<string, AnyPipelineClass> {
    return this.#pipelines
  }

  /**
   * Loads the models, and begins to execute jobs. Resolves when all are warm.
   *
   * @throws what `setup` or `warmup` of a pipeline threw; nothing runs then.
   */
  async start(): Promise<void> {
    this.#assertUsable('start')
    await (this.#starting ??= this.#start())
  }

  /**
   * Starts the service and answers HTTP. It listens at once, so that probes have an answer while models load, and resolves
   * when they are warm.
   *
   * @param options - `host` and `port`: those of `http_config` when not given.
   */
  async listen(options: ListenOptions = {}): Promise<ServerHandle> {
    this.#assertUsable('listen')
    const { host, port } = this.config.appSettings.httpConfig
    const server = await listen(this.app, { host: options.host ?? host, port: options.port ?? port })
    this.#server = server
    try {
      await this.start()
    } catch (error) {
      await server.close(0)
      throw error
    }
    return { url: server.url, port: server.port, close: async (how) => await this.close(how) }
  }

  /** Answers one request, for servers that speak `fetch`. The service has to be started. */
  async fetch(request: Request): Promise<Response> {
    return await this.app.fetch(request)
  }

  /** @internal */
  get app(): App {
    return (this.#app ??= createApp(this.#served()))
  }

  /**
   * The outcome for one input, without HTTP.
   *
   * @param options.modelName - Needed where there are several.
   * @throws {InvalidInputError} `KIQ_ARGUMENTS_INVALID` for an input that does not fit its schema.
   * @throws {BusyError} `KIQ_SERVE_BUSY` when too many wait.
   */
  async infer(
    input: unknown,
    options: InferOptions & { readonly modelName?: string | undefined } = {},
  ): Promise<OutputEnvelope> {
    const [only] = this.#models.values()
    const { modelName = this.#models.size === 1 ? (only?.name ?? '') : '', ...rest } = options
    const model = this.#models.get(modelName)
    if (model === undefined) throw unknownModel(modelName, this.modelNames)
    return await model.infer(await model.parse(input), rest)
  }

  /**
   * The broker that keeps the jobs, with their tasks. A module that exports it can be given to `kiq worker`, which then
   * executes jobs; models are loaded when that worker starts.
   */
  async jobsBroker(): Promise<Broker> {
    const { broker } = await this.#connect()
    return broker
  }

  /**
   * Ends it: takes no more requests, lets those that have begun finish, ends pipelines and connections. Jobs that wait
   * stay for the next start. Harmless when called twice.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    const timeoutMs = durationMs('timeout', options.timeout ?? '30s')
    await (this.#closed ??= this.#close(timeoutMs))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #version(): string {
    return this.#options.version ?? '0.0.0'
  }

  #assertUsable(what: string): void {
    if (isInferenceWorker()) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `${what}() was called in a worker process, which loads this module for its pipeline. Export the service and start it ` +
          'with `kiq serve`, or put the pipeline into a module of its own and name that as `workers.module`.',
      )
    }
    if (this.#closed !== undefined) {
      throw new ConfigError('KIQ_CONFIG_INVALID', 'This service was closed. A service runs once: make a new one.')
    }
    if (this.#models.size === 0) {
      throw new ConfigError('KIQ_CONFIG_INVALID', 'The service has no model. Pass one, or add it with withModel().')
    }
  }

  #served(): Served {
    const { config, log, metrics, models, startedAt } = {
      config: this.config,
      log: this.#log,
      metrics: this.#metrics,
      models: this.#models,
      startedAt: this.#startedAt,
    }
    const running = (): Connections => this.#assertRunning()
    const hasStarted = (): boolean => this.#running !== undefined
    return {
      config,
      version: this.#version,
      log,
      metrics,
      models,
      startedAt,
      closing: this.#closing.signal,
      get jobs() {
        return running().jobs
      },
      get hasStarted() {
        return hasStarted()
      },
      isReady: async () => await this.#isReady(),
    }
  }

  #assertRunning(): Connections {
    if (this.#running !== undefined && !this.#closing.signal.aborted) return this.#running
    throw new KiqError(
      'KIQ_SERVE_STOPPING',
      `The service takes no jobs: it ${this.#closing.signal.aborted ? 'stops' : 'has not started'}. Ask /health/ready, and ` +
        'try again.',
    )
  }

  async #isReady(): Promise<boolean> {
    if (this.#running === undefined || this.#closing.signal.aborted) return false
    const now = performance.now()
    if (this.#ready === undefined || now - this.#ready.at > READY_MS) {
      const models = [...this.#models.values()]
      const answer = Promise.all(models.map(async ({ served }) => await served.isHealthy()))
      this.#ready = { at: now, answer: answer.then((all) => all.every(Boolean)) }
    }
    return await this.#ready.answer
  }

  async #start(): Promise<void> {
    const connections = await this.#connect()
    // Before the models read their files, so that no change is missed.
    await this.#watchModels()
    try {
      await this.#startModels()
      await connections.jobs.start()
    } catch (error) {
      await this.#watch?.stop()
      await this.#stopModels()
      throw error
    }
    this.#running = connections
  }

  async #startModels(): Promise<void> {
    const started = await Promise.allSettled([...this.#models.values()].map(async ({ served }) => await served.start()))
    const failed = started.find((one) => one.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  async #stopModels(): Promise<void> {
    await Promise.all([...this.#models.values()].map(async ({ served }) => await served.stop({ waiting: 'fail' })))
  }

  async #watchModels(): Promise<void> {
    const seconds = this.config.appSettings.deploymentConfig.volumeReloadIntervalSeconds
    if (seconds === null) return
    this.#watch = new FolderWatch({
      folder: resolve(this.config.modelSettings.localModelRepositoryFolder),
      intervalMs: seconds <= 0 ? WATCH_MS : seconds * 1_000,
      onChange: async () => {
        // One after the other: two generations of every model at once may be more than memory holds.
        for (const { served } of this.#models.values()) await served.reload()
      },
      log: this.#log,
    })
    await this.#watch.start()
  }

  async #connect(): Promise<Connections> {
    return await (this.#connected ??= connect({
      config: this.config,
      options: this.#options,
      models: this.#models,
      metrics: this.#metrics,
      log: this.#log,
      executes: this.#run.jobsWorker !== false,
      // A worker that was started elsewhere with the broker of the jobs needs the models.
      onWorkerStart: async () => await this.#startModels(),
      onWorkerEnd: async () => {
        if (this.#starting !== undefined) return
        await this.#stopModels()
        await (await this.#connected)?.closeQueues(WORKER_END_MS)
      },
    }))
  }

  async #close(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs
    const left = (): number => Math.max(0, deadline - performance.now())
    this.#closing.abort()
    if (this.#running === undefined) {
      // It still starts, or could not. A pipeline in this process that hangs as it loads cannot be ended.
      const over = new AbortController()
      const stopped = Promise.allSettled([this.#starting, this.#stopModels()])
      await Promise.race([stopped, sleep(left(), over.signal)])
      over.abort()
    }
    await this.#watch?.stop()
    const connections = await this.#connected?.catch(() => undefined)
    // At once: no job begins that would have to be ended.
    const jobs = this.#starting === undefined ? undefined : connections?.jobs.stop({ timeoutMs: left() })
    await Promise.all([this.#server?.close(left()), jobs])
    if (this.#running !== undefined) await this.#stopModels()
    await connections?.closeQueues(left())
    await connections?.closeBroker()
    this.#metrics.close()
  }
}
