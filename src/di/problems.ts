import type { ErrorCode } from '../contract/index.ts'

/** Something about the bindings that does not fit, found before anything runs. */
export interface Problem {
  readonly code: ErrorCode
  /** `error`: nothing starts. `warning`: it works, and is probably not meant. `info`: for a look around. */
  readonly severity: 'error' | 'warning' | 'info'
  /** Names from who asks first to what is wrong; tasks as `task:name`, middlewares as `middleware:1`. */
  readonly path: readonly string[]
  /** What is wrong, one sentence. */
  readonly message: string
  /** What to do about it, one sentence. */
  readonly hint: string
}
