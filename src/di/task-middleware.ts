import { ConfigError } from '../contract/index.ts'
import type { Deps, DepsOrThunk, MaybePromise, TaskResult, Values } from '../contract/index.ts'
import { show } from '../util/show.ts'
import { edgesOf } from './binding.ts'
import type { TaskInfo } from './builtins.ts'
import type { Root } from './find-problems.ts'
import type { NoDeps } from './provider.ts'

declare const STATE: unique symbol

/** Made by {@link taskMiddleware}. */
export interface TaskMiddleware {
  readonly [STATE]: true
}

/**
 * When the hooks after a task run.
 *
 * - `outside`: after its scope was closed, so that they see the true outcome: a commit that failed is a failure.
 * - `inside`: before that, so that they may use scoped values.
 */
export type HookPhase = 'outside' | 'inside'

export interface TaskMiddlewareSpec<S, D extends Deps> {
  readonly deps?: DepsOrThunk<D> | undefined
  /** @defaultValue `'outside'` */
  readonly phase?: HookPhase | undefined
  /**
   * Runs when the dependencies of the task are there. What it returns is the state of the other hooks. If it throws, the
   * task is not run and fails with that error.
   */
  readonly before?: ((info: TaskInfo, deps: Values<D>) => MaybePromise<S>) | undefined
  /** Runs after a task that succeeded. If it throws, that is logged. */
  readonly after?:
    ((info: TaskInfo, result: TaskResult, state: NoInfer<S>, deps: Values<D>) => MaybePromise<void>) | undefined
  /**
   * Runs after a task that failed, with what it threw, if `before` of this middleware had run; a task that asks for another
   * attempt, or rejects its message, has failed. If it throws, that is logged.
   */
  readonly onError?:
    ((info: TaskInfo, error: unknown, state: NoInfer<S>, deps: Values<D>) => MaybePromise<void>) | undefined
}

/** As the injector reads it. */
export interface TaskHooks {
  readonly deps: DepsOrThunk
  readonly phase: HookPhase
  readonly before: ((info: TaskInfo, deps: object) => unknown) | undefined
  readonly after: ((info: TaskInfo, result: TaskResult, state: unknown, deps: object) => unknown) | undefined
  readonly onError: ((info: TaskInfo, error: unknown, state: unknown, deps: object) => unknown) | undefined
}

/**
 * Hooks around the functions of tasks, with dependencies and a state that is typed by what `before` returns. `before` runs
 * in the order of the list, the others in reverse.
 *
 * Unlike a broker's `Middleware` it sees nothing of sending and storing; and it runs wherever the function does, also in a
 * thread or process of its own, and in `broker.execute()`.
 */
export function taskMiddleware<S = undefined, const D extends Deps = NoDeps>(
  spec: TaskMiddlewareSpec<S, D>,
): TaskMiddleware {
  const { deps = {}, phase = 'outside', before, after, onError } = spec
  if ((phase as unknown) !== 'outside' && (phase as unknown) !== 'inside') {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `The phase of a task middleware is ${show(phase)}. Use outside or inside.`,
    )
  }
  for (const [name, hook] of Object.entries({ before, after, onError })) {
    if (hook === undefined || typeof hook === 'function') continue
    throw new ConfigError('KIQ_CONFIG_INVALID', `\`${name}\` of a task middleware is ${show(hook)}. Pass a function.`)
  }
  return { deps, phase, before, after, onError } as unknown as TaskMiddleware
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` for what {@link taskMiddleware} has not made. */
export function hooksOf(middleware: TaskMiddleware): TaskHooks {
  if (typeof middleware === 'object' && (middleware as unknown) !== null && 'phase' in middleware) {
    return middleware as unknown as TaskHooks
  }
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `A task middleware is ${show(middleware)}. Use what taskMiddleware() returns; hooks of the broker go to withMiddlewares().`,
  )
}

/** What a middleware asks for, the first of them being number 0. */
export function rootOfHooks(
  { deps, phase, after, onError }: TaskHooks,
  index: number,
): Root & { readonly label: string } {
  const label = `middleware:${index + 1}`
  const outlivesScope = phase === 'outside' && (after !== undefined || onError !== undefined)
  return { label, edges: edgesOf(deps, label), outlivesScope }
}
