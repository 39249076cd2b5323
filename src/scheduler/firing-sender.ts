import { createHash } from 'node:crypto'

import { ConfigError, MessageError } from '../contract/index.ts'
import type { Logger, Schedule, SendOnce, TaskMessage } from '../contract/index.ts'
import type { Broker } from '../core/index.ts'
import { sleep } from '../util/abort.ts'
import { backoffMs } from '../util/backoff.ts'
import type { Firing } from './plan.ts'
import { isSingle } from './upcoming.ts'

const BACKOFF = { baseMs: 100, maxMs: 5_000 }
/** Longer than a leader that lost its lease can still be at it. */
const ONCE_TTL_MS = 60 * 60 * 1000
/** Of what fires once: such keys are not used again, so they should not stay for long. */
const ONCE_TTL_OF_TIMES_MS = 5 * 60 * 1000

export interface FiringSenderParts {
  readonly broker: Broker
  /** Tells the schedules of one source from those of another with the same ids. */
  readonly scope: string
  readonly logger: Logger
  /** Whether to go on with a send that fails. */
  readonly mayFire: () => boolean
}

/**
 * - `sent`: the transport accepted it, now or from another scheduler.
 * - `skipped`: it will never be sent.
 * - `given up`: somebody else has to send it.
 */
export type SendEnd = 'sent' | 'skipped' | 'given up'

/** What became of a firing, and the task that was sent. */
export interface SentFiring {
  readonly end: SendEnd
  readonly taskId: string | undefined
}

/** Sends firings, each until it is accepted. */
export class FiringSender {
  readonly #parts: FiringSenderParts
  /** Tasks of schedules that do not overlap, and whether they have ended. */
  readonly #watched = new Map<string, { readonly taskId: string; hasEnded: boolean }>()
  readonly #reported = new Set<string>()

  constructor(parts: FiringSenderParts) {
    this.#parts = parts
  }

  async send(firing: Firing, signal: AbortSignal): Promise<SentFiring> {
    const { logger, mayFire } = this.#parts
    const { scheduleId, taskName } = firing.schedule
    if (await this.#mustSkip(firing)) return { end: 'skipped', taskId: undefined }
    const message = this.#message(firing)
    for (let attempt = 1; ; attempt += 1) {
      if (!mayFire()) return { end: 'given up', taskId: undefined }
      try {
        await this.#sendOnce(message, firing)
        this.#watchEnd(firing, message.taskId)
        logger.debug({ scheduleId, taskName, taskId: message.taskId }, `Schedule "${scheduleId}" fired.`)
        return { end: 'sent', taskId: message.taskId }
      } catch (err) {
        if (isHopeless(err)) {
          logger.error(
            { err, scheduleId, taskName },
            `Schedule "${scheduleId}" cannot be sent; this firing is skipped.`,
          )
          return { end: 'skipped', taskId: undefined }
        }
        if (attempt === 1) {
          logger.error({ err, scheduleId, taskName }, `Schedule "${scheduleId}" could not be sent; trying again.`)
        }
        await sleep(backoffMs(attempt, BACKOFF), signal)
        if (signal.aborted) return { end: 'given up', taskId: undefined }
      }
    }
  }

  async #sendOnce(message: TaskMessage, firing: Firing): Promise<void> {
    const { broker } = this.#parts
    const isOnce = broker.transport.capabilities.deduplicates && !firing.isRepeat
    const once = isOnce ? this.#once(firing) : undefined
    await broker.send([message], once)
  }

  #once({ schedule, at }: Firing): SendOnce {
    const key = `schedule:${this.#parts.scope}:${schedule.scheduleId}`
    if (!isSingle(schedule)) return { key, at, ttlMs: ONCE_TTL_MS }
    // Under the same id an earlier time may be asked for than the last one.
    return { key: `${key}:${at}`, at, ttlMs: ONCE_TTL_OF_TIMES_MS }
  }

  #message({ schedule, at }: Firing): TaskMessage {
    return messageFor(schedule, schedule.taskId ?? this.#taskIdOf(schedule.scheduleId, at))
  }

  /** The same for every scheduler: who takes over knows which task to ask for. */
  #taskIdOf(scheduleId: string, at: number): string {
    const text = JSON.stringify([this.#parts.scope, scheduleId, at])
    return createHash('sha256').update(text).digest('hex').slice(0, 32)
  }

  async #mustSkip({ schedule, at, lastTaskId }: Firing): Promise<boolean> {
    const { scheduleId, overlap } = schedule
    if (overlap !== 'skip' || lastTaskId === undefined) return false
    const { broker, logger } = this.#parts
    if (broker.parts.resultBackend === undefined) {
      if (this.#reported.has(scheduleId)) return false
      this.#reported.add(scheduleId)
      logger.error(
        { scheduleId },
        `Schedule "${scheduleId}" has overlap "skip", but the broker keeps no results, so that nobody knows when a task ` +
          'has ended: it overlaps. Give the broker a result backend.',
      )
      return false
    }
    if (await this.#hasEnded(schedule.taskName, scheduleId, lastTaskId)) return false
    logger.info(
      { scheduleId, taskId: lastTaskId, at: new Date(at).toISOString() },
      `Schedule "${scheduleId}" is skipped: the task of its last firing has not ended.`,
    )
    return true
  }

  async #hasEnded(taskName: string, scheduleId: string, taskId: string): Promise<boolean> {
    const { broker, logger } = this.#parts
    const watched = this.#watched.get(scheduleId)
    if (watched?.taskId === taskId && watched.hasEnded) return true
    try {
      if (await broker.hasResult(taskId)) return true
    } catch (err) {
      logger.warn({ err, scheduleId }, 'Could not ask for the result of the last firing; taking it for not ended.')
      return false
    }
    if (watched?.taskId === taskId) return false
    // Sent by another scheduler: from now on it is known here.
    this.#watch(taskName, scheduleId, taskId)
    return false
  }

  #watchEnd({ schedule: { scheduleId, taskName, overlap } }: Firing, taskId: string): void {
    if (overlap === 'skip' && this.#parts.broker.parts.resultBackend) this.#watch(taskName, scheduleId, taskId)
  }

  /** Hears of the end at once: the result itself may be gone again when the next firing is due. */
  #watch(taskName: string, scheduleId: string, taskId: string): void {
    const { broker } = this.#parts
    const watched = { taskId, hasEnded: false }
    this.#watched.set(scheduleId, watched)
    // Nobody can tell whether a task that runs for longer than results are kept has ended: it is taken for ended.
    const timeout = broker.findTask(taskName)?.resultTtlMs ?? broker.parts.results.ttlMs
    const end = (): void => void (watched.hasEnded = true)
    broker.waitResult(taskId, { timeout }).then(end, end)
  }
}

/** What a firing of a schedule sends. */
export function messageFor({ scheduleId, taskName, labels, args, kwargs }: Schedule, taskId: string): TaskMessage {
  return { taskId, taskName, labels: { ...labels, schedule_id: scheduleId }, args, kwargs }
}

/** Trying again would not help: it lies in the schedule, or in how the broker is set up. */
function isHopeless(error: unknown): boolean {
  return error instanceof MessageError || (error instanceof ConfigError && error.code !== 'KIQ_BROKER_NOT_STARTED')
}
