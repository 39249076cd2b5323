import type { Logger } from '../../contract/index.ts'

/** A child that can be asked. */
export interface Reclaimer {
  reclaim(workerId: string): void
}

/** More than that only gather where no child ever becomes ready; the leases of the oldest have run out by then. */
const MAX_PENDING = 1_000

/**
 * Hands back at once what dead children held, instead of letting their leases run out. The supervisor has no connection
 * of its own (it would have to load the user's code, which `--reload` must not keep), so it asks the living children:
 * all of them, since one may be blocked by its task, and the second answer finds nothing left to do. When none lives, the
 * next one that becomes ready is asked.
 */
export class Reclaims {
  readonly #log: Logger
  readonly #pending = new Set<string>()

  constructor(log: Logger) {
    this.#log = log
  }

  add(workerId: string, living: Iterable<Reclaimer>): void {
    this.#pending.add(workerId)
    const [oldest] = this.#pending
    if (this.#pending.size > MAX_PENDING && oldest !== undefined) this.#pending.delete(oldest)
    for (const child of living) child.reclaim(workerId)
  }

  onReady(child: Reclaimer): void {
    for (const workerId of this.#pending) child.reclaim(workerId)
  }

  onReclaimed(workerId: string, count: number, error: string | undefined): void {
    if (error !== undefined) {
      // Others were asked too, and the next child that becomes ready will be; at worst the leases run out.
      this.#log.debug({ workerId, error }, 'A child could not hand back what a dead worker held.')
      return
    }
    this.#pending.delete(workerId)
    if (count > 0) this.#log.info({ workerId, count }, `Handed back ${count} message(s) of a dead worker.`)
  }
}
