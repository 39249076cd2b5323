import { ERROR_CODES, KiqError } from '../../contract/index.ts'
import type { ErrorCode, Failure } from '../../contract/index.ts'

/**
 * An error again, with its name, message, code, stack and causes. Its class is `Error`, or `KiqError` where the code is one
 * of Kiq's.
 */
export function reviveError(failure: Failure): Error {
  const options = failure.cause ? { cause: reviveError(failure.cause) } : {}
  const { code } = failure
  const error = isErrorCode(code) ? new KiqError(code, failure.message, options) : new Error(failure.message, options)
  error.name = failure.name
  if (failure.stack !== undefined) error.stack = failure.stack
  return code === undefined ? error : Object.assign(error, { code })
}

function isErrorCode(code: string | undefined): code is ErrorCode {
  return (ERROR_CODES as readonly unknown[]).includes(code)
}
