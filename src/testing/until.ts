import { AssertionError } from 'node:assert'
import { setTimeout as delay } from 'node:timers/promises'

import type { MaybePromise } from '../contract/index.ts'

export interface UntilOptions {
  /** Milliseconds to wait before giving up. */
  readonly timeoutMs: number
  /**
   * Milliseconds between two looks.
   *
   * @defaultValue `10`
   */
  readonly everyMs?: number | undefined
}

/**
 * Waits until `condition` gives something truthy, and resolves with that. Looks at least once, and once more after the
 * time is over. What `condition` throws ends the wait.
 *
 * @throws {AssertionError} with the text of the condition, when the time is over.
 */
export async function until<T>(
  condition: () => MaybePromise<T>,
  { timeoutMs, everyMs = 10 }: UntilOptions,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const isLast = performance.now() >= deadline
    const outcome = await condition()
    if (outcome) return outcome
    if (isLast) {
      throw new AssertionError({ message: `Not so within ${timeoutMs} ms: ${condition.toString()}`, actual: outcome })
    }
    await delay(everyMs)
  }
}
