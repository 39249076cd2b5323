import { createHash } from 'node:crypto'

import type { Logger } from '../../contract/index.ts'
import { sleep } from '../../util/abort.ts'
import type { RedisConnection } from './connection.ts'
import { DIGEST_SCHEDULES } from './scripts/schedules.ts'

export const DEFAULT_LOOK_MS = 1_000
/** Records that one script looks at: less than a millisecond of the server's time. */
const BATCH = 500

export interface ScheduleWatchParts {
  readonly connection: Promise<RedisConnection>
  /** On which our own kind tells of its changes. */
  readonly channel: string
  /** What is there, short; another text after each change. */
  readonly look: (connection: RedisConnection) => Promise<string>
  /** Shortest pause after a look. */
  readonly lookMs: number
  /** The pause after a look, as a multiple of its duration. */
  readonly pauseFactor: number
  readonly listener: () => void
  readonly logger: Logger
}

/**
 * Tells of changes: those of our own kind when they are published, those of Python, which publishes nothing, when a look
 * finds them. Whatever was published while nobody could hear it is found by the looks, too.
 */
export class ScheduleWatch {
  readonly #parts: ScheduleWatchParts
  readonly #over = new AbortController()

  constructor(parts: ScheduleWatchParts) {
    this.#parts = parts
    void this.#run()
  }

  end(): void {
    this.#over.abort()
  }

  async #run(): Promise<void> {
    const { channel } = this.#parts
    // Who starts the source is told why it does not start.
    const connection = await this.#parts.connection.catch(() => undefined)
    if (connection === undefined || this.#over.signal.aborted) return
    const { hub } = connection
    const unlisten = hub.onResumed(this.#tell)
    const subscribed = hub.subscribe(channel, this.#tell)
    const end = (): void => {
      unlisten()
      hub.unsubscribe(channel, this.#tell)
    }
    this.#over.signal.addEventListener('abort', end, { once: true })
    await this.#lookOn(connection, subscribed)
  }

  async #lookOn(connection: RedisConnection, subscribed: Promise<void>): Promise<void> {
    const { signal } = this.#over
    let { seen: known, pauseMs } = await this.#look(connection)
    // The first look has nothing to compare with, and what was published until now was not heard.
    subscribed.then(this.#tell, this.#tell)
    for (;;) {
      await sleep(pauseMs, signal)
      if (signal.aborted) return
      const { seen, pauseMs: nextPauseMs } = await this.#look(connection)
      pauseMs = nextPauseMs
      if (seen === undefined) continue
      if (seen !== known) this.#tell()
      known = seen
    }
  }

  /** `undefined` = it failed. */
  async #look(connection: RedisConnection): Promise<{ readonly seen: string | undefined; readonly pauseMs: number }> {
    const { look, lookMs, pauseFactor, logger } = this.#parts
    const begun = performance.now()
    try {
      const seen = await look(connection)
      return { seen, pauseMs: Math.max(lookMs, pauseFactor * (performance.now() - begun)) }
    } catch (err) {
      if (!this.#over.signal.aborted) logger.debug({ err }, 'Could not look for changed schedules; trying again.')
      return { seen: undefined, pauseMs: lookMs }
    }
  }

  readonly #tell = (): void => {
    if (this.#over.signal.aborted) return
    try {
      this.#parts.listener()
    } catch (err) {
      this.#parts.logger.error({ err }, 'A listener for changed schedules threw.')
    }
  }
}

/**
 * A digest of records.
 *
 * @param fetchBodies - For keys that lie in several slots, where no script reaches all of them.
 */
export async function digestOf(
  connection: RedisConnection,
  keys: readonly string[],
  fetchBodies: ((keys: readonly string[]) => Promise<readonly unknown[]>) | undefined,
): Promise<string> {
  const hash = createHash('sha1')
  for (let start = 0; start < keys.length; start += BATCH) {
    const batch = keys.slice(start, start + BATCH)
    hash.update(JSON.stringify(batch))
    if (fetchBodies === undefined) {
      hash.update((await connection.run(DIGEST_SCHEDULES, batch, [])) as Buffer)
      continue
    }
    for (const body of await fetchBodies(batch)) hash.update(Buffer.isBuffer(body) ? sha1(body) : '-')
  }
  return hash.digest('hex')
}

/** As Redis has it: in hexadecimal. */
export function sha1(body: Buffer): string {
  return createHash('sha1').update(body).digest('hex')
}
