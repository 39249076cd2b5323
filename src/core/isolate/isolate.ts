import { fork } from 'node:child_process'
import { Worker as Thread } from 'node:worker_threads'

import type { FromIsolate, ToIsolate } from './protocol.ts'

/** A thread or a child process that runs one task at a time. */
export interface Isolate {
  post(message: ToIsolate): void
  /** One listener each; a later one replaces the earlier. */
  onMessage(listener: (message: FromIsolate) => void): void
  /** `how` says code or signal. Called once, also after {@link Isolate.kill}. */
  onExit(listener: (how: string) => void): void
  /** Ends it at once, whatever it does. Resolves when it is gone. */
  kill(): Promise<void>
  /** Whether it keeps this process alive. */
  setRef(state: 'ref' | 'unref'): void
}

export type IsolateKind = 'thread' | 'process'

const ENTRY = new URL('./entry.js', import.meta.url)

export function startIsolate(kind: IsolateKind): Isolate {
  return kind === 'thread' ? startThread() : startProcess()
}

function startThread(): Isolate {
  // Options of this process, such as `--eval` or a loader, are not for the isolate; it loads TypeScript by itself.
  const thread = new Thread(ENTRY, { execArgv: [] })
  const wiring = wire()
  thread.on('message', (message: FromIsolate) => wiring.message(message))
  thread.on('error', (error) => wiring.exit(`error: ${error.message}`))
  thread.on('exit', (code) => wiring.exit(`exit code ${code}`))
  return {
    ...wiring.listeners,
    post: (message) => thread.postMessage(message),
    kill: async () => {
      thread.ref()
      await thread.terminate()
    },
    setRef: (state) => {
      thread[state]()
    },
  }
}

function startProcess(): Isolate {
  // `advanced` carries what structured clone carries: bigints, bytes, dates.
  const child = fork(ENTRY, { serialization: 'advanced', execArgv: [] })
  const wiring = wire()
  child.on('message', (message) => wiring.message(message as FromIsolate))
  child.on('error', (error) => wiring.exit(`error: ${error.message}`))
  child.on('exit', (code, signal) => wiring.exit(signal === null ? `exit code ${code}` : `signal ${signal}`))
  return {
    ...wiring.listeners,
    post: (message) => void (child.connected && child.send(message)),
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      // An idle one is unreferenced: nothing else may keep this process alive until it is gone.
      child.ref()
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      child.kill('SIGKILL')
      await gone
    },
    setRef: (state) => {
      child[state]()
      child.channel?.[state]()
    },
  }
}

/** The two listeners, and an exit that is told once, also to a listener that comes later. */
function wire(): {
  message: (message: FromIsolate) => void
  exit: (how: string) => void
  listeners: Pick<Isolate, 'onMessage' | 'onExit'>
} {
  let onMessage: (message: FromIsolate) => void = () => {}
  let onExit: (how: string) => void = () => {}
  let ended: string | undefined
  return {
    message: (message) => onMessage(message),
    exit: (how) => {
      if (ended !== undefined) return
      ended = how
      onExit(how)
    },
    listeners: {
      onMessage: (listener) => {
        onMessage = listener
      },
      onExit: (listener) => {
        onExit = listener
        if (ended !== undefined) listener(ended)
      },
    },
  }
}
