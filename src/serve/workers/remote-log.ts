import type { Failure, Logger } from '../../contract/index.ts'
import { toFailure } from '../../core/index.ts'
import { show } from '../../util/show.ts'
import { findUncloneable } from './cloneable.ts'
import type { LogLevel, LogRecord } from './protocol.ts'
import { LOG_WINDOW } from './protocol.ts'

/** Sends what a pipeline logs to the host. What the host cannot keep up with is dropped, and counted. */
export class RemoteLog implements Logger {
  readonly #send: (record: LogRecord) => void
  #room = LOG_WINDOW
  #dropped = 0

  constructor(send: (record: LogRecord) => void) {
    this.#send = send
  }

  debug(fields: object, message: string): void {
    this.#log('debug', fields, message)
  }

  info(fields: object, message: string): void {
    this.#log('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#log('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#log('error', fields, message)
  }

  /** The host has taken that many more. */
  logged(count: number): void {
    this.#room += count
  }

  #log(level: LogLevel, fields: object, message: string): void {
    if (this.#room <= 0) {
      this.#dropped += 1
      return
    }
    if (this.#dropped > 0) {
      const dropped = this.#dropped
      this.#dropped = 0
      this.#log('warn', { dropped }, 'The pipeline logged faster than the service could take; some of it is lost.')
    }
    this.#room -= 1
    this.#send({ level, ...sendable(fields), message })
  }
}

function sendable(fields: object): Pick<LogRecord, 'fields' | 'errors'> {
  const data: Record<string, unknown> = {}
  const errors: Record<string, Failure> = {}
  for (const [key, value] of Object.entries(fields) as [string, unknown][]) {
    if (value instanceof Error) errors[key] = toFailure(value)
    else if (findUncloneable(value, key)) data[key] = show(value)
    else data[key] = value
  }
  return { fields: data, errors }
}
