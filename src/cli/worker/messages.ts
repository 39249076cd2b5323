import type { AckType, WorkerEnd } from '../../core/index.ts'
import type { ModuleSettings } from '../broker-module.ts'
import type { ErrorReport } from '../error-report.ts'
import type { ExitCode } from '../exit-codes.ts'
import type { LogSettings } from '../log.ts'
import type { Deadlines } from './deadlines.ts'

/** Everything a child needs to know. */
export interface ChildSettings {
  readonly modules: ModuleSettings
  readonly log: LogSettings
  readonly deadlines: Deadlines
  readonly queues: readonly string[] | undefined
  readonly concurrency: number
  readonly prefetch: number
  readonly ackType: AckType | undefined
  readonly maxDeliveries: number | undefined
  readonly maxTasks: number | undefined
  /** Also sends the tasks of schedules. */
  readonly withScheduler: boolean
}

/** What becomes of running tasks when a worker stops. */
export type Running = 'finish' | 'abort'

/** Supervisor → child. */
export type ToChild =
  | { readonly type: 'start'; readonly role: string; readonly settings: ChildSettings }
  | { readonly type: 'stop'; readonly running: Running }
  /** Hand back what this dead worker held. */
  | { readonly type: 'reclaim'; readonly workerId: string }

/** Child → supervisor. */
export type FromChild =
  /** Sent before the broker connects: from now on something may be held under this id. */
  | { readonly type: 'loaded'; readonly workerId: string }
  | { readonly type: 'ready'; readonly facts: WorkerFacts }
  | { readonly type: 'heartbeat'; readonly beat: Heartbeat }
  | { readonly type: 'reclaimed'; readonly workerId: string; readonly count: number; readonly error?: string }
  /** It cannot start and ends now; `exitCode` 2 = it never will with these modules and options. */
  | { readonly type: 'failed'; readonly report: ErrorReport; readonly exitCode: ExitCode }
  /** The worker is done and nothing is held any more; the process ends within the shutdown timeout. */
  | { readonly type: 'ended'; readonly end: WorkerEnd; readonly processed: number }

/** What a worker is, told once. */
export interface WorkerFacts {
  readonly broker: string
  readonly transport: string
  readonly queues: readonly string[]
  readonly tasks: readonly string[]
}

/**
 * What a worker does now, told every second.
 *
 * `lastFetchAt` alone cannot tell a healthy idle worker from a broken one: `receive()` waits until there is something,
 * for hours if need be. So the child also tells what its receiving does; see {@link Receiving}.
 */
export interface Heartbeat {
  readonly running: number
  readonly processed: number
  /** Milliseconds since the epoch of the last answer of the transport; `null` = none so far. */
  readonly lastFetchAt: number | null
  readonly receiving: Receiving
  /** Longest time the event loop was blocked since the last heartbeat, in milliseconds. */
  readonly lagMs: number
}

/**
 * - `waiting`: a call of `receive()` is under way, and the one before did not fail.
 * - `busy`: no call is under way: every slot is taken.
 * - `failing`: the last call failed; the transport does not answer.
 * - `stopped`: it takes nothing more.
 */
export type Receiving = 'waiting' | 'busy' | 'failing' | 'stopped'

/** Tags our messages: tasks may talk through the same channel. */
const TAG = 'kiq'

export function wrap(message: ToChild | FromChild): object {
  return { [TAG]: message }
}

/** The message inside, if it is one of ours; of the type that the other end sends. */
export function unwrapToChild(raw: unknown): ToChild | undefined {
  return unwrap(raw) as ToChild | undefined
}

export function unwrapFromChild(raw: unknown): FromChild | undefined {
  return unwrap(raw) as FromChild | undefined
}

function unwrap(raw: unknown): unknown {
  return typeof raw === 'object' && raw !== null ? (raw as Readonly<Record<string, unknown>>)[TAG] : undefined
}
