import type { Logger } from '../../contract/index.ts'
import type { Database } from './database.ts'
import { Heartbeat, hostName } from './heartbeat.ts'
import type { HeartbeatReport } from './heartbeat-program.ts'
import type { MessageStore } from './message-store.ts'

export interface WorkerSessionParts {
  readonly database: Database
  readonly messages: MessageStore
  readonly workerId: string
  readonly leaseMs: number
  readonly synchronous: 'normal' | 'full'
  readonly logger: Logger
  /** What that session held belongs to others. */
  readonly onLost: (session: number) => void
}

/**
 * The lease of this worker: one row of `sessions` that owns everything the worker has claimed, renewed by a
 * {@link Heartbeat}. When the row is lost (the process slept for longer than the lease), a new one takes its place.
 */
export class WorkerSession {
  readonly #parts: WorkerSessionParts
  readonly #host = hostName()
  readonly #heartbeat: Heartbeat
  #id: number
  #renewing: Promise<void> | undefined

  private constructor(parts: WorkerSessionParts, id: number) {
    const { database, leaseMs, synchronous, logger } = parts
    this.#parts = parts
    this.#id = id
    const { specifier } = database.loaded
    this.#heartbeat = new Heartbeat({
      settings: { specifier, path: database.path, leaseMs, synchronous, session: id, host: this.#host },
      onReport: (report) => this.#hear(report),
      onDeath: (err) => logger.error({ err }, 'The thread that renews the lease died; starting it again.'),
    })
  }

  static async open(parts: WorkerSessionParts): Promise<WorkerSession> {
    const session = new WorkerSession(parts, await insertSession(parts, hostName()))
    await session.#heartbeat.start()
    return session
  }

  /** Owner of what is claimed now. */
  get id(): number {
    return this.#id
  }

  /** Whether the row is still there. To be called in a transaction: what a lost session claims would be nobody's. */
  isValid(): boolean {
    return this.#parts.database.prepare('SELECT 1 FROM sessions WHERE id = ?').get(this.#id) !== undefined
  }

  /** Reports the session as lost and begins a new one. */
  async renew(): Promise<void> {
    this.#renewing ??= this.#replace(this.#id).finally(() => (this.#renewing = undefined))
    await this.#renewing
  }

  /** Hands back what is still held. Never fails: the end of the lease does the same. */
  async close(): Promise<void> {
    await this.#heartbeat.stop()
    const { database, messages, logger, workerId } = this.#parts
    try {
      await database.write(() => {
        messages.free(this.#id)
        database.prepare('DELETE FROM sessions WHERE id = ?').run(this.#id)
      })
    } catch (err) {
      logger.warn({ err, workerId }, 'Could not hand back messages; others get them when the lease is over.')
    }
  }

  /** Stops renewing and leaves everything as it is, as if the process were gone. */
  async abandon(): Promise<void> {
    await this.#heartbeat.stop()
  }

  async #replace(lost: number): Promise<void> {
    const { logger, onLost, workerId } = this.#parts
    logger.warn(
      { workerId, session: lost },
      'The lease of this worker ran out, and others took its messages. Did the process or the machine sleep?',
    )
    onLost(lost)
    this.#id = await insertSession(this.#parts, this.#host)
    this.#heartbeat.renew(this.#id)
  }

  #hear(report: HeartbeatReport): void {
    const { logger, workerId } = this.#parts
    switch (report.kind) {
      case 'ready':
        return
      case 'lost':
        // `receive` tries again should this fail.
        if (report.session === this.#id) {
          this.renew().catch((err: unknown) => logger.error({ err, workerId }, 'Could not begin a new lease.'))
        }
        return
      case 'reclaimed':
        logger.warn(
          { workerId: report.workerId, count: report.count },
          `Took back ${report.count} message(s) of worker ${report.workerId}: ${report.why}.`,
        )
        return
      case 'failed':
        logger.error({ workerId }, `The lease could not be renewed (${report.message}); trying again.`)
        return
    }
  }
}

async function insertSession({ database, workerId, leaseMs }: WorkerSessionParts, host: string): Promise<number> {
  const { lastInsertRowid } = await database.write(() =>
    database
      .prepare('INSERT INTO sessions (worker_id, pid, host, expires_at) VALUES (?, ?, ?, ?)')
      .run(workerId, process.pid, host, Date.now() + leaseMs * 0.8),
  )
  return Number(lastInsertRowid)
}

/** Ends the sessions of a worker that is known to be gone. Returns how many messages went back to their queues. */
export async function reclaimWorker(database: Database, messages: MessageStore, workerId: string): Promise<number> {
  return await database.write(() => {
    const ended = database.prepare('DELETE FROM sessions WHERE worker_id = ? RETURNING id').all(workerId)
    return (ended as { readonly id: number }[]).reduce((sum, { id }) => sum + messages.free(id), 0)
  })
}
