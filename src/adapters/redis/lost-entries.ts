import type { Logger } from '../../contract/index.ts'
import type { PlacedList } from '../../util/placed-list.ts'
import type { RedisConnection } from './connection.ts'
import type { RedisDelivery } from './delivery.ts'
import type { QueueKeys } from './keys.ts'
import { PARK_LOST } from './scripts/sessions.ts'

/** What is only on its way here arrives within that time. */
const ON_ITS_WAY_MS = 100

export interface LostEntriesParts {
  readonly connection: RedisConnection
  readonly group: string
  readonly keysOf: (queue: string) => QueueKeys
  /** What this process knows of. */
  readonly held: PlacedList<RedisDelivery>
  readonly logger: Logger
}

/**
 * Finds what Redis keeps for this worker and the worker does not know of: it was delivered to a connection that had
 * ended, which Redis had not noticed, or could not be handed back. Nobody would ever get it, because the lease that keeps
 * it is renewed; so it is handed back as soon as a heartbeat has named it twice.
 */
export class LostEntries {
  readonly #parts: LostEntriesParts
  /** When each was first named, by queue. */
  readonly #named = new Map<string, ReadonlyMap<string, number>>()

  constructor(parts: LostEntriesParts) {
    this.#parts = parts
  }

  /** @param entries - What the session has held for a while, each as `q` or `t` and the id. */
  hear(queue: string, consumer: string, entries: readonly string[]): void {
    const own = this.#parts.held.filter((delivery) => delivery.queue === queue && delivery.consumer === consumer)
    const known = new Set(own.map(({ source, id }) => source + id))
    const before = this.#named.get(queue)
    const now = performance.now()
    const unknown = new Map<string, number>()
    for (const entry of entries) if (!known.has(entry)) unknown.set(entry, before?.get(entry) ?? now)
    if (unknown.size > 0) this.#named.set(queue, unknown)
    else this.#named.delete(queue)
    const lost = [...unknown].filter(([, since]) => now - since >= ON_ITS_WAY_MS).map(([entry]) => entry)
    if (lost.length > 0) void this.#handBack(queue, consumer, lost)
  }

  async #handBack(queue: string, consumer: string, entries: readonly string[]): Promise<void> {
    const { connection, group, keysOf, logger } = this.#parts
    const { taken, wake, leases } = keysOf(queue)
    const ids = entries.flatMap((entry) => [entry.slice(0, 1), entry.slice(1)])
    try {
      const count = Number(await connection.run(PARK_LOST, [queue, taken, wake, leases], [group, consumer, ...ids]))
      if (count > 0) logger.warn({ queue, count }, `Handed back ${count} message(s) that were lost on their way here.`)
    } catch (err) {
      logger.debug({ err, queue }, 'Could not hand back messages that were lost on their way; trying again.')
    }
  }
}
