import { Worker } from 'node:worker_threads'

import { BrokerError } from '../../contract/index.ts'
import { backoffMs } from '../../util/backoff.ts'
import type { RedisConnection, ThreadTarget } from './connection.ts'
import { textOf } from './failure.ts'
import { HEARTBEAT_PROGRAM } from './heartbeat-program.ts'
import type { Beat, HeartbeatOrder, HeartbeatReport, HeartbeatSettings } from './heartbeat-program.ts'
import type { Script } from './script.ts'

const RESTART_BACKOFF = { baseMs: 50, maxMs: 2_000 }
const READY_TIMEOUT_MS = 10_000

export interface HeartbeatParts {
  readonly script: Script
  readonly everyMs: number
  readonly onReport: (report: HeartbeatReport) => void
  /** The thread died; it is started again by itself. */
  readonly onDeath: (cause: unknown) => void
}

/** Renews sessions at regular times, and reports what becomes of them. */
export interface Heartbeat {
  start(): Promise<void>
  /** These sessions from now on. */
  renew(beats: readonly Beat[]): void
  stop(): Promise<void>
}

/** The usual one: in a thread, with a connection of its own. Never keeps the process alive. */
export class ThreadHeartbeat implements Heartbeat {
  readonly #target: ThreadTarget
  readonly #parts: HeartbeatParts
  #beats: readonly Beat[] = []
  #worker: Worker | undefined
  #deaths = 0
  #restart: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(target: ThreadTarget, parts: HeartbeatParts) {
    this.#target = target
    this.#parts = parts
  }

  /**
   * Resolves when the thread has its connection.
   *
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` when there can be no thread, or no connection for it.
   */
  async start(): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('no connection within 10 s')), READY_TIMEOUT_MS)
        const settle =
          <T>(end: (value: T) => void) =>
          (value: T): void => {
            clearTimeout(timer)
            end(value)
          }
        this.#spawn(settle(resolve), settle(reject))
      })
    } catch (cause) {
      await this.stop()
      throw new BrokerError(
        'KIQ_TRANSPORT_FAILED',
        `The thread that renews leases does not start (${textOf(cause)}). Without it no lease would be kept.`,
        { cause },
      )
    }
  }

  renew(beats: readonly Beat[]): void {
    this.#beats = beats
    this.#order({ kind: 'beats', beats })
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#restart)
    const worker = this.#worker
    if (worker === undefined) return
    worker.ref()
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    this.#order({ kind: 'stop' })
    await ended
  }

  #order(order: HeartbeatOrder): void {
    this.#worker?.postMessage(order)
  }

  #spawn(onReady: () => void, onStillborn: (cause: unknown) => void): void {
    const { script, everyMs } = this.#parts
    const settings: HeartbeatSettings = { ...this.#target, ...script, everyMs, beats: this.#beats }
    const worker = new Worker(HEARTBEAT_PROGRAM, {
      eval: true,
      name: 'kiq-redis-heartbeat',
      workerData: settings,
      // Nothing of what the application preloads belongs here.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 },
    })
    this.#worker = worker
    let isReady = false
    let failure: unknown
    worker.on('error', (error) => (failure = error))
    worker.on('message', (report: HeartbeatReport) => {
      if (report.kind === 'ready') {
        isReady = true
        this.#deaths = 0
        worker.unref()
        onReady()
      }
      this.#parts.onReport(report)
    })
    worker.on('exit', (code) => {
      this.#worker = undefined
      if (this.#isStopped) return
      const cause = failure ?? `exit code ${code}`
      if (isReady) this.#restartLater(cause)
      else onStillborn(cause)
    })
  }

  #restartLater(cause: unknown): void {
    this.#parts.onDeath(cause)
    this.#deaths += 1
    const restart = (): void =>
      this.#spawn(
        () => undefined,
        (again) => this.#restartLater(again),
      )
    this.#restart = setTimeout(restart, backoffMs(this.#deaths, RESTART_BACKOFF))
    this.#restart.unref()
  }
}

/**
 * For clients whose options cannot cross to a thread, for example with functions in their TLS options: on the event loop.
 * A handler that blocks the loop for longer than the lease then loses its messages to others.
 */
export class LoopHeartbeat implements Heartbeat {
  readonly #connection: RedisConnection
  readonly #parts: HeartbeatParts
  #beats: readonly Beat[] = []
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  #hasFailed = false

  constructor(connection: RedisConnection, parts: HeartbeatParts) {
    this.#connection = connection
    this.#parts = parts
  }

  async start(): Promise<void> {
    await this.#tick()
  }

  renew(beats: readonly Beat[]): void {
    this.#beats = beats
  }

  stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    return Promise.resolve()
  }

  async #tick(): Promise<void> {
    const { script, everyMs, onReport } = this.#parts
    try {
      await Promise.all(
        this.#beats.map(async ({ queue, consumer, keys, args }) => {
          const reply = (await this.#connection.run(script, keys, args)) as readonly unknown[]
          const texts = reply.map((part) => (Buffer.isBuffer(part) ? part.toString() : part))
          if (texts[0] !== 'ok' || texts.length > 1) onReport({ kind: 'beat', queue, consumer, reply: texts })
        }),
      )
      this.#hasFailed = false
    } catch (error) {
      if (!this.#hasFailed) onReport({ kind: 'failed', message: textOf(error) })
      this.#hasFailed = true
    }
    if (this.#isStopped) return
    this.#timer = setTimeout(() => void this.#tick(), everyMs)
    this.#timer.unref()
  }
}
