/** What the thread is started with. */
export interface HeartbeatSettings {
  /** Absolute path of the driver. */
  readonly specifier: string
  readonly kind: 'single' | 'cluster' | 'sentinel'
  readonly nodes: readonly object[]
  readonly options: Readonly<Record<string, unknown>>
  /** The script of one heartbeat. */
  readonly source: string
  readonly sha: string
  readonly everyMs: number
  readonly beats: readonly Beat[]
}

/** The call of the script for one session. */
export interface Beat {
  readonly queue: string
  readonly consumer: string
  readonly keys: readonly string[]
  readonly args: readonly string[]
}

/** To the thread. */
export type HeartbeatOrder =
  | { readonly kind: 'stop' }
  /** These sessions from now on, and the first of them now. */
  | { readonly kind: 'beats'; readonly beats: readonly Beat[] }

/** From the thread. */
export type HeartbeatReport =
  | { readonly kind: 'ready' }
  /** What the script said of a session; see `BEAT`. */
  | { readonly kind: 'beat'; readonly queue: string; readonly consumer: string; readonly reply: readonly unknown[] }
  | { readonly kind: 'failed'; readonly message: string }

/**
 * The program of the thread that renews leases. Plain JavaScript in a string, so that it needs no file of its own: it
 * runs from the TypeScript sources, from `dist`, and when an application bundles us.
 *
 * Apart from the event loop of the handlers, with a connection of its own: a handler that blocks the loop keeps its
 * messages.
 */
export const HEARTBEAT_PROGRAM: string = `'use strict'
const { parentPort, workerData } = require('node:worker_threads')
const { specifier, kind, nodes, options, source, sha, everyMs } = workerData
const { Redis } = require(specifier)
let { beats } = workerData
let timer, isBeating = false, hasFailed = false, again = false

const own = {
  lazyConnect: false, enableOfflineQueue: false, maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false,
  connectionName: 'kiq-heartbeat', keepAlive: 10_000,
  // Longer than a pause of Redis that leases survive: who connects again then renews too late.
  socketTimeout: Math.max(everyMs * 5, 5_000), retryStrategy: (n) => Math.min(50 * 2 ** Math.min(n, 6), 1000),
  reconnectOnError: (error) => error.message.startsWith('READONLY'),
}
const client = kind === 'cluster'
  ? new Redis.Cluster(nodes, {
      enableOfflineQueue: false, redisOptions: { ...options, ...own },
      clusterRetryStrategy: (n) => Math.min(100 + n * 50, 1000),
    })
  : new Redis({ ...options, ...own })
let lastError
client.on('error', (error) => { lastError = error })

const report = (message) => parentPort.postMessage(message)

async function beat({ queue, consumer, keys, args }) {
  let reply
  try {
    reply = await client.call('EVALSHA', sha, keys.length, ...keys, ...args)
  } catch (error) {
    if (!String(error && error.message).startsWith('NOSCRIPT')) throw error
    reply = await client.call('EVAL', source, keys.length, ...keys, ...args)
  }
  if (reply[0] !== 'ok' || reply.length > 1) report({ kind: 'beat', queue, consumer, reply })
}

async function tick() {
  clearTimeout(timer)
  if (isBeating) {
    again = true
    return
  }
  isBeating = true
  try {
    await Promise.all(beats.map(beat))
    hasFailed = false
  } catch (error) {
    if (!hasFailed) report({ kind: 'failed', message: String((lastError || error).message) })
    hasFailed = true
  }
  lastError = undefined
  isBeating = false
  timer = setTimeout(tick, again ? 0 : hasFailed ? Math.min(everyMs, 250) : everyMs)
  again = false
}

parentPort.on('message', (order) => {
  if (order.kind === 'beats') {
    beats = order.beats
    return
  }
  clearTimeout(timer)
  beats = []
  client.disconnect()
  parentPort.close()
  setTimeout(() => process.exit(0), 500).unref()
})
client.once('ready', () => {
  tick().then(() => report({ kind: 'ready' }))
})
client.on('ready', () => { if (hasFailed) tick() })
`
