import type { Heartbeat } from './messages.ts'

/** A child tells every second what it does; one that has not for so long is blocked or paused. */
const FRESH_MS = 5_000

/** What the supervisor knows of the child that fills a slot. */
export interface ChildSnapshot {
  readonly slot: number
  readonly state: 'starting' | 'ready' | 'stopping' | 'gone' | 'waiting'
  readonly pid: number | undefined
  readonly workerId: string | undefined
  /** Milliseconds since it last told something; `undefined` before it was ready. */
  readonly silentForMs: number | undefined
  readonly heartbeat: Heartbeat | undefined
}

export interface ChildHealth {
  readonly slot: number
  readonly state: string
  readonly pid: number | null
  readonly workerId: string | null
  readonly isReady: boolean
  /** Why not. */
  readonly reason: string | null
  readonly heartbeatAgeMs: number | null
  readonly running: number | null
  readonly processed: number | null
  readonly receiving: string | null
  readonly lastFetchAt: string | null
  readonly lagMs: number | null
}

/**
 * Whether a child does its work. Its last fetch does not tell: an idle worker waits in one fetch for hours. So two things
 * are asked: that its event loop turns (a fresh heartbeat), and that its fetches do not fail.
 */
export function judgeChild(child: ChildSnapshot): ChildHealth {
  const { heartbeat, silentForMs } = child
  const reason = whyNotReady(child)
  const lastFetchAt = heartbeat?.lastFetchAt ?? null
  return {
    slot: child.slot,
    state: child.state,
    pid: child.pid ?? null,
    workerId: child.workerId ?? null,
    isReady: reason === null,
    reason,
    heartbeatAgeMs: silentForMs === undefined ? null : Math.round(silentForMs),
    running: heartbeat?.running ?? null,
    processed: heartbeat?.processed ?? null,
    receiving: heartbeat?.receiving ?? null,
    lastFetchAt: lastFetchAt === null ? null : new Date(lastFetchAt).toISOString(),
    lagMs: heartbeat?.lagMs ?? null,
  }
}

function whyNotReady({ state, silentForMs = 0, heartbeat }: ChildSnapshot): string | null {
  if (state !== 'ready') return `It is ${state}.`
  if (silentForMs > FRESH_MS) return `Its event loop has been blocked for ${Math.round(silentForMs / 1000)} s.`
  if (heartbeat?.receiving === 'failing') return 'The transport does not answer.'
  return heartbeat?.receiving === 'stopped' ? 'It takes nothing more.' : null
}
