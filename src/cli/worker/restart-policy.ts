import { backoffMs } from '../../util/backoff.ts'

const BACKOFF = { baseMs: 100, maxMs: 10_000 }

/**
 * A child that lived so long after it was ready has shown that it can: the next failure counts as the first. Short, so
 * that processes killed from outside now and then are replaced at once; a crash loop is faster than this.
 */
const HEALTHY_AFTER_MS = 2_000

/** How a child ended. */
export type ChildEnd =
  /** As it was told to. */
  | 'stopped'
  /** After its last task of `--max-tasks-per-child`. */
  | 'recycled'
  /** It never starts with these modules and options. */
  | 'unusable'
  /** Anything else. */
  | 'died'

export interface EndFacts {
  /** What the child said about its end. */
  readonly ended: 'stopped' | 'max-tasks' | undefined
  /** Exit code it announced because it could not start. */
  readonly failedWith: number | undefined
  /** Somebody told it to stop: the supervisor, or a SIGTERM of its own. */
  readonly wasStopped: boolean
  readonly code: number | null
}

export function classifyEnd({ ended, failedWith, wasStopped, code }: EndFacts): ChildEnd {
  if (ended === 'max-tasks') return 'recycled'
  if (ended === 'stopped' || (wasStopped && code === 0)) return 'stopped'
  return failedWith === 2 ? 'unusable' : 'died'
}

/** What is remembered of the children of one place. */
export interface RestartState {
  /** Failures since the last healthy time. */
  readonly failures: number
}

export const NO_FAILURES: RestartState = { failures: 0 }

export interface RestartPlan {
  readonly delayMs: number
  readonly state: RestartState
}

/**
 * When the next child starts in the place of one that ended: at once after an end that is no failure, else with
 * exponential backoff.
 *
 * @param readyForMs - How long the child was ready; 0 if it never was.
 * @param random - Uniform in [0, 1).
 */
export function planRestart(
  state: RestartState,
  end: ChildEnd,
  readyForMs: number,
  random: () => number = Math.random,
): RestartPlan {
  if (end === 'stopped' || end === 'recycled') return { delayMs: 0, state: NO_FAILURES }
  const failures = readyForMs >= HEALTHY_AFTER_MS ? 1 : state.failures + 1
  return { delayMs: backoffMs(failures, BACKOFF, random), state: { failures } }
}

/** What a signal to the supervisor means, by its number since the start. */
export function signalMeaning(count: number, hardkillCount: number): 'finish' | 'abort' | 'kill' {
  if (count >= hardkillCount) return 'kill'
  return count === 1 ? 'finish' : 'abort'
}
