import { pino } from 'pino'

import type { Logger } from '../contract/index.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** `json`: one object per line, for machines. `pretty`: for people. */
export const LOG_FORMATS = ['pretty', 'json'] as const
export type LogFormat = (typeof LOG_FORMATS)[number]

export interface LogSettings {
  readonly level: LogLevel
  readonly format: LogFormat
  readonly color: 'on' | 'off'
}

export interface Terminal {
  readonly isTTY: boolean
  /** Environment variable `NO_COLOR` is set. */
  readonly noColor: boolean
}

/**
 * Logger on standard output. Written synchronously: the last lines of a process that ends are the ones that matter.
 *
 * @param role - `supervisor` or `worker-0`; in every line.
 */
export async function createLogger({ level, format, color }: LogSettings, role: string): Promise<Logger> {
  const options = {
    level,
    base: { pid: process.pid, role },
    formatters: { level: (label: string) => ({ level: label }) },
  }
  if (format === 'json') {
    const logger: Logger = pino(options, pino.destination({ dest: 1, sync: true }))
    return logger
  }
  const { build } = await import('pino-pretty')
  const logger: Logger = pino(
    options,
    build({
      destination: 1,
      sync: true,
      singleLine: true,
      colorize: color === 'on',
      translateTime: 'SYS:HH:MM:ss.l',
      // What the text of our own lines says anyway.
      ignore: 'pid,role,child,childPid,workerId,signal,url',
      messageFormat: '{role} ({pid}): {msg}',
    }),
  )
  return logger
}
