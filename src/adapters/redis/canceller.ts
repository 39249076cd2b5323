import type { CancelOutcome } from '../../contract/index.ts'
import type { RedisConnection } from './connection.ts'
import type { QueueKeys } from './keys.ts'
import { CANCEL_CHANNEL, CANCELLED_KEY } from './keys.ts'

/** How long a request is remembered for a message that is delivered again. */
const REMEMBERED_MS = 24 * 60 * 60 * 1000

/** How many messages of a task were taken out of a queue, and how many somebody holds. */
export interface Found {
  readonly removed: number
  readonly running: number
}

/** Removes what waits of a task in a queue, and counts what runs. */
export type Search = (keys: QueueKeys, taskId: string) => Promise<Found>

/**
 * Takes messages of a task out of their queues, and asks whoever runs it to stop. There is no index by task: what waits
 * is looked through, a thousand messages at a time, so that the server answers others in between.
 */
export class Canceller {
  readonly #connection: RedisConnection
  readonly #search: Search

  constructor(connection: RedisConnection, search: Search) {
    this.#connection = connection
    this.#search = search
  }

  async cancel(taskId: string, queues: readonly QueueKeys[]): Promise<CancelOutcome> {
    let removed = 0
    let running = 0
    for (const keys of queues) {
      const found = await this.#search(keys, taskId)
      removed += found.removed
      running += found.running
    }
    if (running > 0) await this.#request(taskId)
    return running > 0 ? 'requested' : removed > 0 ? 'removed' : 'unknown'
  }

  /** Which of the tasks somebody asked to cancel; for messages that are delivered again. */
  async requested(taskIds: readonly string[]): Promise<readonly string[]> {
    if (taskIds.length === 0) return []
    const scores = (await this.#connection.call('ZMSCORE', CANCELLED_KEY, ...taskIds)) as readonly unknown[]
    return taskIds.filter((_taskId, i) => scores[i] !== null)
  }

  async #request(taskId: string): Promise<void> {
    const now = Date.now()
    await this.#connection.call('ZADD', CANCELLED_KEY, now, taskId)
    await this.#connection.call('ZREMRANGEBYSCORE', CANCELLED_KEY, '-inf', now - REMEMBERED_MS)
    await this.#connection.call('PUBLISH', CANCEL_CHANNEL, taskId)
  }
}
