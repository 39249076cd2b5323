import type { DeadLetter, DeadLetterFilter, DeadLetters } from '../../contract/index.ts'
import type { Entry } from './entry.ts'

interface Grave {
  readonly letter: DeadLetter
  readonly entry: Entry
}

interface Cause {
  readonly reason: string
  readonly taskName?: string | undefined
}

interface MemoryDeadLettersOptions {
  /** Letters kept; the oldest is dropped for one more. */
  readonly maxLetters: number
  /** Puts a message back on its queue, as if sent now. */
  readonly resend: (entry: Entry) => void
}

/** The messages that were given up, in this process. */
export class MemoryDeadLetters implements DeadLetters {
  /** Oldest first. */
  #graves: Grave[] = []
  #lastId = 0
  readonly #options: MemoryDeadLettersOptions

  constructor(options: MemoryDeadLettersOptions) {
    this.#options = options
  }

  bury(entry: Entry, { reason, taskName = entry.taskName }: Cause): void {
    this.#lastId += 1
    const { queue, taskId, body, attempt } = entry
    const letter = { id: `${this.#lastId}`, queue, taskId, taskName, body, attempt, reason, diedAt: Date.now() }
    this.#graves.push({ letter, entry })
    if (this.#graves.length > this.#options.maxLetters) this.#graves.shift()
  }

  async list(filter: DeadLetterFilter = {}): Promise<readonly DeadLetter[]> {
    return this.#select(filter).map((grave) => grave.letter)
  }

  async retry(filter: DeadLetterFilter = {}): Promise<number> {
    const selected = this.#remove(filter)
    // Oldest first, so that they run in the order in which they died.
    for (const grave of selected.reverse()) this.#options.resend(grave.entry)
    return selected.length
  }

  async drop(filter: DeadLetterFilter = {}): Promise<number> {
    return this.#remove(filter).length
  }

  countOf(queue: string): number {
    return this.#graves.filter((grave) => grave.letter.queue === queue).length
  }

  queues(): Set<string> {
    return new Set(this.#graves.map((grave) => grave.letter.queue))
  }

  #remove(filter: DeadLetterFilter): Grave[] {
    const selected = this.#select(filter)
    const removed = new Set(selected)
    this.#graves = this.#graves.filter((grave) => !removed.has(grave))
    return selected
  }

  /** Newest first. */
  #select({ ids, queue, taskId, limit = Infinity }: DeadLetterFilter): Grave[] {
    const wanted = ids && new Set(ids)
    return this.#graves
      .filter(({ letter }) => wanted?.has(letter.id) ?? true)
      .filter(({ letter }) => queue === undefined || letter.queue === queue)
      .filter(({ letter }) => taskId === undefined || letter.taskId === taskId)
      .reverse()
      .slice(0, limit)
  }
}
