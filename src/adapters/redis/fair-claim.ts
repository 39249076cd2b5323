import type { Logger } from '../../contract/index.ts'

/** What one round of asking brought. */
export interface Claimed<D> {
  readonly deliveries: readonly D[]
  /** Milliseconds until something is due. */
  readonly waitMs: number
}

export interface FairClaimParts {
  /** When nothing is due. */
  readonly longestMs: number
  readonly logger: Logger
  /** A queue could not be asked, while others gave something. */
  readonly onFailure: () => void
}

const LOG_EVERY_MS = 10_000

/** Asks several queues for messages so that none starves another. */
export class FairClaim<D> {
  readonly #parts: FairClaimParts
  #turn = 0
  #loggedAt = -Infinity

  constructor(parts: FairClaimParts) {
    this.#parts = parts
  }

  /**
   * Asks all queues at once, each for its share; every time another one first.
   *
   * @throws what a queue threw, when nothing came from the others. What did come is never left behind.
   */
  async claim(
    queues: readonly string[],
    max: number,
    claimFrom: (queue: string, max: number) => Promise<Claimed<D>>,
  ): Promise<Claimed<D>> {
    const [only] = queues
    if (queues.length === 1 && only !== undefined) return await claimFrom(only, max)
    this.#turn += 1
    const start = this.#turn % queues.length
    const order = [...queues.slice(start), ...queues.slice(0, start)]
    let waitMs = this.#parts.longestMs
    for (let from = 0; from < order.length; from += max) {
      const some = order.slice(from, from + max)
      const share = Math.floor(max / some.length)
      const claims = await this.#ask(some, (queue) => claimFrom(queue, share))
      for (const claim of claims) waitMs = Math.min(waitMs, claim.waitMs)
      const deliveries = claims.flatMap((claim) => claim.deliveries)
      if (deliveries.length > 0) return { deliveries, waitMs }
    }
    return { deliveries: [], waitMs }
  }

  async #ask(
    queues: readonly string[],
    claimFrom: (queue: string) => Promise<Claimed<D>>,
  ): Promise<readonly Claimed<D>[]> {
    const settled = await Promise.allSettled(queues.map(claimFrom))
    const claims = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const failed = settled.find((one) => one.status === 'rejected')
    if (failed === undefined) return claims
    if (claims.every(({ deliveries }) => deliveries.length === 0)) throw failed.reason
    this.#note(failed.reason)
    return claims
  }

  #note(err: unknown): void {
    const { logger, onFailure } = this.#parts
    onFailure()
    if (performance.now() - this.#loggedAt < LOG_EVERY_MS) return
    this.#loggedAt = performance.now()
    logger.error({ err }, 'Cannot receive from one of the queues; the others go on.')
  }
}
