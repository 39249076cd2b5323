import type { Body, Logger } from '../../contract/index.ts'
import type { Database } from './database.ts'
import { isBusy, useFailure } from './failure.ts'
import type { ResultRow, ResultStore } from './result-store.ts'

/** Rows per look: a few milliseconds. */
const BATCH = 1_000
/** Rows per look when their bodies, which may be long, come along. */
const OWN_BATCH = 250
/** After a look that failed, for example for want of a lock. */
const RETRY_MS = 50

type NewRow = Pick<ResultRow, 'seq' | 'task_id'> & Partial<Pick<ResultRow, 'body'>>
type Listener = (body: Body) => void

/**
 * Waiters for results, any number at the cost of one: new ones are looked up together once, afterwards each result that
 * is committed is looked at once, whoever waits for it.
 */
export class Subscriptions {
  readonly #database: Database
  readonly #results: ResultStore
  readonly #logger: Logger
  readonly #listeners = new Map<string, Set<Listener>>()
  /** Waiters that were not looked up yet. */
  #fresh: string[] = []
  /** Everything up to here was looked at. */
  #lastSeq: number | undefined
  /** Of the last rows: then bodies are read with them. */
  #areMostOurs = false
  #unlisten: (() => void) | undefined
  #looking: NodeJS.Immediate | undefined
  #retry: NodeJS.Timeout | undefined

  constructor(database: Database, results: ResultStore, logger: Logger) {
    this.#database = database
    this.#results = results
    this.#logger = logger
  }

  add(taskId: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(taskId)
    if (listeners) listeners.add(listener)
    else this.#listeners.set(taskId, new Set([listener]))
    this.#fresh.push(taskId)
    this.#unlisten ??= this.#database.waker.listen(this.#lookSoon)
    this.#lookSoon()
    return () => {
      const left = this.#listeners.get(taskId)
      if (left?.delete(listener) && left.size === 0) this.#remove(taskId)
    }
  }

  stop(): void {
    this.#listeners.clear()
    this.#rest()
  }

  #remove(taskId: string): void {
    this.#listeners.delete(taskId)
    if (this.#listeners.size === 0) this.#rest()
  }

  #rest(): void {
    this.#unlisten?.()
    this.#unlisten = undefined
    clearImmediate(this.#looking)
    clearTimeout(this.#retry)
    this.#looking = undefined
    this.#retry = undefined
    this.#fresh = []
    this.#lastSeq = undefined
  }

  readonly #lookSoon = (): void => {
    this.#looking ??= setImmediate(this.#look)
  }

  readonly #look = (): void => {
    this.#looking = undefined
    try {
      // Before the lookup: what is committed in between is found twice rather than never.
      this.#lastSeq ??= this.#results.lastSeq()
      this.#findFresh()
      this.#findNew()
    } catch (error) {
      if (!isBusy(error)) {
        const err = useFailure(this.#database.path, error)
        this.#logger.error({ err }, 'Could not look for results; trying again.')
      }
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined
        this.#lookSoon()
      }, RETRY_MS)
    }
  }

  #findFresh(): void {
    if (this.#fresh.length === 0) return
    const batch = this.#fresh.slice(0, BATCH)
    const rows = this.#results.find(batch, Date.now())
    this.#fresh = this.#fresh.slice(batch.length)
    if (this.#fresh.length > 0) this.#lookSoon()
    for (const row of rows) this.#deliver(row.task_id, row.body)
  }

  #findNew(): void {
    if (this.#lastSeq === undefined) return
    const limit = this.#areMostOurs ? OWN_BATCH : BATCH
    const rows: readonly NewRow[] = this.#areMostOurs
      ? this.#results.afterWithBodies(this.#lastSeq, limit)
      : this.#results.after(this.#lastSeq, limit)
    let ours = 0
    for (const { seq, task_id: taskId, body } of rows) {
      if (this.#listeners.has(taskId)) {
        ours += 1
        this.#deliver(taskId, body ?? this.#results.bodyOf(seq))
      }
      // A listener may have been the last one, or have stopped everything.
      if (this.#unlisten === undefined) return
      this.#lastSeq = seq
    }
    if (rows.length > 0) this.#areMostOurs = ours > rows.length / 2
    if (rows.length === limit) this.#lookSoon()
  }

  #deliver(taskId: string, body: Body | undefined): void {
    const listeners = this.#listeners.get(taskId)
    if (listeners === undefined || body === undefined) return
    this.#remove(taskId)
    for (const listener of listeners) {
      try {
        listener(body)
      } catch (err) {
        this.#logger.error({ err, taskId }, 'A listener for a result threw; the others are still told.')
      }
    }
  }
}
