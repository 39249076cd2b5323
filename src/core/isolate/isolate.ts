import { fork } from 'node:child_process'
import { Worker as Thread } from 'node:worker_threads'

import { sleep } from '../../util/abort.ts'
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
  /** Asks an idle one to close what it opened, and kills it after that many milliseconds. Resolves when it is gone. */
  close(graceMs: number): Promise<void>
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
  const post = (message: ToIsolate): void => thread.postMessage(message)
  const kill = async (): Promise<void> => {
    thread.ref()
    await thread.terminate()
  }
  const setRef = (state: 'ref' | 'unref'): void => {
    thread[state]()
  }
  return {
    ...wiring.listeners,
    post,
    kill,
    close: wiring.closeBy({ post, kill, setRef }),
    setRef,
  }
}

function startProcess(): Isolate {
  // `advanced` carries what structured clone carries: bigints, bytes, dates.
  const child = fork(ENTRY, { serialization: 'advanced', execArgv: [] })
  const wiring = wire()
  child.on('message', (message) => wiring.message(message as FromIsolate))
  child.on('error', (error) => wiring.exit(`error: ${error.message}`))
  child.on('exit', (code, signal) => wiring.exit(signal === null ? `exit code ${code}` : `signal ${signal}`))
  const post = (message: ToIsolate): void => void (child.connected && child.send(message))
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    // An idle one is unreferenced: nothing else may keep this process alive until it is gone.
    child.ref()
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill('SIGKILL')
    await gone
  }
  const setRef = (state: 'ref' | 'unref'): void => {
    child[state]()
    child.channel?.[state]()
  }
  return {
    ...wiring.listeners,
    post,
    kill,
    close: wiring.closeBy({ post, kill, setRef }),
    setRef,
  }
}

/** The two listeners, an exit that is told once, also to a listener that comes later, and the end that waits for it. */
function wire(): {
  message: (message: FromIsolate) => void
  exit: (how: string) => void
  closeBy: (parts: Pick<Isolate, 'post' | 'kill' | 'setRef'>) => Isolate['close']
  listeners: Pick<Isolate, 'onMessage' | 'onExit'>
} {
  let onMessage: (message: FromIsolate) => void = () => {}
  let onExit: (how: string) => void = () => {}
  let ended: string | undefined
  const gone = new AbortController()
  return {
    message: (message) => onMessage(message),
    exit: (how) => {
      if (ended !== undefined) return
      ended = how
      gone.abort()
      onExit(how)
    },
    closeBy:
      ({ post, kill, setRef }) =>
      async (graceMs) => {
        // An idle one is unreferenced; the process shall live until it is gone.
        setRef('ref')
        post({ type: 'close' })
        await sleep(graceMs, gone.signal)
        if (!gone.signal.aborted) await kill()
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
