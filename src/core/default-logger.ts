import type { Logger } from '../contract/index.ts'

/** Warnings and errors on standard error, one line each with its fields as JSON; nothing below. */
export const defaultLogger: Logger = {
  debug() {},
  info() {},
  warn: (fields, message) => write('warn', fields, message),
  error: (fields, message) => write('error', fields, message),
}

function write(level: string, fields: object, message: string): void {
  process.stderr.write(`[kiq] ${level}: ${message} ${format(fields)}\n`)
}

function format(fields: object): string {
  try {
    return JSON.stringify(fields, (_key, value: unknown) => {
      if (value instanceof Error) return value.stack ?? value.message
      return typeof value === 'bigint' ? value.toString() : value
    })
  } catch {
    return '[fields that cannot be shown]'
  }
}

/** A logger that adds the same fields to every line. */
export function withFields(logger: Logger, fields: object): Logger {
  return {
    debug: (more, message) => logger.debug({ ...fields, ...more }, message),
    info: (more, message) => logger.info({ ...fields, ...more }, message),
    warn: (more, message) => logger.warn({ ...fields, ...more }, message),
    error: (more, message) => logger.error({ ...fields, ...more }, message),
  }
}
