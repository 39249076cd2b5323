import { ConfigError } from '../contract/index.ts'
import type {
  Delivery,
  Logger,
  ResultBackend,
  TaskInjector,
  Transport,
  WritableScheduleSource,
} from '../contract/index.ts'
import { runAll } from '../util/run-all.ts'
import type { TaskContext } from './context.ts'
import type { BrokerEvent, EventHandler, State } from './events.ts'
import type { MiddlewareStack } from './middleware-stack.ts'
import { notSetUp } from './not-set-up.ts'
import { refuseInIsolate } from './registry.ts'
import type { TaskDefinition } from './task-definition.ts'

/** What a worker is told of by its broker. */
export interface WorkerHooks {
  readonly onCancel: (taskId: string) => void
  readonly onLeaseLost: (deliveries: readonly Delivery[]) => void
  /** A task was declared after the start: it may have a queue of its own. */
  readonly onTask: () => void
}

/** The parts that are started and stopped, as they are when that happens. */
export interface LifecycleParts {
  readonly transport: Transport
  readonly workerId: string
  readonly defaultQueue: string
  readonly state: State
  readonly middlewares: MiddlewareStack
  readonly logger: () => Logger
  readonly resultBackend: () => ResultBackend | undefined
  readonly scheduleSource: () => WritableScheduleSource | undefined
  readonly injector: () => TaskInjector<TaskContext> | undefined
  readonly tasks: () => readonly TaskDefinition[]
  /** Resolves when everything that is on its way has left. */
  readonly drained: () => Promise<void>
  readonly onStopped: () => void
}

/**
 * Starting and stopping of a broker.
 *
 * States: *stopped*; *client* after {@link Lifecycle.startup}: sends; *worker* after {@link Lifecycle.startupWorker}: sends
 * and executes. What had started when a step fails is stopped again.
 */
export class Lifecycle {
  readonly #parts: LifecycleParts
  readonly #handlers = new Map<BrokerEvent, EventHandler[]>()
  #role: 'stopped' | 'client' | 'worker' = 'stopped'
  /** Of the workers of this process. */
  readonly #hooks = new Set<WorkerHooks>()
  /** The last start or stop, under way or done. */
  #changing: Promise<unknown> = Promise.resolve()
  #stopHandlers: (() => unknown)[] = []
  #stopMiddlewares: (() => unknown)[] = []
  #stopEngines: (() => unknown)[] = []

  constructor(parts: LifecycleParts) {
    this.#parts = parts
  }

  get isStarted(): boolean {
    return this.#role !== 'stopped'
  }

  on(event: BrokerEvent, handler: EventHandler): void {
    this.#handlers.set(event, [...(this.#handlers.get(event) ?? []), handler])
  }

  tellOfTask(): void {
    for (const hooks of this.#hooks) hooks.onTask()
  }

  assertStarted(): void {
    if (this.isStarted) return
    throw new ConfigError(
      'KIQ_BROKER_NOT_STARTED',
      'The broker is not started. Call `await broker.startup()` before sending, and not after shutdown().',
    )
  }

  assertStopped(method: string): void {
    if (!this.isStarted) return
    throw new ConfigError('KIQ_CONFIG_INVALID', `${method}() was called on a started broker. Call it before startup().`)
  }

  async startup(): Promise<void> {
    await this.#once(async () => {
      if (this.#role !== 'stopped') return
      refuseInIsolate('broker.startup()')
      await this.#start('client', ['clientStartup'])
    })
  }

  async shutdown(): Promise<void> {
    await this.#once(async () => {
      if (this.#role === 'stopped') return
      await this.#parts.drained()
      const errors = await runAll([() => this.#parts.injector()?.stop()])
      errors.push(...(await this.#undo()))
      if (errors.length > 0) throw errors[0]
    })
  }

  /** @returns Ends the calls to `hooks`; the broker stays started. */
  async startupWorker(hooks: WorkerHooks, events: readonly BrokerEvent[]): Promise<() => void> {
    this.#hooks.add(hooks)
    try {
      await this.#once(async () => {
        if (this.#role === 'worker') return
        this.checkInjection()
        if (this.#role === 'stopped') {
          refuseInIsolate('A worker')
          await this.#start('worker', events)
        } else {
          await this.#promote(events)
        }
      })
    } catch (error) {
      this.#hooks.delete(hooks)
      throw error
    }
    return () => this.#hooks.delete(hooks)
  }

  /** Client to worker. What was done for that is undone when a step fails; it stays a client. */
  async #promote(events: readonly BrokerEvent[]): Promise<void> {
    const before = this.#stopHandlers.length
    try {
      await this.#runHandlers(events)
      await this.#startInjection()
      await this.#startTransport('worker')
      this.#role = 'worker'
    } catch (error) {
      await runAll(this.#stopHandlers.splice(before))
      throw error
    }
  }

  /** In a thread or process for isolated tasks: worker handlers, and a connection for sending. */
  async startupIsolate(): Promise<void> {
    await this.#runHandlers(['workerStartup'])
    if (this.#parts.transport.capabilities.persists) await this.#start('client', [])
  }

  /** There nobody else uses the container, so it is closed. */
  async shutdownIsolate(): Promise<void> {
    const errors = await runAll([() => this.#parts.injector()?.close()])
    errors.push(...(await this.#undo()))
    if (errors.length > 0) throw errors[0]
  }

  /** Starts and stops one after the other, whoever asks for them at the same time. */
  async #once(change: () => Promise<void>): Promise<void> {
    const before = this.#changing
    const current = before.then(change)
    this.#changing = current.catch(() => undefined)
    await current
  }

  async #start(role: 'client' | 'worker', events: readonly BrokerEvent[]): Promise<void> {
    const { transport, middlewares } = this.#parts
    const logger = this.#parts.logger()
    try {
      await this.#runHandlers(events)
      for (const middleware of middlewares.all) {
        await middleware.startup?.()
        this.#stopMiddlewares.push(() => middleware.shutdown?.())
      }
      const backend = this.#parts.resultBackend()
      if (backend) {
        await backend.start({ logger })
        this.#stopEngines.unshift(() => backend.stop())
      }
      const source = this.#parts.scheduleSource()
      if (source) {
        await source.startup({ logger })
        this.#stopEngines.unshift(() => source.shutdown())
      }
      this.#stopEngines.unshift(() => transport.stop())
      await this.#startTransport(role)
      this.#role = role
      // Last: what is made may send already.
      if (role === 'worker') await this.#startInjection()
    } catch (error) {
      await this.#undo()
      throw error
    }
  }

  /** Handlers and middlewares may still send; the engines go last. */
  async #undo(): Promise<unknown[]> {
    const last = await runAll([...this.#stopHandlers.splice(0), ...this.#stopMiddlewares.splice(0)])
    await this.#parts.drained()
    this.#role = 'stopped'
    this.#hooks.clear()
    this.#parts.onStopped()
    return [...last, ...(await runAll(this.#stopEngines.splice(0)))]
  }

  /** Before anything is connected: what cannot work shall not begin. */
  checkInjection(): void {
    const tasks = this.#parts.tasks()
    const injector = this.#parts.injector()
    if (injector) {
      injector.check(tasks)
      return
    }
    const needy = tasks.filter(({ deps, run }) => deps !== undefined && run !== undefined).map(({ name }) => name)
    if (needy.length > 0) throw notSetUp(needy)
  }

  async #startInjection(): Promise<void> {
    // What an isolated task needs is made where it runs.
    await this.#parts.injector()?.start(this.#parts.tasks().filter(({ isolate }) => isolate === 'none'))
  }

  async #runHandlers(events: readonly BrokerEvent[]): Promise<void> {
    const { state } = this.#parts
    for (const event of events) {
      for (const handler of this.#handlers.get(event) ?? []) await handler(state)
      const opposite: BrokerEvent = event.startsWith('worker') ? 'workerShutdown' : 'clientShutdown'
      this.#stopHandlers.push(async () => {
        for (const handler of this.#handlers.get(opposite) ?? []) await handler(state)
      })
    }
  }

  async #startTransport(role: 'client' | 'worker'): Promise<void> {
    const { transport, workerId, defaultQueue } = this.#parts
    await transport.start({
      role,
      workerId,
      logger: this.#parts.logger(),
      defaultQueue,
      onCancel: (taskId) => {
        for (const hooks of this.#hooks) hooks.onCancel(taskId)
      },
      onLeaseLost: (deliveries) => {
        for (const hooks of this.#hooks) hooks.onLeaseLost(deliveries)
      },
    })
  }
}
