import { closeSync, openSync } from 'node:fs'

/**
 * Whether this process has a terminal that can still be used. After the window was closed SIGHUP arrives and this is
 * `false`; after `kill -HUP` it is still `true`.
 */
export function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}
