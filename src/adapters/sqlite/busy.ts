import { sleep } from '../../util/abort.ts'
import { isBusy, lockFailure } from './failure.ts'

/** Tries that only let the event loop turn once: most locks are held for less than a millisecond. */
const EAGER_TRIES = 8
/** Longest wait at first, in milliseconds. */
const SHORT_WAIT_MS = 5
/** From this try on, whoever holds the lock holds it for long. */
const PATIENT_FROM = 40
const LONG_WAIT_MS = 20

/**
 * Waits before the next try for a lock. Random, because two processes that wait in step keep colliding; and short, because
 * SQLite has no queue: who asks seldom gets nothing.
 *
 * @param tries - Failed ones so far, ≥ 1.
 */
export async function beforeNextTry(tries: number): Promise<void> {
  if (tries <= EAGER_TRIES) {
    await new Promise((resolve) => setImmediate(resolve))
    return
  }
  const maxMs = tries < PATIENT_FROM ? Math.min(SHORT_WAIT_MS, 2 ** (tries - EAGER_TRIES)) : LONG_WAIT_MS
  await sleep(1 + Math.random() * (maxMs - 1))
}

export interface PatienceOptions {
  readonly path: string
  readonly timeoutMs: number
}

/**
 * Repeats `attempt` while another connection holds the lock that it needs. SQLite's own busy timeout is never used: it
 * would stop the event loop.
 *
 * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` after `timeoutMs`, and whatever else `attempt` throws.
 */
export async function whileBusy<T>(attempt: () => T, { path, timeoutMs }: PatienceOptions): Promise<T> {
  const since = performance.now()
  for (let tries = 1; ; tries += 1) {
    try {
      return attempt()
    } catch (error) {
      if (!isBusy(error)) throw error
      const waitedMs = performance.now() - since
      if (waitedMs >= timeoutMs) throw lockFailure(path, waitedMs)
    }
    await beforeNextTry(tries)
  }
}
