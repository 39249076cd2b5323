import { terminalWasClosed } from '../terminal.ts'

export interface SignalListener {
  readonly onStop: (signal: string) => void
  readonly onRestart: (signal: string) => void
}

/**
 * SIGINT and SIGTERM stop; SIGHUP restarts, but stops when it says that the window of our terminal was closed.
 *
 * @returns Gives the signals their default meaning back.
 */
export function listenForSignals({ onStop, onRestart }: SignalListener): () => void {
  const onHangUp = (signal: string): void => {
    if (terminalWasClosed()) onStop(signal)
    else onRestart(signal)
  }
  process.on('SIGINT', onStop).on('SIGTERM', onStop).on('SIGHUP', onHangUp)
  return () => {
    process.off('SIGINT', onStop).off('SIGTERM', onStop).off('SIGHUP', onHangUp)
  }
}
