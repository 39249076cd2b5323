import { AsyncLocalStorage } from 'node:async_hooks'

import type { Key, Thrown } from '../contract/index.ts'
import type { Broker, TaskContext } from '../core/index.ts'
import type { Binding } from './binding.ts'
import { UNSET } from './binding.ts'
import type { ClosingOptions } from './closers.ts'
import type { ContainerStore } from './container-store.ts'
import { ScopeError } from './errors.ts'
import { nameOf } from './keys.ts'
import { Pending } from './pending.ts'
import { ScopeValues } from './scope-values.ts'
import { Store } from './store.ts'

/** How a scope ended, for the generators in it. */
export interface ScopeOutcome {
  /** What it failed with; absent = it went well. */
  readonly error?: unknown
}

/**
 * What lives as long as one execution of a task, or as you say: each scoped key has one value in it. Values are made when
 * they are first asked for, and closed in reverse.
 */
export interface Scope extends AsyncDisposable {
  readonly isClosed: boolean
  /**
   * @throws {InjectionError} when the bindings that are needed for it do not fit.
   * @throws {ProviderError} `KIQ_DI_PROVIDER_FAILED`; the next call tries again.
   * @throws {ScopeError} `KIQ_DI_SCOPE_CLOSED`
   */
  get<T>(key: Key<T>): Promise<T>
  /** As {@link Scope.get}, for what is there or made without waiting. @throws {ScopeError} `KIQ_DI_ASYNC` otherwise. */
  getSync<T>(key: Key<T>): T
  /** Runs a function in which `inject()` asks this scope, also after an `await`. */
  run<T>(fn: () => T): T
  /**
   * Closes what was made here. Harmless when it is closed already.
   *
   * @param outcome - Generators are told of its error.
   * @throws what a generator threw after its `yield` when there was no error before.
   */
  close(outcome?: ScopeOutcome): Promise<void>
}

/** What belongs to an execution of a task. */
export interface TaskFacts {
  readonly context: TaskContext
  readonly broker: Broker
}

const running = new AsyncLocalStorage<ScopeStore>()

/** The scope of the function that {@link Scope.run} runs here. */
export function scopeOfRun(): ScopeStore | undefined {
  return running.getStore()
}

export class ScopeStore extends Store implements Scope {
  readonly container: ContainerStore
  readonly task: TaskFacts | undefined
  #values: ScopeValues | undefined
  #closing: Promise<Thrown | undefined> | undefined

  constructor(container: ContainerStore, task?: TaskFacts) {
    super()
    this.container = container
    this.task = task
  }

  get label(): string {
    if (this.task === undefined) return 'its scope'
    const { taskName, taskId } = this.task.context
    return `the scope of task "${taskName}" (${taskId})`
  }

  /** Puts values in before any is asked for. */
  seed(seeds: Iterable<readonly [key: Key, value: unknown]>): void {
    for (const [key, value] of seeds) {
      for (const binding of this.container.seedable(key)) (this.#values ??= new ScopeValues()).set(binding, value)
    }
  }

  protected override one(binding: Binding): unknown {
    if (binding.scope === 'singleton') return this.container.singleton(binding)
    if (binding.scope === 'transient') return this.build(binding)
    const held = this.#values === undefined ? UNSET : this.#values.get(binding)
    if (held !== UNSET) return held
    if (binding.recipe.kind === 'ambient') return binding.recipe.read(this)
    const made = this.build(binding)
    this.#keep(binding, made)
    return made
  }

  /** What fails is not kept: whoever asks again tries again. */
  #keep(binding: Binding, made: unknown): void {
    const values = (this.#values ??= new ScopeValues())
    values.set(binding, made)
    if (!(made instanceof Pending)) return
    made.done.then(
      () => values.set(binding, made.value),
      () => values.set(binding, UNSET),
    )
  }

  protected override async later(key: Key): Promise<unknown> {
    return await this.get(key)
  }

  async get<T>(key: Key<T>): Promise<T> {
    const link = this.container.checkedLink(key)
    this.assertOpen(nameOf(key))
    return (await this.wait(link)) as T
  }

  getSync<T>(key: Key<T>): T {
    const link = this.container.checkedLink(key)
    this.assertOpen(nameOf(key))
    return this.now(link) as T
  }

  run<T>(fn: () => T): T {
    return running.run(this, fn)
  }

  async close(outcome: ScopeOutcome = {}): Promise<void> {
    if (this.#closing) {
      await this.#closing
      return
    }
    const failure = 'error' in outcome ? { error: outcome.error } : undefined
    const ended = await this.end(failure)
    if (ended && ended !== failure) throw ended.error
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Closes; the first call decides how. @returns How it ended after that. */
  end(failure: Thrown | undefined): Promise<Thrown | undefined> {
    this.isClosed = true
    this.failure ??= failure
    return (this.#closing ??= this.closers.close(failure, this.closingOptions()))
  }

  protected override closingOptions(): ClosingOptions {
    return {
      timeoutMs: this.container.disposeTimeoutMs,
      report: (error) => this.container.report(error, this.task?.context),
    }
  }

  /** Closes where nothing has to be waited for. @returns Whether that was so. */
  endAtOnce(): boolean {
    if (this.hasClosers) return false
    this.isClosed = true
    return true
  }
}

/** @throws {ScopeError} `KIQ_DI_NO_SCOPE` where there is no task. */
export function taskOf(scope: ScopeStore, name: string): TaskFacts {
  if (scope.task) return scope.task
  throw new ScopeError(
    'KIQ_DI_NO_SCOPE',
    `${name} belongs to a running task, and this scope has none. Seed it: container.scope([[${name}, …]]).`,
  )
}
