import type { FiredState, Logger, ScheduleLead, ScheduleLedger } from '../contract/index.ts'
import { sleep } from '../util/abort.ts'

const RETRY_MS = 200
/** At the end: the next leader learns from the transport what was sent. */
const MAX_TRIES_AT_END = 10

export interface StateWriterParts {
  readonly ledger: ScheduleLedger
  /** Of the schedules, in the ledger. */
  readonly group: string
  readonly lead: ScheduleLead
  readonly logger: Logger
  /** Somebody else leads. */
  readonly onRefused: () => void
}

/**
 * Writes what was fired, several changes together. After the send: should the process die in between, the next leader sends
 * again, and the transport recognizes it.
 */
export class StateWriter {
  readonly #parts: StateWriterParts
  #changes = new Map<string, FiredState | undefined>()
  #writing: Promise<void> | undefined
  #isEnding = false

  constructor(parts: StateWriterParts) {
    this.#parts = parts
  }

  put(scheduleId: string, state: FiredState): void {
    this.#changes.set(scheduleId, state)
    this.#writing ??= this.#write()
  }

  forget(scheduleId: string): void {
    this.#changes.set(scheduleId, undefined)
    this.#writing ??= this.#write()
  }

  /** What was not written is not for this scheduler to write any more. */
  drop(): void {
    this.#changes.clear()
  }

  /** From now on what cannot be written is given up after a while. */
  end(): void {
    this.#isEnding = true
  }

  /** Resolves when everything is written, or given up. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing
  }

  async #write(): Promise<void> {
    const { ledger, group, lead, logger, onRefused } = this.#parts
    // What the same turn of the event loop adds travels along.
    await new Promise(setImmediate)
    for (let failures = 0; this.#changes.size > 0;) {
      if (this.#isEnding && failures >= MAX_TRIES_AT_END) break
      const changes = this.#changes
      this.#changes = new Map()
      try {
        if (await ledger.save(group, lead, changes)) failures = 0
        else onRefused()
      } catch (err) {
        failures += 1
        if (failures === 1) logger.error({ err, group }, 'Could not note what was fired; trying again.')
        // Newer ones win.
        this.#changes = new Map([...changes, ...this.#changes])
        await sleep(RETRY_MS)
      }
    }
    this.#writing = undefined
  }
}
