import type { Command } from 'commander'

import { LOG_FORMATS, LOG_LEVELS } from './log.ts'
import type { LogFormat, LogLevel, LogSettings, Terminal } from './log.ts'
import { logFormat, logLevel } from './option-values.ts'

/** What a command logs; as commander hands it over. */
export interface LogOptions {
  readonly logLevel: LogLevel
  readonly logFormat?: LogFormat | undefined
}

export function addLogOptions(command: Command): Command {
  return command
    .option('--log-level <level>', LOG_LEVELS.join(', '), logLevel, 'info')
    .option('--log-format <format>', `${LOG_FORMATS.join(', ')} (default: pretty in a terminal, else json)`, logFormat)
}

/** Where the output of this process goes. */
export function ownTerminal(): Terminal {
  return { isTTY: process.stdout.isTTY, noColor: Boolean(process.env['NO_COLOR']) }
}

/** What the options ask for, and else what suits where the output goes. */
export function logSettings(options: LogOptions, { isTTY, noColor }: Terminal): LogSettings {
  const format = options.logFormat ?? (isTTY ? 'pretty' : 'json')
  return { level: options.logLevel, format, color: isTTY && !noColor ? 'on' : 'off' }
}
