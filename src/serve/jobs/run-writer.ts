import type { Logger } from '../../contract/index.ts'
import { sleep } from '../../util/abort.ts'
import { backoffMs } from '../../util/backoff.ts'
import type { JobRecords, RunRecord } from './job-records.ts'

/** Least milliseconds between two writes of progress. */
const EVERY_MS = 200
const ATTEMPTS = 5
const BACKOFF = { baseMs: 50, maxMs: 1_000 }

export interface RunWriterParts {
  readonly records: Pick<JobRecords, 'setRun'>
  readonly log: Logger
}

/**
 * Writes the record of one execution: progress now and then, of which the last is always written, and what matters at once.
 * Writes follow each other, so that an older record never replaces a newer one.
 */
export class RunWriter {
  readonly #id: string
  readonly #records: RunWriterParts['records']
  readonly #log: Logger
  #record: RunRecord
  #isDirty = false
  #isClosed = false
  #writtenAt = -Infinity
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #isWriting = false

  constructor(id: string, record: RunRecord, { records, log }: RunWriterParts) {
    this.#id = id
    this.#record = record
    this.#records = records
    this.#log = log
  }

  get record(): RunRecord {
    return this.#record
  }

  progress(value: unknown): void {
    if (this.#isClosed) return
    this.#record = { ...this.#record, progress: value ?? null }
    this.#isDirty = true
    this.#writeSoon()
  }

  /** Writes a change now. Tries again when it fails, and then goes on without: a job is worth more than its record. */
  async put(change: Partial<RunRecord> = {}): Promise<void> {
    this.#record = { ...this.#record, ...change }
    this.#isDirty = false
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#write(ATTEMPTS)
  }

  /** Writes a last change. */
  async end(change: Partial<RunRecord>): Promise<void> {
    this.#isClosed = true
    await this.put(change)
  }

  /** Writes nothing more: what happens from now on is not for us to tell. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#isDirty = false
    clearTimeout(this.#timer)
    await this.#writing
  }

  #writeSoon(): void {
    if (this.#timer !== undefined || this.#isWriting || this.#isClosed) return
    const waitMs = Math.max(0, this.#writtenAt + EVERY_MS - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#isDirty = false
      void this.#write(1)
    }, waitMs)
  }

  #write(attempts: number): Promise<void> {
    const written = this.#writing.then(async () => {
      this.#isWriting = true
      await this.#attempt(attempts)
      this.#isWriting = false
      this.#writtenAt = performance.now()
      if (this.#isDirty) this.#writeSoon()
    })
    this.#writing = written
    return written
  }

  async #attempt(attempts: number): Promise<void> {
    for (let count = 1; ; count += 1) {
      try {
        await this.#records.setRun(this.#id, this.#record)
        return
      } catch (err) {
        if (count >= attempts) {
          this.#log.warn({ err, job: this.#id }, 'The record of a job could not be written; the job goes on.')
          return
        }
        await sleep(backoffMs(count, BACKOFF))
      }
    }
  }
}
