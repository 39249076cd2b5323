export interface BackoffOptions {
  /** Milliseconds before the first retry. */
  readonly baseMs: number
  /** Upper bound in milliseconds. */
  readonly maxMs: number
}

/**
 * Delay before retry number `attempt`, in milliseconds: `baseMs` doubled per attempt, at most `maxMs`, of which the
 * upper half is random ("equal jitter"), so that many clients of a restarted server do not return together.
 *
 * @param attempt - 1 for the first retry.
 * @param random - Uniform in [0, 1); a parameter so that tests are exact.
 */
export function backoffMs(attempt: number, options: BackoffOptions, random: () => number = Math.random): number {
  const full = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(attempt - 1, 30))
  return Math.round(full / 2 + (random() * full) / 2)
}
