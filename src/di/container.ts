import { AsyncLocalStorage } from 'node:async_hooks'

import { ConfigError, durationOption } from '../contract/index.ts'
import type { InjectedTask, Key, Logger, Provider } from '../contract/index.ts'
import { defaultLogger } from '../core/index.ts'
import type { TaskContext } from '../core/index.ts'
import type { Duration } from '../util/duration.ts'
import { show } from '../util/show.ts'
import { builtIns } from './builtins.ts'
import { ContainerStore } from './container-store.ts'
import type { DisposeError } from './errors.ts'
import { findUnused, rootOfTask } from './find-problems.ts'
import type { Root } from './find-problems.ts'
import { Graph } from './graph.ts'
import { flatten } from './module.ts'
import type { Module } from './module.ts'
import type { Problem } from './problems.ts'
import { Registry } from './registry.ts'
import { hooksOf, rootOfHooks } from './task-middleware.ts'
import type { TaskMiddleware } from './task-middleware.ts'
import { ScopeStore } from './scope.ts'
import type { Scope } from './scope.ts'

export interface ContainerOptions {
  readonly modules?: readonly Module[] | undefined
  readonly providers?: readonly Provider[] | undefined
  /**
   * Longest time for closing one value.
   *
   * @defaultValue `'10s'`
   */
  readonly disposeTimeout?: Duration | undefined
  /**
   * Told of each value that could not be closed where that changes no outcome; `task` is the task at whose end it was.
   * It is logged, too.
   */
  readonly onDisposeError?: ((error: DisposeError, task: TaskContext | undefined) => void) | undefined
  /** @defaultValue warnings and errors to the console; what happens in a task goes to the logger of its broker */
  readonly logger?: Logger | undefined
}

export interface CopyOptions extends Pick<ContainerOptions, 'modules' | 'providers'> {
  readonly overrides: readonly Provider[]
}

/** A task, as far as its dependencies go: what `broker.task()` returns. */
export interface ValidatedTask {
  readonly definition: InjectedTask
}

export interface ValidateOptions {
  /** Those that `setupInjection()` gets: what they ask for is looked at, too. */
  readonly middlewares?: readonly TaskMiddleware[] | undefined
  /** Also tells what no task reaches. */
  readonly unused?: boolean | undefined
}

/**
 * Makes values and keeps them.
 *
 * States: *open* from the beginning: values are made when they are first asked for, or before a worker's first message;
 * *closed* after {@link Container.close}: everything it made is closed, and it makes nothing more.
 */
export interface Container extends AsyncDisposable {
  readonly isClosed: boolean
  /**
   * A singleton, or a new transient.
   *
   * @throws {InjectionError} when the bindings that are needed for it do not fit.
   * @throws {ProviderError} `KIQ_DI_PROVIDER_FAILED`; the next call tries again.
   * @throws {ScopeError} `KIQ_DI_NO_SCOPE` for what is scoped.
   */
  get<T>(key: Key<T>): Promise<T>
  /** As {@link Container.get}, for what is there or made without waiting. @throws {ScopeError} `KIQ_DI_ASYNC` otherwise. */
  getSync<T>(key: Key<T>): T
  has(key: Key): boolean
  /** Adds modules, before the container is first used. @throws {ConfigError} `KIQ_CONFIG_INVALID` later. */
  install(...modules: readonly Module[]): this
  /**
   * Looks for everything that cannot work, in these tasks and in all that is bound, without making anything. Empty = all is
   * well: `expect(container.validate([welcome])).toEqual([])`.
   */
  validate(tasks?: readonly ValidatedTask[], options?: ValidateOptions): readonly Problem[]
  /** What is bound, and who needs what. */
  graph(tasks?: readonly ValidatedTask[]): Graph
  /**
   * A container in which some keys stand for something else. What reaches one of those keys is made anew in it; all other
   * singletons are shared with this one, and closed with this one.
   *
   * @throws {InjectionError} when the overrides do not fit.
   */
  fork(options: { readonly overrides: readonly Provider[] }): Container
  /** A scope to make values in by hand. @param seeds - Values for scoped keys. */
  scope(seeds?: Iterable<readonly [key: Key, value: unknown]>): Scope
  /**
   * Closes what it made, the last first. Resolves when all is closed, also after one that failed.
   *
   * @throws what could not be closed: the error, or an `AggregateError` of several.
   */
  close(): Promise<void>
}

/**
 * Makes a container. Nothing is made or checked before it is asked for.
 *
 * @throws {ConfigError} `KIQ_CONFIG_INVALID` when a provider or an option is not what it should be.
 */
export function createContainer(options: ContainerOptions = {}): Container {
  return new OwnContainer(options)
}

export class OwnContainer implements Container {
  readonly #options: ContainerOptions
  #modules: readonly Module[]
  #store: ContainerStore | undefined
  readonly #disposeTimeoutMs: number
  readonly #outside = AsyncLocalStorage.snapshot()

  constructor(options: ContainerOptions, store?: ContainerStore) {
    this.#options = options
    this.#modules = options.modules ?? []
    this.#store = store
    this.#disposeTimeoutMs = durationOption('disposeTimeout', options.disposeTimeout, { fallbackMs: 10_000, minMs: 1 })
    flatten(this.#modules, options.providers ?? [])
  }

  /** Made when first used: until then modules can be added. */
  get store(): ContainerStore {
    return (this.#store ??= new ContainerStore({
      registry: Registry.of([...builtIns, ...flatten(this.#modules, this.#options.providers ?? [])]),
      disposeTimeoutMs: this.#disposeTimeoutMs,
      logger: this.#options.logger ?? defaultLogger,
      outside: (fn) => this.#outside(fn),
      onDisposeError: this.#options.onDisposeError,
    }))
  }

  get isClosed(): boolean {
    return this.#store?.isClosed ?? false
  }

  async get<T>(key: Key<T>): Promise<T> {
    return (await this.store.get(key)) as T
  }

  getSync<T>(key: Key<T>): T {
    return this.store.getSync(key) as T
  }

  has(key: Key): boolean {
    return this.store.registry.find(key).length > 0
  }

  install(...modules: readonly Module[]): this {
    if (this.#store) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        'install() was called on a container that is in use. Call it before the first get(), validate() or startup.',
      )
    }
    flatten(modules, [])
    this.#modules = [...this.#modules, ...modules]
    return this
  }

  validate(tasks: readonly ValidatedTask[] = [], options: ValidateOptions = {}): readonly Problem[] {
    const hooks = (options.middlewares ?? []).map((one, i) => rootOfHooks(hooksOf(one), i))
    return this.problems([...rootsOf(tasks), ...hooks], options)
  }

  problems(roots: readonly Root[], { unused = false }: ValidateOptions = {}): readonly Problem[] {
    const { registry } = this.store
    return [...this.store.problems([...roots, ...this.#everything()]), ...(unused ? findUnused(registry, roots) : [])]
  }

  /** @throws {InjectionError} with everything that is wrong. */
  check(roots: readonly Root[]): void {
    this.store.check([...roots, ...this.#everything()])
  }

  /** Also what no task asks for: it is bound to be used. */
  #everything(): readonly Root[] {
    const edges = [...this.store.registry.keys].map((key) => ({ name: '', mode: 'all', key }) as const)
    return [{ label: undefined, edges }]
  }

  graph(tasks: readonly ValidatedTask[] = []): Graph {
    return new Graph(this.store.registry, rootsOf(tasks))
  }

  fork({ overrides }: { readonly overrides: readonly Provider[] }): OwnContainer {
    const { store } = this
    store.assertOpen('A fork')
    if (!Array.isArray(overrides)) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `The overrides are ${show(overrides)}. Pass a list of what bind() returns.`,
      )
    }
    const registry = store.registry.fork(flatten([], overrides))
    const fork = new OwnContainer(this.#options, new ContainerStore({ ...store.parts, registry }))
    fork.check([])
    return fork
  }

  /** One of its own for a test: with nothing made yet, nothing shared, and other values for some keys. */
  copy({ modules = [], providers = [], overrides }: CopyOptions): OwnContainer {
    const { store } = this
    const registry = store.registry.copy(flatten(modules, providers)).fork(flatten([], overrides))
    return new OwnContainer(this.#options, new ContainerStore({ ...store.parts, registry }))
  }

  scope(seeds: Iterable<readonly [key: Key, value: unknown]> = []): Scope {
    this.store.assertOpen('A scope')
    const scope = new ScopeStore(this.store)
    scope.seed(seeds)
    return scope
  }

  async close(): Promise<void> {
    await this.store.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function rootsOf(tasks: readonly ValidatedTask[]): readonly Root[] {
  return tasks.map((task) => {
    const definition = (task as ValidatedTask | undefined)?.definition
    if (definition === undefined) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `validate() was given ${show(task)} as a task. Use what broker.task() returns.`,
      )
    }
    return rootOfTask(definition)
  })
}
