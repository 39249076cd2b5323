import { closeSync, openSync } from 'node:fs'

const hadTerminal = hasTerminal()

/** Whether the window of our terminal was closed. SIGHUP alone does not tell: `kill -HUP` sends it too. */
export function terminalWasClosed(): boolean {
  return hadTerminal && !hasTerminal()
}

/** Ends this process. */
export function exitProcess(code: number): void {
  // Node cannot reset a terminal that is gone and aborts at its exit, with a core dump. Nobody reads the code any more.
  if (terminalWasClosed()) process.kill(process.pid, 'SIGKILL')
  else process.exit(code)
}

function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}
