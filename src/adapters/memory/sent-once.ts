import type { SendOnce } from '../../contract/index.ts'

const FIRST_SWEEP = 1_000

/** Keys of messages that were accepted, each for its time. */
export class SentOnce {
  readonly #known = new Map<string, { readonly at: number; readonly expiresAt: number }>()
  #sweepAt = FIRST_SWEEP

  /** Whether to accept the message; if so, its key is remembered. */
  accept(queue: string, { key: name, at, ttlMs }: SendOnce): boolean {
    const key = JSON.stringify([queue, name])
    const now = performance.now()
    const known = this.#known.get(key)
    if (known && known.expiresAt > now && known.at >= at) return false
    this.#known.set(key, { at, expiresAt: now + ttlMs })
    if (this.#known.size >= this.#sweepAt) this.#sweep(now)
    return true
  }

  #sweep(now: number): void {
    for (const [key, { expiresAt }] of this.#known) if (expiresAt <= now) this.#known.delete(key)
    this.#sweepAt = Math.max(FIRST_SWEEP, 2 * this.#known.size)
  }
}
