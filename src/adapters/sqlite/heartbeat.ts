import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { Worker } from 'node:worker_threads'

import { BrokerError } from '../../contract/index.ts'
import { backoffMs } from '../../util/backoff.ts'
import { HEARTBEAT_PROGRAM } from './heartbeat-program.ts'
import type { HeartbeatOrder, HeartbeatReport, HeartbeatSettings } from './heartbeat-program.ts'

const RESTART_BACKOFF = { baseMs: 50, maxMs: 2_000 }

export interface HeartbeatParts {
  readonly settings: HeartbeatSettings
  readonly onReport: (report: HeartbeatReport) => void
  /** The thread died; it is started again by itself. */
  readonly onDeath: (cause: unknown) => void
}

/**
 * The thread that renews the lease, apart from the event loop that handlers may block. It never keeps the process alive,
 * and is started again when it dies.
 */
export class Heartbeat {
  readonly #parts: HeartbeatParts
  #session: number
  #worker: Worker | undefined
  #deaths = 0
  #restart: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(parts: HeartbeatParts) {
    this.#parts = parts
    this.#session = parts.settings.session
  }

  /**
   * Resolves after the first beat.
   *
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` when there can be no thread.
   */
  async start(): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => this.#spawn(resolve, reject))
    } catch (cause) {
      throw new BrokerError(
        'KIQ_TRANSPORT_FAILED',
        'The thread that renews the lease does not start. See `cause`; without it no lease would be kept.',
        { cause },
      )
    }
  }

  /** Renews another session from now on. */
  renew(session: number): void {
    this.#session = session
    this.#order({ kind: 'session', session })
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#restart)
    const worker = this.#worker
    if (worker === undefined) return
    worker.ref()
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    // Not `terminate()`: in the middle of a transaction that would leave the file locked.
    this.#order({ kind: 'stop' })
    await ended
  }

  #order(order: HeartbeatOrder): void {
    this.#worker?.postMessage(order)
  }

  #spawn(onReady: () => void, onStillborn: (cause: unknown) => void): void {
    const worker = new Worker(HEARTBEAT_PROGRAM, {
      eval: true,
      name: 'kiq-sqlite-heartbeat',
      workerData: { ...this.#parts.settings, session: this.#session } satisfies HeartbeatSettings,
      // Nothing of what the application preloads belongs here; and Node's warning about `node:sqlite` was given already.
      execArgv: ['--disable-warning=ExperimentalWarning'],
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 },
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
 * Names the space of process ids that this process lives in: two processes with the same name can see whether the other
 * one is alive. Containers of one machine have different ones, and so has the machine after a restart.
 */
export function hostName(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${hostname()} ${boot} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return hostname()
  }
}
