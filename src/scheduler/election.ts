import type { Logger, ScheduleLedger } from '../contract/index.ts'
import { backoffMs } from '../util/backoff.ts'
import { ChangeSignal } from './change-signal.ts'

/** How much earlier than its lease ends a leader stops to fire: what it sends then is on its way in time. */
const GUARD_SHARE = 0.1
/** After the end of another's lease, by the clock of the engine. */
const AFTER_LEASE_MS = 20
const ANOTHER_LEADS = 'Another scheduler leads now.'
const LEASE_OVER = 'Its lease was not renewed in time: the engine did not answer, or this process was slow.'
const BACKOFF = { baseMs: 100, maxMs: 2_000 }

export interface ElectionParts {
  readonly ledger: ScheduleLedger
  /** Of the group that is led. */
  readonly name: string
  readonly holder: string
  readonly leaseMs: number
  readonly logger: Logger
  /** This scheduler leads now; what it throws is tried again. */
  readonly onLead: () => Promise<void>
  /** It leads no longer. */
  readonly onLost: (reason: string) => void
}

/** Leads a group while nobody else does. */
export class Election {
  readonly #parts: ElectionParts
  readonly #look = new ChangeSignal()
  #leads = false
  /** On the clock that nobody sets. */
  #until = 0

  constructor(parts: ElectionParts) {
    this.#parts = parts
  }

  /** Whether to fire. False already before the lease is over. */
  get leads(): boolean {
    return this.#leads && this.#isInTime
  }

  get #isInTime(): boolean {
    return performance.now() < this.#until - this.#parts.leaseMs * GUARD_SHARE
  }

  /** Somebody may have resigned. */
  look(): void {
    if (!this.#leads) this.#look.raise()
  }

  /** Somebody else was found to lead. */
  lost(reason: string = ANOTHER_LEADS): void {
    if (!this.#leads) return
    this.#leads = false
    this.#parts.onLost(reason)
    this.#look.raise()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { leaseMs, logger, name } = this.#parts
    let failures = 0
    while (!signal.aborted) {
      let waitMs: number
      try {
        waitMs = await this.#try()
        if (failures > 0) logger.info({ group: name }, 'The ledger of the schedules answers again.')
        failures = 0
      } catch (err) {
        failures += 1
        if (failures === 1) logger.error({ err, group: name }, 'Cannot ask who leads the schedules; trying again.')
        if (performance.now() >= this.#until) this.lost(LEASE_OVER)
        waitMs = Math.min(backoffMs(failures, BACKOFF), leaseMs / 3)
      }
      await this.#look.wait(waitMs, signal)
    }
  }

  /** Gives the lead to others. Never fails: the end of the lease does the same. */
  async resign(): Promise<void> {
    if (!this.#leads) return
    this.#leads = false
    const { ledger, name, holder, logger } = this.#parts
    try {
      await ledger.resign(name, holder)
    } catch (err) {
      logger.warn({ err, group: name }, 'Could not give the lead to others; they take it when the lease is over.')
    }
  }

  /** @returns Milliseconds until the next try. */
  async #try(): Promise<number> {
    const { ledger, name, holder, leaseMs, onLead } = this.#parts
    const askedAt = performance.now()
    const leftMs = await ledger.lead(name, holder, leaseMs)
    // Somebody may have led meanwhile, also while the answer was on its way.
    if (this.#leads && performance.now() >= this.#until) this.lost(LEASE_OVER)
    if (leftMs > 0) {
      this.lost()
      return Math.min(leftMs + AFTER_LEASE_MS, leaseMs)
    }
    this.#until = askedAt + leaseMs
    // An answer that is so late, as from an engine that was away, is worth nothing; the next one will be.
    if (!this.#isInTime) return 0
    if (!this.#leads) {
      this.#leads = true
      try {
        await onLead()
      } catch (error) {
        this.#leads = false
        throw error
      }
    }
    return leaseMs / 3
  }
}
