import { fork } from 'node:child_process'
import { Worker as Thread } from 'node:worker_threads'

import { messageOf } from '../../util/show.ts'
import type { FromWorker, ToWorker } from './protocol.ts'

export type WorkerKind = 'process' | 'thread'

export interface ChannelOptions {
  readonly kind: WorkerKind
  readonly env: Readonly<Record<string, string>>
  readonly memoryMiB: number | undefined
  readonly onMessage: (message: FromWorker) => void
  /** Called once, after the last message; says exit code or signal. */
  readonly onGone: (how: string) => void
}

/** A process or thread, and the way to it. */
export interface Channel {
  /** Of the process, or of the thread. */
  readonly id: number | undefined
  /** @throws what cannot be cloned. Messages to one that is gone are lost. */
  post(message: ToWorker): void
  /** Ends it at once. */
  kill(): void
}

const ENTRY = new URL('./entry.js', import.meta.url)

/** Milliseconds in which the last messages of a process that has ended have to come. */
const LAST_MESSAGES_MS = 500

export function openChannel(options: ChannelOptions): Channel {
  try {
    return options.kind === 'process' ? openProcess(options) : openThread(options)
  } catch (error) {
    // The system has no memory or no process left.
    setImmediate(() => options.onGone(`error: ${messageOf(error)}`))
    return { id: undefined, post: () => {}, kill: () => {} }
  }
}

function openProcess({ env, memoryMiB, onMessage, onGone }: ChannelOptions): Channel {
  const child = fork(ENTRY, {
    // Carries what structured clone carries: typed arrays, dates, bigints.
    serialization: 'advanced',
    // Options of this process, such as `--eval` or a loader, are not for the worker.
    execArgv: memoryMiB === undefined ? [] : [`--max-old-space-size=${memoryMiB}`],
    env: { ...process.env, ...env },
  })
  const gone = once(onGone)
  child.on('message', (message) => onMessage(message as FromWorker))
  child.on('error', (error) => {
    // Only what could not be started has no id; other errors are of messages to one that ends.
    if (child.pid === undefined) gone(`error: ${error.message}`)
  })
  child.on('exit', (code, signal) => {
    const how = signal === null ? `exit code ${code}` : `signal ${signal}`
    if (!child.connected) {
      gone(how)
      return
    }
    const timer = setTimeout(() => gone(how), LAST_MESSAGES_MS)
    child.once('disconnect', () => {
      clearTimeout(timer)
      gone(how)
    })
  })
  return {
    id: child.pid,
    post: (message) => {
      if (child.connected) child.send(message, () => {})
    },
    kill: () => void child.kill('SIGKILL'),
  }
}

function openThread({ env, memoryMiB, onMessage, onGone }: ChannelOptions): Channel {
  const thread = new Thread(ENTRY, {
    execArgv: [],
    env: { ...process.env, ...env },
    ...(memoryMiB === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: memoryMiB } }),
  })
  const gone = once(onGone)
  const id = thread.threadId
  let thrown: { readonly text: string } | undefined
  thread.on('message', onMessage)
  // Nobody knows what it would have said: it may be an outcome that somebody waits for.
  thread.on('messageerror', () => void thread.terminate())
  thread.on('error', (error: unknown) => (thrown = { text: messageOf(error) }))
  thread.on('exit', (code) => gone(thrown ? `error: ${thrown.text}` : `exit code ${code}`))
  return {
    id,
    post: (message) => thread.postMessage(message),
    kill: () => void thread.terminate(),
  }
}

function once(listener: (how: string) => void): (how: string) => void {
  let isOver = false
  return (how) => {
    if (isOver) return
    isOver = true
    listener(how)
  }
}
