import { randomUUID } from 'node:crypto'

import { BrokerError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import { sleep } from '../../util/abort.ts'
import type { RedisConnection } from './connection.ts'
import type { Heartbeat } from './heartbeat.ts'
import { LoopHeartbeat, ThreadHeartbeat } from './heartbeat.ts'
import type { Beat, HeartbeatReport } from './heartbeat-program.ts'
import type { QueueKeys } from './keys.ts'
import { CONSUMER_PREFIX } from './keys.ts'
import type { Script } from './script.ts'

/** At the end: longest wait for a Redis that may be gone. */
const CLOSE_MS = 2_000

/** What a kind of queue does at the beginning, at each heartbeat, and at the end of a session. */
export interface SessionScripts {
  /** Begins a session; returns its epoch. */
  readonly register: (keys: QueueKeys, consumer: string) => Promise<string>
  readonly beat: Script
  readonly beatKeys: (keys: QueueKeys) => readonly string[]
  readonly beatArgs: (consumer: string, epoch: string) => readonly string[]
  /** Hands back what the session holds. */
  readonly end: (keys: QueueKeys, consumer: string) => Promise<unknown>
}

export interface SessionsParts {
  readonly connection: RedisConnection
  readonly scripts: SessionScripts
  readonly keysOf: (queue: string) => QueueKeys
  readonly workerId: string
  readonly leaseMs: number
  readonly logger: Logger
  /** What that session held belongs to others. */
  readonly onLost: (queue: string, consumer: string) => void
}

/** What a receiver wants to hear of. */
export interface SessionListener {
  /** That session is over: nothing should be taken under its name any more. */
  readonly onOver: (consumer: string) => void
  /** What the session has held for a while, each as `q` or `t` and the id; told again and again, while there is some. */
  readonly onHeld: (queue: string, consumer: string, entries: readonly string[]) => void
}

interface Session {
  readonly consumer: string
  readonly epoch: string
}

/**
 * The leases of this worker, one on each queue it takes from: an entry in the queue's list of sessions, under whose name
 * everything is held that the worker has taken. A {@link Heartbeat} renews them; one that is lost (the process slept for
 * longer than the lease) is followed by another with the next name.
 */
export class Sessions {
  readonly #parts: SessionsParts
  readonly #byQueue = new Map<string, Session>()
  readonly #registering = new Map<string, Promise<Session>>()
  readonly #heartbeat: Heartbeat
  #listener: SessionListener | undefined
  #number = 1
  #isClosed = false

  constructor(parts: SessionsParts) {
    const { connection, logger, leaseMs, scripts } = parts
    this.#parts = parts
    const heartbeat = {
      script: scripts.beat,
      everyMs: leaseMs / 5,
      onReport: (report: HeartbeatReport) => this.#hear(report),
      onDeath: (err: unknown) => logger.error({ err }, 'The thread that renews leases died; starting it again.'),
    }
    if (connection.thread) {
      this.#heartbeat = new ThreadHeartbeat(connection.thread, heartbeat)
    } else {
      this.#heartbeat = new LoopHeartbeat(connection, heartbeat)
      logger.warn(
        {},
        'The options of this Redis client cannot cross to a thread, so leases are renewed on the event loop: a task ' +
          'that blocks it for longer than the lease is delivered twice. Give `url` and `clientOptions` instead.',
      )
    }
  }

  async start(): Promise<void> {
    await this.#heartbeat.start()
  }

  listen(listener: SessionListener): void {
    this.#listener = listener
  }

  /** The name under which that queue's messages are taken now; begins a session when there is none. */
  async consumerOf(queue: string): Promise<string> {
    return (this.#byQueue.get(queue) ?? (await this.#register(queue))).consumer
  }

  /** The session's entry is gone, or its queue: begins it again. Nothing that it held is lost by that alone. */
  async renew(queue: string): Promise<void> {
    const session = this.#byQueue.get(queue)
    if (session) this.#byQueue.set(queue, await this.#begin(queue, session.consumer))
    this.#announce()
  }

  /** The script found no such session: it is over, or all data is. The heartbeat will tell, if it has not. */
  async check(queue: string): Promise<void> {
    const session = this.#byQueue.get(queue)
    if (!session) return
    const { scripts, connection, keysOf } = this.#parts
    const keys = scripts.beatKeys(keysOf(queue))
    const reply = (await connection.run(
      scripts.beat,
      keys,
      scripts.beatArgs(session.consumer, session.epoch),
    )) as unknown[]
    await this.#judge(queue, session.consumer, String(reply[0]))
  }

  /** Nothing is received for the time being, and nothing held: others shall not count on this worker. */
  async rest(): Promise<void> {
    const { scripts, keysOf } = this.#parts
    if (this.#byQueue.size === 0) return
    const sessions = [...this.#byQueue]
    this.#byQueue.clear()
    this.#announce()
    await Promise.all(sessions.map(([queue, { consumer }]) => scripts.end(keysOf(queue), consumer)))
  }

  /** Hands back what is still held. Never fails: the end of the lease does the same. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#heartbeat.stop()
    const { scripts, keysOf, logger, workerId } = this.#parts
    const ends = [...this.#byQueue].map(([queue, { consumer }]) => scripts.end(keysOf(queue), consumer))
    this.#byQueue.clear()
    const err = await this.#failureOf(ends)
    if (err === undefined) return
    logger.warn({ err, workerId }, 'Could not hand back messages; others get them when the lease is over.')
  }

  /** Why one of them failed, or that Redis does not answer. */
  async #failureOf(ends: readonly Promise<unknown>[]): Promise<unknown> {
    const answered = new AbortController()
    const all = Promise.allSettled(ends).then((settled) => {
      answered.abort()
      return settled.find((end) => end.status === 'rejected')?.reason as unknown
    })
    const late = sleep(CLOSE_MS, answered.signal).then(() => {
      const { shown } = this.#parts.connection
      return new BrokerError('KIQ_TRANSPORT_FAILED', `Redis at ${shown} did not answer within ${CLOSE_MS} ms.`)
    })
    return await Promise.race([all, late])
  }

  /** Stops renewing and leaves everything as it is, as if the process were gone. */
  async abandon(): Promise<void> {
    this.#isClosed = true
    await this.#heartbeat.stop()
    this.#byQueue.clear()
  }

  #register(queue: string): Promise<Session> {
    const known = this.#registering.get(queue)
    if (known) return known
    const consumer = `${CONSUMER_PREFIX}${this.#parts.workerId}:${this.#number}`
    const registering = this.#begin(queue, consumer)
      .then((session) => {
        this.#byQueue.set(queue, session)
        this.#announce()
        return session
      })
      .finally(() => this.#registering.delete(queue))
    this.#registering.set(queue, registering)
    return registering
  }

  async #begin(queue: string, consumer: string): Promise<Session> {
    const { scripts, keysOf } = this.#parts
    return { consumer, epoch: await scripts.register(keysOf(queue), consumer) }
  }

  #announce(): void {
    if (this.#isClosed) return
    const { scripts, keysOf } = this.#parts
    const beats = [...this.#byQueue].map(([queue, { consumer, epoch }]): Beat => {
      return { queue, consumer, keys: scripts.beatKeys(keysOf(queue)), args: scripts.beatArgs(consumer, epoch) }
    })
    this.#heartbeat.renew(beats)
  }

  #hear(report: HeartbeatReport): void {
    const { logger, workerId } = this.#parts
    if (report.kind === 'ready' || this.#isClosed) return
    if (report.kind === 'failed') {
      logger.error({ workerId }, `The lease could not be renewed (${report.message}); trying again.`)
      return
    }
    const { queue, consumer, reply } = report
    const [state, first, ...rest] = reply
    const held = Array.isArray(first) ? (first as readonly unknown[]).map(String) : []
    if (held.length > 0) this.#listener?.onHeld(queue, consumer, held)
    const taken = Array.isArray(first) ? rest : reply.slice(1)
    for (let i = 0; i + 1 < taken.length; i += 2) {
      const [other, count] = [String(taken[i]), Number(taken[i + 1])]
      if (other === '') logger.warn({ queue, count }, `Took over ${count} message(s) that idled with foreign workers.`)
      else
        logger.warn({ queue, consumer: other, count }, `Took back ${count} message(s) of ${other}: its lease is over.`)
    }
    this.#judge(queue, consumer, String(state)).catch((err: unknown) => {
      // `receive` tries again.
      logger.error({ err, workerId, queue }, 'Could not begin a new lease.')
    })
  }

  async #judge(queue: string, consumer: string, state: string): Promise<void> {
    const { logger, workerId, onLost } = this.#parts
    if (state === 'ok' || this.#byQueue.get(queue)?.consumer !== consumer) return
    if (state === 'flushed') {
      logger.warn({ workerId, queue }, `Redis lost the data of queue "${queue}"; going on with what it has.`)
      await this.renew(queue)
      return
    }
    logger.warn(
      { workerId, queue },
      'The lease of this worker ran out, and others took its messages. Did the process or the machine sleep?',
    )
    this.#number += 1
    this.#byQueue.delete(queue)
    this.#announce()
    this.#listener?.onOver(consumer)
    onLost(queue, consumer)
  }
}

export function randomEpoch(): string {
  return randomUUID()
}
