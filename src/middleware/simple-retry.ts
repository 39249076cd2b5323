import type { FailureControl, Middleware, TaskMessage, TaskResult } from '../contract/index.ts'
import type { RetryPolicyOptions } from './retry-policy.ts'
import { shouldRetry } from './retry-policy.ts'

/**
 * Runs failed tasks again, at once, under the same id. For tasks with label `retry_on_error: true`; label `max_retries`
 * says how many executions there are in all.
 */
export class SimpleRetryMiddleware implements Middleware {
  readonly #options: RetryPolicyOptions

  constructor(options: RetryPolicyOptions = {}) {
    this.#options = options
  }

  onError(message: TaskMessage, _result: TaskResult, error: unknown, control: FailureControl): void {
    if (!shouldRetry(message, error, control.attempt, this.#options)) return
    control.retry({ visible: (this.#options.noResultOnRetry ?? true) ? 'nothing' : 'failure' })
  }
}
