import type { Labels, TaskMessage } from '../contract/index.ts'

/** Which errors are worth another attempt: class names, classes, or a function that decides. */
export type RetryOn = readonly (string | (new (...args: never[]) => Error))[] | ((error: unknown) => boolean)

export interface RetryPolicyOptions {
  /**
   * Executions in all, the first included: 3 = one and two retries. Taskiq counts so too. Label `max_retries` of a task
   * or a call wins. At least 1.
   *
   * @defaultValue `3`
   */
  readonly defaultRetryCount?: number | undefined
  /**
   * Whether tasks without the label `retry_on_error` are retried.
   *
   * @defaultValue `false`
   */
  readonly defaultRetryLabel?: boolean | undefined
  /**
   * Whether waiters see nothing until the last attempt, instead of each failure.
   *
   * @defaultValue `true`
   */
  readonly noResultOnRetry?: boolean | undefined
  /** @defaultValue every error */
  readonly retryOn?: RetryOn | undefined
}

/** Errors of Kiq that another attempt cannot mend. */
const FINAL_CODES: ReadonlySet<unknown> = new Set([
  'KIQ_TASK_CANCELLED',
  'KIQ_ARGUMENTS_INVALID',
  'KIQ_LABEL_INVALID',
  'KIQ_LEASE_LOST',
  'KIQ_CONFIG_INVALID',
  'KIQ_ARGUMENT_INJECTED',
  'KIQ_DI_INVALID',
  'KIQ_DI_MISSING',
  'KIQ_DI_CYCLE',
  'KIQ_DI_CAPTIVE',
  'KIQ_DI_DUPLICATE',
  'KIQ_DI_HOOK_SCOPED',
  'KIQ_DI_NOT_SET_UP',
])

/**
 * Whether the execution that failed should be followed by another.
 *
 * @param execution - 1 = the first. Counts retries and redeliveries, so that a message cannot run more often than said.
 */
export function shouldRetry(
  message: TaskMessage,
  error: unknown,
  execution: number,
  options: RetryPolicyOptions,
): boolean {
  if (!isEnabled(message.labels, options)) return false
  if (!matches(error, options.retryOn)) return false
  return execution < maxExecutions(message.labels, options.defaultRetryCount ?? 3)
}

function isEnabled(labels: Labels, options: RetryPolicyOptions): boolean {
  const label = labels['retry_on_error']
  if (label === undefined) return options.defaultRetryLabel ?? false
  return typeof label === 'string' ? label.toLowerCase() === 'true' : Boolean(label)
}

function maxExecutions(labels: Labels, fallback: number): number {
  const label = labels['max_retries']
  if (label === undefined) return fallback
  const count = Number(label)
  return Number.isFinite(count) ? count : fallback
}

/** Also of a value that could not be made for such a reason, for example for want of a setting. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  return FINAL_CODES.has(error.code) || (error.code === 'KIQ_DI_PROVIDER_FAILED' && isFinal(error.cause))
}

function matches(error: unknown, retryOn: RetryOn | undefined): boolean {
  if (isFinal(error)) return false
  if (retryOn === undefined) return true
  if (typeof retryOn === 'function') return retryOn(error)
  return retryOn.some((type) => {
    if (typeof type === 'string') return error instanceof Error && error.name === type
    return error instanceof type
  })
}
