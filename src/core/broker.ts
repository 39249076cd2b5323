import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'

import { ConfigError } from '../contract/index.ts'
import type {
  Delivery,
  Formatter,
  Logger,
  Middleware,
  Progress,
  ResultBackend,
  ResultRecord,
  SendOnce,
  Serializer,
  TaskMessage,
  TaskResult,
  Transport,
  WritableScheduleSource,
} from '../contract/index.ts'
import { JsonSerializer } from '../serializers/json-serializer.ts'
import { sleep } from '../util/abort.ts'
import { backoffMs } from '../util/backoff.ts'
import type { Duration } from '../util/duration.ts'
import { runAll } from '../util/run-all.ts'
import { cancelledError } from './cancelled-error.ts'
import { defaultLogger } from './default-logger.ts'
import { optionalDurationMs } from './duration.ts'
import type { BrokerEvent, EventHandler, State } from './events.ts'
import { toFailure } from './failure.ts'
import type { Producer } from './kicker.ts'
import { MiddlewareStack } from './middleware-stack.ts'
import { noteBroker, refuseInIsolate, TaskRegistry } from './registry.ts'
import type { ResultCodec, WaitOptions } from './results.ts'
import { Results } from './results.ts'
import { Sender } from './sender.ts'
import { SentTask } from './sent-task.ts'
import type { DeclareTask } from './declare-task.ts'
import { declareWith } from './declare-task.ts'
import type { TaskDefinition, TaskOptions } from './task-definition.ts'
import { defineTask } from './task-definition.ts'
import type { Sendable } from './task.ts'
import { createSendable } from './task.ts'
import { randomTaskId } from './task-id.ts'
import { TaskiqFormatter } from './taskiq-formatter.ts'

export interface BrokerOptions {
  /**
   * Queue of tasks that name none.
   *
   * @defaultValue `'taskiq'`, Taskiq's own default
   */
  readonly queueName?: string | undefined
  /**
   * How long results and progress are kept.
   *
   * @defaultValue `'24h'`
   */
  readonly resultTtl?: Duration | undefined
  /**
   * Longest time `kiq()` waits for the transport.
   *
   * @defaultValue `'10s'`
   */
  readonly sendTimeout?: Duration | undefined
  /** Where results go; none by default on a plain `Broker`, the engine's own on its subclasses. */
  readonly resultBackend?: ResultBackend | undefined
  /** @defaultValue JSON */
  readonly serializer?: Serializer | undefined
  /** @defaultValue warnings and errors to the console */
  readonly logger?: Logger | undefined
}

/** Formats of a broker whose messages do not leave the process; used until a serializer or formatter is chosen. */
export interface InProcessFormats {
  readonly formatter: Formatter
  readonly results: ResultCodec | undefined
}

/** What the worker and the command line need of a broker beyond its public face. */
export interface WorkerHooks {
  readonly onCancel: (taskId: string) => void
  readonly onLeaseLost: (deliveries: readonly Delivery[]) => void
  /** A task was declared after the start: it may have a queue of its own. */
  readonly onTask: () => void
}

const DAY_MS = 24 * 60 * 60 * 1000

/**
 * The object an application has one of: tasks, middlewares, results, serializer, events and state, on top of one
 * transport. Complete with any transport: `new Broker(myTransport)`.
 */
export class Broker implements Producer {
  /** Values shared by the tasks of this process; see {@link State}. */
  readonly state: State = {}
  readonly transport: Transport
  readonly defaultQueue: string
  /** Name of this process for the transport: host, process id and a random part. */
  readonly workerId: string = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`

  readonly #tasks = new TaskRegistry()
  readonly #middlewares = new MiddlewareStack()
  readonly #handlers = new Map<BrokerEvent, EventHandler[]>()
  readonly #sender: Sender
  readonly #sendTimeoutMs: number
  readonly #results: Results
  #resultBackend: ResultBackend | undefined
  #serializer: Serializer
  #formatter: Formatter
  #formatterIsOwn = true
  #inProcess: InProcessFormats | undefined
  #scheduleSource: WritableScheduleSource | undefined
  #logger: Logger
  #nextId: () => string = randomTaskId
  #role: 'stopped' | 'client' | 'worker' = 'stopped'
  /** Of the workers of this process. */
  readonly #hooks = new Set<WorkerHooks>()
  /** The last start or stop, under way or done. */
  #changing: Promise<unknown> = Promise.resolve()
  #stopHandlers: (() => unknown)[] = []
  #stopMiddlewares: (() => unknown)[] = []
  #stopEngines: (() => unknown)[] = []

  constructor(transport: Transport, options: BrokerOptions = {}, inProcess?: InProcessFormats) {
    noteBroker(this)
    this.transport = transport
    this.defaultQueue = options.queueName ?? 'taskiq'
    this.#resultBackend = options.resultBackend
    this.#serializer = options.serializer ?? new JsonSerializer()
    this.#inProcess = options.serializer ? undefined : inProcess
    this.#formatter = this.#inProcess?.formatter ?? new TaskiqFormatter(this.#serializer)
    this.#logger = options.logger ?? defaultLogger
    this.#sendTimeoutMs = optionalDurationMs('sendTimeout', options.sendTimeout, 10_000)
    this.#sender = new Sender({
      transport,
      middlewares: this.#middlewares,
      formatter: () => this.#formatter,
      logger: () => this.#logger,
      defaultQueue: this.defaultQueue,
      sendTimeoutMs: this.#sendTimeoutMs,
      scheduleSource: () => this.#scheduleSource,
      assertStarted: () => this.#assertStarted(),
    })
    this.#results = new Results(
      () => this.#resultBackend,
      () => this.#serializer,
      () => (this.#resultBackend?.serializer ? undefined : this.#inProcess?.results),
      optionalDurationMs('resultTtl', options.resultTtl, DAY_MS),
    )
  }

  // --- tasks

  /**
   * Declares a task; see {@link DeclareTask}.
   *
   * @throws {ConfigError} `KIQ_TASK_DUPLICATE` when the name is taken.
   */
  readonly task: DeclareTask = declareWith((declared) => {
    this.#tasks.add(declared.definition)
    for (const hooks of this.#hooks) hooks.onTask()
    return () => this
  })

  /** A task that other workers execute: it has a name and types, and no body here. */
  externalTask<A extends readonly unknown[] = readonly unknown[], R = unknown>(
    name: string,
    options: TaskOptions = {},
  ): Sendable<A, R> {
    const definition = defineTask({ name, style: 'positional', run: undefined, options })
    return createSendable<A, R>(definition, () => this)
  }

  /** The task of that name: of this broker, else a shared one. */
  findTask(name: string): TaskDefinition | undefined {
    return this.#tasks.find(name)
  }

  /** All tasks this broker can execute, shared ones included. */
  get tasks(): readonly TaskDefinition[] {
    return this.#tasks.all()
  }

  /** Handle of a task that was sent earlier or elsewhere. */
  sentTask<R = unknown>(taskId: string): SentTask<R> {
    return new SentTask<R>(taskId, this)
  }

  // --- configuration; each returns the broker

  withMiddlewares(...middlewares: Middleware[]): this {
    this.#middlewares.add(middlewares)
    return this
  }

  /** Taskiq's other name of {@link Broker.withMiddlewares}. */
  addMiddlewares(...middlewares: Middleware[]): this {
    return this.withMiddlewares(...middlewares)
  }

  withResultBackend(backend: ResultBackend): this {
    this.#assertStopped('withResultBackend')
    this.#resultBackend = backend
    // Another store gets real bytes.
    if (this.#inProcess) this.#inProcess = { ...this.#inProcess, results: undefined }
    return this
  }

  /**
   * Where messages with a delay wait if the transport cannot delay: a scheduler on this source sends them when they are
   * due. Started and stopped with the broker.
   */
  withScheduleSource(source: WritableScheduleSource): this {
    this.#assertStopped('withScheduleSource')
    this.#scheduleSource = source
    return this
  }

  /** Format of messages, and of results unless the result backend has its own. */
  withSerializer(serializer: Serializer): this {
    this.#assertStopped('withSerializer')
    this.#serializer = serializer
    this.#inProcess = undefined
    if (this.#formatterIsOwn) this.#formatter = new TaskiqFormatter(serializer)
    return this
  }

  withFormatter(formatter: Formatter): this {
    this.#assertStopped('withFormatter')
    this.#formatter = formatter
    this.#formatterIsOwn = false
    return this
  }

  /** Ids of new tasks. The default is a UUIDv7 as 32 hexadecimal digits; Taskiq's are UUIDv4. */
  withIdGenerator(next: () => string): this {
    this.#nextId = next
    return this
  }

  withLogger(logger: Logger): this {
    this.#logger = logger
    return this
  }

  /** Calls the handler at every such event, in the order of registration. */
  on(event: BrokerEvent, handler: EventHandler): this {
    this.#handlers.set(event, [...(this.#handlers.get(event) ?? []), handler])
    return this
  }

  // --- lifecycle

  get isStarted(): boolean {
    return this.#role !== 'stopped'
  }

  /**
   * Connects for sending: event handlers, middlewares, result backend, transport. Harmless when started already. What
   * had started when a step fails is stopped again.
   */
  async startup(): Promise<void> {
    await this.#once(async () => {
      if (this.#role !== 'stopped') return
      refuseInIsolate('broker.startup()')
      await this.#start('client', ['clientStartup'])
    })
  }

  /**
   * Ends what {@link Broker.startup} began: waits for sends under way, then runs the event handlers, middlewares,
   * transport and result backend. Harmless when stopped already. Every step runs, also after one that failed;
   * the first error is thrown at the end.
   */
  async shutdown(): Promise<void> {
    await this.#once(async () => {
      if (this.#role === 'stopped') return
      await this.#sender.drained()
      const errors = await this.#undo()
      if (errors.length > 0) throw errors[0]
    })
  }

  /** Starts and stops one after the other, whoever asks for them at the same time. */
  async #once(change: () => Promise<void>): Promise<void> {
    const before = this.#changing
    const current = before.then(change)
    this.#changing = current.catch(() => undefined)
    await current
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  /**
   * @internal Connects for executing; a broker that was started as client becomes a worker.
   *
   * @returns Ends the calls to `hooks`; the broker stays started.
   */
  async startupWorker(hooks: WorkerHooks, events: readonly BrokerEvent[] = ['workerStartup']): Promise<() => void> {
    this.#hooks.add(hooks)
    try {
      await this.#once(async () => {
        if (this.#role === 'stopped') {
          refuseInIsolate('A worker')
          await this.#start('worker', events)
        } else if (this.#role === 'client') {
          await this.#runHandlers(events)
          await this.#startTransport('worker')
          this.#role = 'worker'
        }
      })
    } catch (error) {
      this.#hooks.delete(hooks)
      throw error
    }
    return () => this.#hooks.delete(hooks)
  }

  /** @internal In a thread or process for isolated tasks: worker handlers, and a connection for sending. */
  async startupIsolate(): Promise<void> {
    await this.#runHandlers(['workerStartup'])
    if (this.transport.capabilities.persists) await this.#start('client', [])
  }

  async #start(role: 'client' | 'worker', events: readonly BrokerEvent[]): Promise<void> {
    const logger = this.#logger
    try {
      await this.#runHandlers(events)
      for (const middleware of this.#middlewares.all) {
        await middleware.startup?.()
        this.#stopMiddlewares.push(() => middleware.shutdown?.())
      }
      const backend = this.#resultBackend
      if (backend) {
        await backend.start({ logger })
        this.#stopEngines.unshift(() => backend.stop())
      }
      const source = this.#scheduleSource
      if (source) {
        await source.startup({ logger })
        this.#stopEngines.unshift(() => source.shutdown())
      }
      this.#stopEngines.unshift(() => this.transport.stop())
      await this.#startTransport(role)
      this.#role = role
    } catch (error) {
      await this.#undo()
      throw error
    }
  }

  /** Handlers and middlewares may still send; the engines go last. */
  async #undo(): Promise<unknown[]> {
    const last = await runAll([...this.#stopHandlers.splice(0), ...this.#stopMiddlewares.splice(0)])
    this.#role = 'stopped'
    this.#hooks.clear()
    this.#results.close()
    return [...last, ...(await runAll(this.#stopEngines.splice(0)))]
  }

  async #runHandlers(events: readonly BrokerEvent[]): Promise<void> {
    for (const event of events) {
      for (const handler of this.#handlers.get(event) ?? []) await handler(this.state)
      const opposite: BrokerEvent = event.startsWith('worker') ? 'workerShutdown' : 'clientShutdown'
      this.#stopHandlers.push(async () => {
        for (const handler of this.#handlers.get(opposite) ?? []) await handler(this.state)
      })
    }
  }

  async #startTransport(role: 'client' | 'worker'): Promise<void> {
    await this.transport.start({
      role,
      workerId: this.workerId,
      logger: this.#logger,
      defaultQueue: this.defaultQueue,
      onCancel: (taskId) => {
        for (const hooks of this.#hooks) hooks.onCancel(taskId)
      },
      onLeaseLost: (deliveries) => {
        for (const hooks of this.#hooks) hooks.onLeaseLost(deliveries)
      },
    })
  }

  #assertStarted(): void {
    if (this.#role !== 'stopped') return
    throw new ConfigError(
      'KIQ_BROKER_NOT_STARTED',
      'The broker is not started. Call `await broker.startup()` before sending, and not after shutdown().',
    )
  }

  #assertStopped(method: string): void {
    if (this.#role === 'stopped') return
    throw new ConfigError('KIQ_CONFIG_INVALID', `${method}() was called on a started broker. Call it before startup().`)
  }

  // --- sending and results

  nextTaskId(): string {
    return this.#nextId()
  }

  /** @internal Use `task.kiq()` and `task.kiqMany()`. */
  send(messages: readonly TaskMessage[], once?: SendOnce): Promise<void> {
    return this.#sender.send(messages, once)
  }

  /** Waits for the result of a task; see {@link SentTask.waitResult}. */
  waitResult(taskId: string, options?: WaitOptions): Promise<TaskResult>
  /** @internal With what becomes of the result, so that a wait costs one promise. */
  waitResult<T>(taskId: string, options: WaitOptions | undefined, map: (result: TaskResult) => T): Promise<T>
  waitResult<T>(taskId: string, options?: WaitOptions, map?: (result: TaskResult) => T): Promise<T | TaskResult> {
    try {
      this.#assertStarted()
      return this.#results.wait<T | TaskResult>(taskId, options, map ?? ((result) => result))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The result as it stands now; `undefined` when there is none. */
  async getResult(taskId: string): Promise<TaskResult | undefined> {
    this.#assertStarted()
    return await this.#results.get(taskId)
  }

  /** Whether there is a result now. */
  async hasResult(taskId: string): Promise<boolean> {
    this.#assertStarted()
    return await this.#results.has(taskId)
  }

  async getProgress(taskId: string): Promise<Progress | undefined> {
    this.#assertStarted()
    return await this.#results.getProgress(taskId)
  }

  /** See {@link SentTask.cancel}. */
  async cancel(taskId: string): Promise<boolean> {
    this.#assertStarted()
    if (this.transport.cancel === undefined) {
      throw new ConfigError(
        'KIQ_UNSUPPORTED',
        `The transport "${this.transport.name}" cannot cancel tasks. Use one that can, or a timeout.`,
      )
    }
    const outcome = await this.transport.cancel(taskId)
    if (outcome === 'removed' && this.#resultBackend) {
      const error = toFailure(cancelledError(taskId))
      await this.#saveStubbornly(this.#results.encode(taskId, { isErr: true, error, executionTime: 0, labels: {} }))
    }
    return outcome !== 'unknown'
  }

  /** The message is gone already: without its result somebody would wait for ever. Tries for as long as a send may take. */
  async #saveStubbornly(record: ResultRecord): Promise<void> {
    const deadline = performance.now() + this.#sendTimeoutMs
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#results.save(record)
        return
      } catch (error) {
        const delayMs = backoffMs(attempt, { baseMs: 50, maxMs: 1_000 })
        if (performance.now() + delayMs > deadline) throw error
        await sleep(delayMs)
      }
    }
  }

  // --- for the worker

  /** @internal */
  get parts(): BrokerParts {
    return {
      middlewares: this.#middlewares,
      sender: this.#sender,
      results: this.#results,
      resultBackend: this.#resultBackend,
      scheduleSource: this.#scheduleSource,
      formatter: this.#formatter,
      logger: this.#logger,
    }
  }
}

/** @internal What a worker works with. */
export interface BrokerParts {
  readonly middlewares: MiddlewareStack
  readonly sender: Sender
  readonly results: Results
  readonly resultBackend: ResultBackend | undefined
  readonly scheduleSource: WritableScheduleSource | undefined
  readonly formatter: Formatter
  readonly logger: Logger
}
