import type { FailureControl, Middleware, TaskMessage, TaskResult } from '../contract/index.ts'
import { ConfigError } from '../contract/index.ts'
import { parseDurationMs } from '../util/duration.ts'
import type { Duration } from '../util/duration.ts'
import type { RetryPolicyOptions } from './retry-policy.ts'
import { shouldRetry } from './retry-policy.ts'

export interface SmartRetryOptions extends RetryPolicyOptions {
  /**
   * Delay before a retry. Label `retry_delay` (seconds) of a task or a call wins.
   *
   * @defaultValue `'5s'`
   */
  readonly defaultDelay?: Duration | undefined
  /**
   * Adds up to this much at random, so that tasks that failed together do not return together. `true` = one second, as
   * in Taskiq.
   *
   * @defaultValue none
   */
  readonly useJitter?: boolean | Duration | undefined
  /**
   * Doubles the delay with every retry: 5, 10, 20, 40 … seconds.
   *
   * @defaultValue `false`
   */
  readonly useDelayExponent?: boolean | undefined
  /**
   * Longest delay before jitter.
   *
   * @defaultValue `'60s'`
   */
  readonly maxDelayExponent?: Duration | undefined
  /** Uniform in [0, 1); for tests. */
  readonly random?: (() => number) | undefined
}

interface DelayRule {
  readonly delayMs: number
  readonly maxDelayMs: number
  readonly jitterMs: number
  readonly growth: 'constant' | 'exponential'
}

/**
 * Milliseconds until retry number `retry`: the delay, doubled for each retry before it if it grows, at most the cap, plus
 * jitter. The delay is always computed from the base: it does not compound with the delay of the attempt before.
 *
 * @param retry - 1 for the first.
 */
export function retryDelayMs(retry: number, rule: DelayRule, random: () => number): number {
  const grown = rule.growth === 'exponential' ? rule.delayMs * 2 ** Math.min(retry - 1, 52) : rule.delayMs
  return Math.round(Math.min(grown, rule.growth === 'exponential' ? rule.maxDelayMs : grown) + random() * rule.jitterMs)
}

/**
 * Runs failed tasks again after a delay, under the same id: constant or exponential, capped, with jitter. The message
 * waits in the transport, not in the worker. For tasks with label `retry_on_error: true`.
 */
export class SmartRetryMiddleware implements Middleware {
  readonly #options: SmartRetryOptions
  readonly #delayMs: number
  readonly #maxDelayMs: number
  readonly #jitterMs: number

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for a duration that is not one. */
  constructor(options: SmartRetryOptions = {}) {
    this.#options = options
    this.#delayMs = duration('defaultDelay', options.defaultDelay ?? '5s')
    this.#maxDelayMs = duration('maxDelayExponent', options.maxDelayExponent ?? '60s')
    const { useJitter = false } = options
    this.#jitterMs = typeof useJitter === 'boolean' ? (useJitter ? 1_000 : 0) : duration('useJitter', useJitter)
  }

  onError(message: TaskMessage, _result: TaskResult, error: unknown, control: FailureControl): void {
    if (!shouldRetry(message, error, control.attempt, this.#options)) return
    const rule: DelayRule = {
      delayMs: this.#baseMs(message),
      maxDelayMs: this.#maxDelayMs,
      jitterMs: this.#jitterMs,
      growth: this.#options.useDelayExponent ? 'exponential' : 'constant',
    }
    control.retry({
      delayMs: retryDelayMs(retriesSoFar(message) + 1, rule, this.#options.random ?? Math.random),
      visible: (this.#options.noResultOnRetry ?? true) ? 'nothing' : 'failure',
    })
  }

  #baseMs(message: TaskMessage): number {
    const seconds = Number(message.labels['retry_delay'] ?? NaN)
    return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : this.#delayMs
  }
}

function retriesSoFar(message: TaskMessage): number {
  const count = Number(message.labels['_retries'] ?? 0)
  return Number.isSafeInteger(count) && count > 0 ? count : 0
}

function duration(name: string, value: Duration): number {
  const ms = parseDurationMs(value)
  if (ms !== undefined) return ms
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `\`${name}\` is ${JSON.stringify(value)}, which is not a duration. Use milliseconds, or text such as '5s'.`,
  )
}
