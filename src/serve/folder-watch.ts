import { ConfigError, KiqError } from '../contract/index.ts'
import type { Clock, Logger, MaybePromise } from '../contract/index.ts'
import { MAX_TIMER_MS } from '../util/abort.ts'
import { messageOf, show } from '../util/show.ts'
import { snapshotOf } from './folder-snapshot.ts'

export interface FolderWatchOptions {
  /** Need not exist: then it is empty. */
  readonly folder: string
  /** Milliseconds from the end of one look to the next, > 0. */
  readonly intervalMs: number
  /** Takes over what has changed. While it runs there is no other look; when it fails it is called again later. */
  readonly onChange: () => MaybePromise<void>
  readonly log: Logger
  /** @defaultValue the system's, with timers that do not keep the process alive */
  readonly clock?: Clock | undefined
}

/** A change that could not be taken over. */
interface Failed {
  readonly digest: string
  readonly times: number
  /** When to try again, on the clock. */
  readonly at: number
}

const MIN_RETRY_MS = 1_000
const MAX_RETRY_MS = 600_000

/** Differs from every digest. */
const UNKNOWN = ''

const quietClock: Clock = {
  now: () => Date.now(),
  schedule: (ms, callback) => {
    const timer = setTimeout(callback, Math.min(ms, MAX_TIMER_MS)).unref()
    return () => clearTimeout(timer)
  },
}

/**
 * Looks at a folder again and again, and tells of changes: of other paths, sizes or times of what is below it. Files that
 * are being copied are left alone: a change counts when two looks after each other find the same.
 *
 * What it finds first counts as taken over. So start it before the files are read: what changes meanwhile is noticed then.
 */
export class FolderWatch {
  readonly #options: FolderWatchOptions
  readonly #clock: Clock
  /** What was taken over. */
  #taken: string | undefined
  /** What the look before found. */
  #last: string | undefined
  #failed: Failed | undefined
  #state: 'made' | 'running' | 'stopped' = 'made'
  #cancelTimer: (() => void) | undefined
  /** Looks follow each other: the last one. */
  #looking: Promise<void> = Promise.resolve()
  /** The last one, as long as it has not begun. */
  #next: Promise<void> | undefined
  #hasWarnedOfCut = false
  #isUnreadable = false

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for a bad `intervalMs`. */
  constructor(options: FolderWatchOptions) {
    const { intervalMs } = options
    if (!Number.isFinite(intervalMs) || intervalMs <= 0) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `\`intervalMs\` of a watched folder is ${show(intervalMs)}. Use milliseconds > 0.`,
      )
    }
    this.#options = options
    this.#clock = options.clock ?? quietClock
  }

  /**
   * Resolves after the first look. Harmless when it runs already.
   *
   * @throws {KiqError} `KIQ_SERVE_STOPPING` after {@link FolderWatch.stop}.
   */
  async start(): Promise<void> {
    if (this.#state === 'stopped') {
      throw new KiqError('KIQ_SERVE_STOPPING', 'The watch of a folder was stopped. Make another one.')
    }
    const isFirst = this.#state === 'made'
    this.#state = 'running'
    await this.check()
    if (isFirst) this.#plan()
  }

  /** Ends it for good, and resolves when nothing of it runs any more. Not to be awaited by `onChange` itself. */
  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    await this.#looking
  }

  /** Looks now, after a look that is under way; never rejects. The first look there is only notes what it finds. */
  async check(): Promise<void> {
    // One that has not begun sees whatever is there by now: there is no use in another one after it.
    this.#next ??= this.#looking.then(async () => {
      this.#next = undefined
      await this.#look()
    })
    this.#looking = this.#next
    await this.#looking
  }

  #plan(): void {
    if (this.#isStopped()) return
    this.#cancelTimer = this.#clock.schedule(this.#options.intervalMs, () => {
      void this.check().then(() => this.#plan())
    })
  }

  async #look(): Promise<void> {
    if (this.#isStopped()) return
    const digest = await this.#digest()
    if (digest === undefined) {
      // What is found when it can be read again may be anything.
      this.#taken ??= UNKNOWN
      return
    }
    const isSettled = digest === this.#last
    this.#last = digest
    this.#taken ??= digest
    if (digest === this.#taken) this.#failed = undefined
    else if (isSettled && !this.#isStopped()) await this.#takeOver(digest)
  }

  async #takeOver(digest: string): Promise<void> {
    const before = this.#failed?.digest === digest ? this.#failed : undefined
    if (before !== undefined && this.#clock.now() < before.at) return
    try {
      await this.#options.onChange()
      this.#taken = digest
      this.#failed = undefined
    } catch (error) {
      const times = (before?.times ?? 0) + 1
      const waitMs = Math.min(
        MAX_RETRY_MS,
        Math.max(MIN_RETRY_MS, this.#options.intervalMs) * 2 ** Math.min(times - 1, 30),
      )
      this.#failed = { digest, times, at: this.#clock.now() + waitMs }
      this.#log('error', error, `The change was not taken over, and is tried again in ${waitMs} ms or later`)
    }
  }

  /** `undefined` when the folder cannot be read. */
  async #digest(): Promise<string | undefined> {
    try {
      const { digest, isCut } = await snapshotOf(this.#options.folder)
      this.#isUnreadable = false
      if (isCut && !this.#hasWarnedOfCut) {
        this.#hasWarnedOfCut = true
        this.#log('warn', undefined, 'There are more than 10,000 files, of which only the first are looked at')
      }
      return digest
    } catch (error) {
      if (!this.#isUnreadable) this.#log('warn', error, 'The folder cannot be read, and changes are not noticed')
      this.#isUnreadable = true
      return undefined
    }
  }

  #log(level: 'warn' | 'error', error: unknown, message: string): void {
    const { folder, log } = this.#options
    const why = error === undefined ? '.' : `: ${messageOf(error)}`
    try {
      log[level]({ folder, ...(error === undefined ? {} : { err: error }) }, message + why)
    } catch {
      // A logger that throws must not end the watch.
    }
  }

  /** A method, since the state may change wherever something is awaited. */
  #isStopped(): boolean {
    return this.#state === 'stopped'
  }
}
