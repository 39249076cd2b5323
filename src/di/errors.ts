import { ConfigError, KiqError } from '../contract/index.ts'
import type { ErrorCode } from '../contract/index.ts'
import type { Problem } from './problems.ts'

/** The bindings do not fit together; `problems` has each with its path. Never worth retrying. */
export class InjectionError extends ConfigError {
  readonly problems: readonly Problem[]

  /** @param problems - At least one. The code is that of the only one, else `KIQ_DI_INVALID`. */
  constructor(problems: readonly Problem[]) {
    const [first, second] = problems
    super(first !== undefined && second === undefined ? first.code : 'KIQ_DI_INVALID', describe(problems))
    this.problems = problems
  }
}

function describe(problems: readonly Problem[]): string {
  const lines = problems.map(({ code, message, hint }) => `${code} ${message} ${hint}`)
  if (lines.length === 1) return problems.map(({ message, hint }) => `${message} ${hint}`).join('')
  return `${lines.length} problems with what is injected:\n${lines.map((line) => `  - ${line}`).join('\n')}`
}

/** The function that makes a value failed; `cause` is what it threw. May be worth retrying: nothing of it is kept. */
export class ProviderError extends KiqError {
  /** Names from who asked first to what failed. */
  readonly path: readonly string[]

  constructor(code: ErrorCode, path: readonly string[], why: string, options: { readonly cause?: unknown } = {}) {
    super(code, `${path.join(' > ')}: ${why}`, options)
    this.path = path
  }
}

/** A value could not be closed. */
export class DisposeError extends KiqError {
  /** Name of the key it was bound to. */
  readonly keyName: string

  constructor(code: ErrorCode, keyName: string, why: string, options: { readonly cause?: unknown } = {}) {
    super(code, `${keyName}: ${why}`, options)
    this.keyName = keyName
  }
}

/** Something was asked of a scope or container in a state in which it cannot answer. */
export class ScopeError extends KiqError {}
