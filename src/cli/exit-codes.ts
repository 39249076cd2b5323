import { KiqError } from '../contract/index.ts'

/** Exit codes of `kiq`. */
export const EXIT = {
  /** Done, or stopped as asked. */
  OK: 0,
  /** Something failed that may go well next time. */
  FAILED: 1,
  /** Wrong arguments, or a module that cannot be used: the same call would fail again. */
  USAGE: 2,
  /** Ended by repeated signals; what a shell reports after SIGKILL. */
  KILLED: 137,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

const USAGE_ERRORS: readonly string[] = ['ConfigError', 'ServeConfigError', 'InjectionError']

/**
 * Exit code after an error. Looks at the name, not at the class: the error may come from the copy of this package that
 * the user's module imports.
 */
export function exitCodeOf(error: unknown): ExitCode {
  const isUsage = KiqError.is(error) && USAGE_ERRORS.includes(error.name) && error.code !== 'KIQ_UNSUPPORTED'
  // A value that could not be made for want of a setting.
  if (KiqError.is(error, 'KIQ_DI_PROVIDER_FAILED')) return exitCodeOf(error.cause)
  return isUsage ? EXIT.USAGE : EXIT.FAILED
}
