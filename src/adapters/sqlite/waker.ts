import { watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'

/** First look after a change: often only one of several is committed by then. */
const SHORTEST_POLL_MS = 2
const LONGEST_POLL_MS = 20
const POLL_GROWTH = 1.3
/** The watch outlives its last listener by this, because a busy worker waits, works and waits again. */
const LINGER_MS = 1_000

export interface WakerParts {
  /** Log of the database: every commit writes to it. */
  readonly logPath: string
  /** A number that changes when another connection commits. May throw; that is taken for no change. */
  readonly version: () => number
}

/**
 * Tells when the database changed: by another process (the file system reports writes to the log, and a poll of SQLite's
 * `data_version` catches what it does not report) or by this one ({@link Waker.wrote}).
 *
 * While nobody listens it does nothing. While somebody listens it keeps the process alive.
 */
export class Waker {
  readonly #parts: WakerParts
  readonly #listeners = new Set<() => void>()
  #changes = 0
  #version: number | undefined
  #intervalMs = SHORTEST_POLL_MS
  #poll: NodeJS.Timeout | undefined
  #linger: NodeJS.Timeout | undefined
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
    if (this.#listeners.size === 1) this.#wakeUp()
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#fallAsleep()
    }
  }

  /** This connection committed something. */
  wrote(): void {
    this.#announce()
  }

  close(): void {
    this.#listeners.clear()
    clearTimeout(this.#poll)
    this.#poll = undefined
    this.#stopWatching()
  }

  #wakeUp(): void {
    clearTimeout(this.#linger)
    this.#watcher ??= this.#startWatching()
    this.#intervalMs = SHORTEST_POLL_MS
    this.#pollLater()
  }

  #fallAsleep(): void {
    clearTimeout(this.#poll)
    this.#poll = undefined
    this.#linger = setTimeout(() => this.#stopWatching(), LINGER_MS)
    this.#linger.unref()
  }

  #startWatching(): FSWatcher | undefined {
    if (this.#watchFails) return undefined
    try {
      const watcher = watch(this.#parts.logPath, { persistent: false }, this.#onWrite)
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
    clearTimeout(this.#linger)
    this.#watcher?.close()
    this.#watcher = undefined
  }

  readonly #onWrite = (): void => {
    if (this.#poll === undefined || this.#look()) return
    // The write is reported before the commit counts.
    this.#intervalMs = SHORTEST_POLL_MS
    this.#pollLater()
  }

  #pollLater(): void {
    clearTimeout(this.#poll)
    this.#poll = setTimeout(() => {
      if (!this.#look()) this.#intervalMs = Math.min(this.#intervalMs * POLL_GROWTH, LONGEST_POLL_MS)
      if (this.#listeners.size > 0) this.#pollLater()
    }, this.#intervalMs)
  }

  /** @returns Whether there was a change. */
  #look(): boolean {
    let version: number
    try {
      version = this.#parts.version()
    } catch {
      return false
    }
    if (version === this.#version) return false
    this.#version = version
    this.#intervalMs = SHORTEST_POLL_MS
    this.#announce()
    return true
  }

  #announce(): void {
    this.#changes += 1
    for (const listener of this.#listeners) listener()
  }
}
