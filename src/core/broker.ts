import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'

import { ConfigError, systemClock } from '../contract/index.ts'
import type {
  Clock,
  Formatter,
  Logger,
  Middleware,
  Progress,
  ResultBackend,
  ResultRecord,
  SendOnce,
  Serializer,
  TaskInjector,
  TaskMessage,
  TaskResult,
  Transport,
  WritableScheduleSource,
} from '../contract/index.ts'
import { JsonSerializer } from '../serializers/json-serializer.ts'
import { sleep } from '../util/abort.ts'
import { backoffMs } from '../util/backoff.ts'
import type { Duration } from '../util/duration.ts'
import { cancelledError } from './cancelled-error.ts'
import { defaultLogger } from './default-logger.ts'
import { optionalDurationMs } from './duration.ts'
import type { TaskContext } from './context.ts'
import type { BrokerEvent, EventHandler, State } from './events.ts'
import type { ExecuteCall, ExecuteOptions, RecordSendable } from './execute.ts'
import { execute } from './execute.ts'
import { toFailure } from './failure.ts'
import type { Producer } from './kicker.ts'
import { Lifecycle } from './lifecycle.ts'
import type { WorkerHooks } from './lifecycle.ts'
import { MiddlewareStack } from './middleware-stack.ts'
import { noteBroker, TaskRegistry } from './registry.ts'
import type { ResultCodec, WaitOptions } from './results.ts'
import { Results } from './results.ts'
import { retryKept } from './retry-kept.ts'
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
  /**
   * When delays and timeouts of tasks are over: for tests.
   *
   * @defaultValue the system's
   */
  readonly clock?: Clock | undefined
}

/** Formats of a broker whose messages do not leave the process; used until a serializer or formatter is chosen. */
export interface InProcessFormats {
  readonly formatter: Formatter
  readonly results: ResultCodec | undefined
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

  /** @internal */
  readonly clock: Clock
  readonly #tasks = new TaskRegistry()
  readonly #middlewares = new MiddlewareStack()
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
  #injector: TaskInjector<TaskContext> | undefined
  /** Sends the tasks of this broker in its place. */
  #standIn: Broker | undefined
  readonly #lifecycle: Lifecycle

  constructor(transport: Transport, options: BrokerOptions = {}, inProcess?: InProcessFormats) {
    noteBroker(this)
    this.transport = transport
    this.defaultQueue = options.queueName ?? 'taskiq'
    this.#resultBackend = options.resultBackend
    this.#serializer = options.serializer ?? new JsonSerializer()
    this.#inProcess = options.serializer ? undefined : inProcess
    this.#formatter = this.#inProcess?.formatter ?? new TaskiqFormatter(this.#serializer)
    this.#logger = options.logger ?? defaultLogger
    this.clock = options.clock ?? systemClock
    this.#sendTimeoutMs = optionalDurationMs('sendTimeout', options.sendTimeout, 10_000)
    this.#sender = new Sender({
      transport,
      middlewares: this.#middlewares,
      formatter: () => this.#formatter,
      logger: () => this.#logger,
      defaultQueue: this.defaultQueue,
      sendTimeoutMs: this.#sendTimeoutMs,
      scheduleSource: () => this.#scheduleSource,
      clock: this.clock,
      assertStarted: () => this.#lifecycle.assertStarted(),
    })
    this.#lifecycle = new Lifecycle({
      transport,
      workerId: this.workerId,
      defaultQueue: this.defaultQueue,
      state: this.state,
      middlewares: this.#middlewares,
      logger: () => this.#logger,
      resultBackend: () => this.#resultBackend,
      scheduleSource: () => this.#scheduleSource,
      injector: () => this.#injector,
      tasks: () => this.tasks,
      drained: () => this.#sender.drained(),
      onStopped: () => this.#results.close(),
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
    this.#lifecycle.tellOfTask()
    return () => this.#standIn ?? this
  })

  /** A task that other workers execute: it has a name and types, and no body here. */
  externalTask<A extends readonly unknown[] = readonly unknown[], R = unknown>(
    name: string,
    options: TaskOptions = {},
  ): Sendable<A, R> {
    const definition = defineTask({ name, style: 'positional', run: undefined, options })
    return createSendable<A, R>(definition, () => this.#standIn ?? this)
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

  /** @internal Makes tasks that were declared elsewhere tasks of this broker, too. */
  adopt(tasks: readonly TaskDefinition[]): void {
    for (const task of tasks) if (this.findTask(task.name) !== task) this.#tasks.add(task)
    this.#lifecycle.tellOfTask()
  }

  /**
   * @internal Has the tasks of this broker sent by another: for tests.
   *
   * @returns Ends that.
   */
  lendTo(standIn: Broker): () => void {
    if (this.#standIn) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        'Another test has this broker now. Close the one before, with `shutdown()`.',
      )
    }
    this.#standIn = standIn
    return () => {
      this.#standIn = undefined
    }
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
    this.#lifecycle.assertStopped('withResultBackend')
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
    this.#lifecycle.assertStopped('withScheduleSource')
    this.#scheduleSource = source
    return this
  }

  /** Format of messages, and of results unless the result backend has its own. */
  withSerializer(serializer: Serializer): this {
    this.#lifecycle.assertStopped('withSerializer')
    this.#serializer = serializer
    this.#inProcess = undefined
    if (this.#formatterIsOwn) this.#formatter = new TaskiqFormatter(serializer)
    return this
  }

  withFormatter(formatter: Formatter): this {
    this.#lifecycle.assertStopped('withFormatter')
    this.#formatter = formatter
    this.#formatterIsOwn = false
    return this
  }

  /** Ids of new tasks. The default is a UUIDv7 as 32 hexadecimal digits; Taskiq's are UUIDv4. */
  withIdGenerator(next: () => string): this {
    this.#nextId = next
    return this
  }

  /** What gives tasks their dependencies; `setupInjection()` of `kiq/di` calls it. */
  withInjector(injector: TaskInjector<TaskContext>): this {
    this.#lifecycle.assertStopped('withInjector')
    if (this.#injector) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        'This broker has a container already. Call setupInjection() once, with all modules in one container.',
      )
    }
    this.#injector = injector
    return this
  }

  withLogger(logger: Logger): this {
    this.#logger = logger
    return this
  }

  /** Calls the handler at every such event, in the order of registration. */
  on(event: BrokerEvent, handler: EventHandler): this {
    this.#lifecycle.on(event, handler)
    return this
  }

  // --- lifecycle

  get isStarted(): boolean {
    return this.#lifecycle.isStarted
  }

  /**
   * Connects for sending: event handlers, middlewares, result backend, transport. Harmless when started already. What
   * had started when a step fails is stopped again.
   */
  async startup(): Promise<void> {
    await this.#lifecycle.startup()
  }

  /**
   * Ends what {@link Broker.startup} began: waits for sends under way, then runs the event handlers, middlewares,
   * transport and result backend. Harmless when stopped already. Every step runs, also after one that failed;
   * the first error is thrown at the end.
   */
  async shutdown(): Promise<void> {
    await this.#lifecycle.shutdown()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  /** @internal @throws when what its tasks ask for cannot be injected. */
  checkInjection(): void {
    this.#lifecycle.checkInjection()
  }

  /**
   * @internal Connects for executing; a broker that was started as client becomes a worker.
   *
   * @returns Ends the calls to `hooks`; the broker stays started.
   */
  async startupWorker(hooks: WorkerHooks, events: readonly BrokerEvent[] = ['workerStartup']): Promise<() => void> {
    return await this.#lifecycle.startupWorker(hooks, events)
  }

  /** @internal In a thread or process for isolated tasks: worker handlers, and a connection for sending. */
  async startupIsolate(): Promise<void> {
    await this.#lifecycle.startupIsolate()
  }

  /** @internal Closes what {@link Broker.startupIsolate} and its tasks opened. */
  async shutdownIsolate(): Promise<void> {
    await this.#lifecycle.shutdownIsolate()
  }

  // --- executing

  /**
   * Runs a task in this process, as a worker would, with arguments through the message format, schema, hooks, injection and
   * timeout. Nothing is sent, stored or retried. The broker need not be started.
   *
   * @param input - The record of a record task; of other tasks the array of their arguments.
   * @returns What the function returned.
   * @throws what the function threw, the same object.
   */
  execute<A extends readonly unknown[], R>(task: RecordSendable<A, R>, ...call: ExecuteCall<A>): Promise<R>
  execute<A extends readonly unknown[], R>(task: Sendable<A, R>, args: NoInfer<A>, options?: ExecuteOptions): Promise<R>
  async execute<R>(task: Sendable<readonly unknown[], R>, input?: unknown, options?: ExecuteOptions): Promise<R> {
    return await execute(this, task, input, options)
  }

  /**
   * Sends a task again that has failed for good and was declared with `keepFailed`, or that is a dead letter: the same
   * message under the same id, and its attempts go on where they were. Its failed result is forgotten, so that whoever asks
   * waits for the next.
   *
   * @throws {MessageError} `KIQ_MESSAGE_NOT_KEPT` when there is no message of that task.
   * @throws {ConfigError} `KIQ_UNSUPPORTED` when the transport keeps none.
   */
  async retry<R = unknown>(taskId: string): Promise<SentTask<R>> {
    this.#lifecycle.assertStarted()
    await retryKept(this, taskId)
    return this.sentTask<R>(taskId)
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
      this.#lifecycle.assertStarted()
      return this.#results.wait<T | TaskResult>(taskId, options, map ?? ((result) => result))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The result as it stands now; `undefined` when there is none. */
  async getResult(taskId: string): Promise<TaskResult | undefined> {
    this.#lifecycle.assertStarted()
    return await this.#results.get(taskId)
  }

  /** Whether there is a result now. */
  async hasResult(taskId: string): Promise<boolean> {
    this.#lifecycle.assertStarted()
    return await this.#results.has(taskId)
  }

  async getProgress(taskId: string): Promise<Progress | undefined> {
    this.#lifecycle.assertStarted()
    return await this.#results.getProgress(taskId)
  }

  /** See {@link SentTask.cancel}. */
  async cancel(taskId: string): Promise<boolean> {
    this.#lifecycle.assertStarted()
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
      injector: this.#injector,
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
  readonly injector: TaskInjector<TaskContext> | undefined
}
