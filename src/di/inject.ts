import type { Key } from '../contract/index.ts'
import { currentInvocation } from '../core/index.ts'
import { ScopeError } from './errors.ts'
import { nameOf } from './keys.ts'
import type { ScopeStore } from './scope.ts'
import { scopeOfRun } from './scope.ts'
import { TaskRun } from './task-run.ts'

/**
 * The value of a key in the task that runs here, also after an `await`: for helpers that a task calls. `deps` are the
 * first choice: nothing checks these calls before the task runs, and tests of the task need a scope.
 *
 * Not for providers: they declare `deps`.
 *
 * @throws {ScopeError} `KIQ_DI_NO_SCOPE` outside a task; `KIQ_DI_ASYNC` when the value has to be waited for.
 */
export function inject<T>(key: Key<T>): T {
  return current(key).getSync(key)
}

/** As {@link inject}, for values that may have to be waited for. */
export async function injectAsync<T>(key: Key<T>): Promise<T> {
  return await current(key).get(key)
}

function current(key: Key): ScopeStore {
  const scope = scopeOfRun()
  if (scope) return scope
  const invocation = currentInvocation()
  if (invocation instanceof TaskRun) return invocation.scopeForFunctions(key)
  throw new ScopeError(
    'KIQ_DI_NO_SCOPE',
    `inject(${nameOf(key)}) was called outside a running task of a broker with a container. Call it inside one, or in ` +
      '`scope.run(() => …)`.',
  )
}
