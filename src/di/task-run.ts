import { KiqError } from '../contract/index.ts'
import type { InjectedCall, Invocation, Key, TaskResult, Thrown } from '../contract/index.ts'
import type { Broker, TaskContext } from '../core/index.ts'
import { executionTimeSince, TaskSignal } from '../core/index.ts'
import { isPromiseLike } from '../util/thenable.ts'
import { withTimeLimit } from '../util/time-limit.ts'
import type { Link } from './binding.ts'
import { infoOf } from './builtins.ts'
import type { TaskInfo } from './builtins.ts'
import type { ContainerStore } from './container-store.ts'
import { ScopeError } from './errors.ts'
import { nameOf } from './keys.ts'
import { Pending, ready, valueIn } from './pending.ts'
import { ScopeStore } from './scope.ts'
import type { TaskFacts } from './scope.ts'
import type { TaskHooks } from './task-middleware.ts'
import { traced } from './trace.ts'

/** What of a task is the same in each of its executions. */
export interface TaskPlan {
  /** Begins the paths of errors. */
  readonly label: string
  /** `undefined`: its function takes no dependencies. */
  readonly links: readonly Link[] | undefined
}

/** A middleware with what its dependencies lead to. */
export interface PlannedHooks {
  readonly hooks: TaskHooks
  readonly label: string
  readonly links: readonly Link[]
}

export interface TaskRunParts {
  readonly store: ContainerStore
  readonly broker: Broker
  readonly middlewares: readonly PlannedHooks[]
}

/** A middleware whose `before` has run. */
interface Begun {
  readonly hooks: TaskHooks
  readonly deps: object
  readonly state: unknown
}

const NO_LINKS: readonly Link[] = []

/**
 * One execution in a scope of its own: dependencies, `before`, the function, the end of the scope, `after` or `onError`.
 * Where nothing has to be waited for, nothing is: a task whose dependencies are there is called at once.
 */
export class TaskRun implements Invocation, TaskFacts {
  readonly broker: Broker
  readonly #call: InjectedCall<TaskContext>
  readonly #plan: TaskPlan
  readonly #middlewares: readonly PlannedHooks[]
  readonly #scope: ScopeStore
  #begun: Begun[] | undefined
  #info: TaskInfo | undefined
  #phase: 'preparing' | 'running' | 'ending' = 'preparing'
  /** Nobody waits for it any more, for this reason. */
  #abandoned: Thrown | undefined

  constructor(call: InjectedCall<TaskContext>, plan: TaskPlan, { store, broker, middlewares }: TaskRunParts) {
    this.#call = call
    this.#plan = plan
    this.#middlewares = middlewares
    this.broker = broker
    this.#scope = new ScopeStore(store, this)
  }

  get context(): TaskContext {
    return this.#call.context
  }

  start(): void {
    const { links = NO_LINKS, label } = this.#plan
    let values: unknown
    try {
      values = this.#scope.record(links)
    } catch (error) {
      this.#fail(traced(error, [label], links))
      return
    }
    if (values instanceof Pending || this.#middlewares.length > 0) void this.#startSlowly(values)
    else this.#run(values)
  }

  async #startSlowly(values: unknown): Promise<void> {
    const { links = NO_LINKS, label } = this.#plan
    try {
      await ready(values)
    } catch (error) {
      this.#fail(traced(error, [label], links))
      return
    }
    for (const middleware of this.#middlewares) {
      if (this.#abandoned) return
      try {
        await this.#begin(middleware)
      } catch (error) {
        this.#fail(traced(error, [middleware.label], middleware.links))
        return
      }
    }
    if (!this.#abandoned) this.#run(valueIn(values))
  }

  async #begin({ hooks, links }: PlannedHooks): Promise<void> {
    const values = this.#scope.record(links)
    await ready(values)
    const deps = valueIn(values) as object
    const begun = { hooks, deps, state: await hooks.before?.(this.#taskInfo(), deps) }
    // Given up meanwhile: the others were told already.
    if (this.#abandoned) await this.#tellOne(begun, this.#abandoned, undefined)
    else (this.#begun ??= []).push(begun)
  }

  #run(deps: unknown): void {
    const { task, args } = this.#call
    const run = task.run as (...all: readonly unknown[]) => unknown
    this.#phase = 'running'
    let value: unknown
    try {
      value = this.#plan.links === undefined ? run(...args) : run(...args, deps)
    } catch (error) {
      this.#fail(error)
      return
    }
    if (isPromiseLike(value)) {
      value.then(
        (result) => this.#succeed(result),
        (error: unknown) => this.#fail(error),
      )
    } else {
      this.#succeed(value)
    }
  }

  #succeed(value: unknown): void {
    if (this.#abandoned) return
    const { abortedBy } = this.#call
    // What was told to stop, and not because the worker stops, has failed, whatever it returned.
    if (abortedBy && !KiqError.is(abortedBy, 'KIQ_WORKER_STOPPED')) {
      this.#fail(abortedBy)
      return
    }
    this.#call.onFunctionEnd()
    this.#phase = 'ending'
    if (this.#begun === undefined && this.#scope.endAtOnce()) this.#call.onEnd(undefined, value)
    else this.#tellEnd(undefined, value)
  }

  #fail(error: unknown): void {
    if (this.#abandoned) return
    const thrown = { error: this.#call.abortedBy ?? error }
    this.#call.onFunctionEnd()
    this.#phase = 'ending'
    this.#tellEnd(thrown, undefined)
  }

  #tellEnd(thrown: Thrown | undefined, value: unknown): void {
    this.#end(thrown, value).then(
      (outcome) => this.#call.onEnd(outcome, value),
      (error: unknown) => this.#call.onEnd({ error }, undefined),
    )
  }

  async abandon(reason: KiqError): Promise<void> {
    this.#abandoned = { error: reason }
    this.#phase = 'ending'
    await this.#end(this.#abandoned, undefined).catch(() => {})
  }

  /** @returns How it ended after all. */
  async #end(thrown: Thrown | undefined, value: unknown): Promise<Thrown | undefined> {
    // A task that ends without a result has ended well: what it did is kept.
    const isNoResult = thrown?.error instanceof TaskSignal && thrown.error.steering.kind === 'no-result'
    const failure = isNoResult ? undefined : thrown
    await this.#tell('inside', failure, value)
    const ended = await this.#scope.end(failure)
    await this.#tell('outside', ended, value)
    return ended ?? thrown
  }

  /** Runs `after` or `onError` of the middlewares of that phase, the last one first. */
  async #tell(phase: TaskHooks['phase'], failure: Thrown | undefined, value: unknown): Promise<void> {
    for (const begun of this.#begun?.toReversed() ?? []) {
      if (begun.hooks.phase === phase) await this.#tellOne(begun, failure, value)
    }
  }

  async #tellOne({ hooks, deps, state }: Begun, failure: Thrown | undefined, value: unknown): Promise<void> {
    const info = this.#taskInfo()
    const timeoutMs = this.#scope.container.disposeTimeoutMs
    try {
      const told = failure
        ? hooks.onError?.(info, failure.error, state, deps)
        : hooks.after?.(info, this.#result(value), state, deps)
      if (isPromiseLike(told)) await withTimeLimit(told, { ms: timeoutMs, late: () => hookTooSlow(timeoutMs) })
    } catch (err) {
      const hook = failure ? 'onError' : 'after'
      this.#call.context.log.error({ err, hook }, `The hook ${hook} of a task middleware failed; that is ignored.`)
    }
  }

  #result(returnValue: unknown): TaskResult {
    const { startedAt, message } = this.#call
    return { isErr: false, returnValue, executionTime: executionTimeSince(startedAt), labels: message.labels }
  }

  #taskInfo(): TaskInfo {
    return (this.#info ??= infoOf(this.#call))
  }

  /** For `inject()`. */
  scopeForFunctions(key: Key): ScopeStore {
    if (this.#phase !== 'preparing') return this.#scope
    throw new ScopeError(
      'KIQ_DI_NO_SCOPE',
      `inject(${nameOf(key)}) was called while the dependencies of the task were being made. Providers and \`before\` ` +
        'hooks declare theirs in `deps`.',
    )
  }
}

function hookTooSlow(timeoutMs: number): KiqError {
  return new KiqError(
    'KIQ_DI_DISPOSE_TIMED_OUT',
    `The hook did not end within ${timeoutMs} ms and is left to itself. Make it faster, or raise \`disposeTimeout\`.`,
  )
}
