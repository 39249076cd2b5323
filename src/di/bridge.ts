import type { MaybePromise, Token } from '../contract/index.ts'
import { TaskInfo } from './builtins.ts'
import { token } from './keys.ts'
import type { Module } from './module.ts'
import { module } from './module.ts'
import type { CreateSpec } from './provider.ts'
import { bind } from './provider.ts'
import type { ScopeOutcome } from './scope.ts'

export interface BridgeOptions<S> {
  /** In messages. */
  readonly name: string
  /** Opens a scope of the other container for one execution of a task. Without it all get the same: return the container. */
  readonly openScope: (task: TaskInfo) => MaybePromise<S>
  /** Closes that scope, after everything that was made from it. */
  readonly closeScope?: ((scope: S, outcome: ScopeOutcome) => MaybePromise<void>) | undefined
}

/** What `bind()` takes. It closes nothing, so a key that stands for less than `T` may have it, too. */
export interface BridgedSpec<T, S> extends Omit<CreateSpec<T, { readonly scope: Token<S> }>, 'dispose'> {
  readonly dispose: false
}

/** Lets tasks ask for what a container of another library has. */
export interface Bridge<S> {
  /** Part of the container of Kiq. */
  readonly module: Module
  /**
   * What `bind()` takes for a key of the other container.
   *
   * @param resolve - Gets it from the scope of the running task.
   */
  from<T>(resolve: (scope: S) => MaybePromise<T>): BridgedSpec<T, S>
}

/**
 * A bridge to a container of another library, such as awilix, inversify or Nest: each execution of a task opens a scope
 * there, and closes it at its end. What comes over it is the other container's: nothing of it is checked before it is asked
 * for, and it is not closed here.
 */
export function bridge<S>({ name, openScope, closeScope }: BridgeOptions<S>): Bridge<S> {
  const key = token<S>(`scope of ${name}`)
  const provider = bind(key, {
    scope: 'scoped',
    deps: { task: TaskInfo },
    use: async function* ({ task }) {
      const scope = await openScope(task)
      let outcome: ScopeOutcome = {}
      try {
        yield scope
      } catch (error) {
        outcome = { error }
        throw error
      } finally {
        await closeScope?.(scope, outcome)
      }
    },
  })
  return {
    module: module(name, [provider]),
    from: (resolve) => ({
      scope: 'scoped',
      deps: { scope: key },
      create: ({ scope }) => resolve(scope),
      dispose: false,
    }),
  }
}
