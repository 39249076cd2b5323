import { watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'

/** While changes follow each other. */
const HOT_POLL_MS = 1
/** Without a change for this long, the watch takes over. */
const COOL_AFTER_MS = 20
/** For what the watch misses, which was never seen to happen. */
const WATCHED_POLL_MS = 50
/** Where nothing can be watched. */
const UNWATCHED_POLL_MS = 20

export interface WakerParts {
  /** Log of the database: every commit writes to it. */
  readonly logPath: string
  /** A number that changes when another connection commits. May throw; that is taken for no change. */
  readonly version: () => number
}

/**
 * Tells when the database changed: by another process or by this one ({@link Waker.wrote}).
 *
 * - *asleep* while nobody listens: does nothing.
 * - *hot* from the first listener, and from every change: asks for SQLite's `data_version` every millisecond. The
 *   file system is not asked, since every writer would pay for its reports (measured: 15 % of a busy queue).
 * - *cool* after 20 ms without a change: the file system reports writes to the log, and a slow poll catches what it does
 *   not report.
 *
 * While somebody listens it keeps the process alive.
 */
export class Waker {
  readonly #parts: WakerParts
  readonly #listeners = new Set<() => void>()
  #changes = 0
  #version: number | undefined
  #changedAt = 0
  #poll: NodeJS.Timeout | undefined
  #watcher: FSWatcher | undefined
  #watchFails = false

  constructor(parts: WakerParts) {
    this.#parts = parts
  }

  /** Counts changes; looks for new ones first. */
  changes(): number {
    this.#look()
    return this.#changes
  }

  /**
   * Calls `listener` after every change, several changes together. It must be quick.
   *
   * @returns Ends that; harmless to call twice.
   */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    if (this.#poll === undefined) {
      this.#changedAt = performance.now()
      this.#pollLater(HOT_POLL_MS)
    }
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** This connection committed something. */
  wrote(): void {
    this.#announce()
  }

  close(): void {
    this.#listeners.clear()
    this.#fallAsleep()
  }

  #pollLater(ms: number): void {
    this.#poll = setTimeout(this.#onPoll, ms)
  }

  readonly #onPoll = (): void => {
    if (this.#listeners.size === 0) {
      this.#fallAsleep()
      return
    }
    this.#look()
    if (performance.now() - this.#changedAt < COOL_AFTER_MS) {
      this.#stopWatching()
      this.#pollLater(HOT_POLL_MS)
    } else {
      if (this.#watcher === undefined) {
        this.#watcher = this.#startWatching()
        // What was committed before the watch began is not reported.
        this.#look()
      }
      this.#pollLater(this.#watcher ? WATCHED_POLL_MS : UNWATCHED_POLL_MS)
    }
  }

  #fallAsleep(): void {
    clearTimeout(this.#poll)
    this.#poll = undefined
    this.#stopWatching()
  }

  #startWatching(): FSWatcher | undefined {
    if (this.#watchFails) return undefined
    try {
      const watcher = watch(this.#parts.logPath, { persistent: false }, this.#onReport)
      watcher.on('error', () => {
        this.#watchFails = true
        this.#stopWatching()
      })
      return watcher
    } catch {
      // Out of watches, or none on this file system: the poll alone is slower, not wrong.
      this.#watchFails = true
      return undefined
    }
  }

  #stopWatching(): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }

  readonly #onReport = (): void => {
    // The write is reported before the commit counts; so the poll goes on from here.
    this.#stopWatching()
    if (this.#listeners.size === 0) return
    this.#changedAt = performance.now()
    this.#look()
    clearTimeout(this.#poll)
    this.#pollLater(HOT_POLL_MS)
  }

  /** Announces a change if there is one. */
  #look(): void {
    let version: number
    try {
      version = this.#parts.version()
    } catch {
      return
    }
    if (version === this.#version) return
    this.#version = version
    this.#announce()
  }

  #announce(): void {
    this.#changes += 1
    this.#changedAt = performance.now()
    for (const listener of this.#listeners) listener()
  }
}
