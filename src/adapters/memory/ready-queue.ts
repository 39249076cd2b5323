import type { Entry } from './entry.ts'
import { EntryList } from './entry.ts'

interface Lane {
  readonly priority: number
  readonly entries: EntryList
}

/** The entries of one queue that could be delivered now: highest priority first, in order within a priority. */
export class ReadyQueue {
  /** Highest priority first. The lane of priority 0 is always there; others only while they hold something. */
  readonly #lanes: Lane[]
  readonly #normal: EntryList
  #size = 0

  constructor() {
    this.#normal = new EntryList()
    this.#lanes = [{ priority: 0, entries: this.#normal }]
  }

  get size(): number {
    return this.#size
  }

  append(entry: Entry): void {
    this.#entriesOf(entry.priority).append(entry)
    this.#size += 1
  }

  /** To the front of its priority. */
  prepend(entry: Entry): void {
    this.#entriesOf(entry.priority).prepend(entry)
    this.#size += 1
  }

  shift(): Entry | undefined {
    if (this.#size === 0) return undefined
    this.#size -= 1
    if (this.#lanes.length === 1) return this.#normal.shift()
    const index = this.#lanes.findIndex((lane) => lane.entries.size > 0)
    const entry = this.#lanes[index]?.entries.shift()
    this.#dropIfEmpty(index)
    return entry
  }

  /** Removes the messages of a task call and returns how many there were. Costs O(n). */
  removeTask(taskId: string): number {
    const sizeBefore = this.#size
    for (let index = this.#lanes.length - 1; index >= 0; index -= 1) {
      const { entries } = this.#lanes[index] as Lane
      for (const entry of entries) {
        if (entry.taskId !== taskId) continue
        entries.remove(entry)
        this.#size -= 1
      }
      this.#dropIfEmpty(index)
    }
    return sizeBefore - this.#size
  }

  #entriesOf(priority: number): EntryList {
    if (priority === 0) return this.#normal
    const index = this.#indexOf(priority)
    const lane = this.#lanes[index]
    if (lane?.priority === priority) return lane.entries
    const entries = new EntryList()
    this.#lanes.splice(index, 0, { priority, entries })
    return entries
  }

  /** Position of the lane of that priority, or where it belongs. Binary search: priorities may be as many as messages. */
  #indexOf(priority: number): number {
    let low = 0
    let high = this.#lanes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#lanes[middle] as Lane).priority > priority) low = middle + 1
      else high = middle
    }
    return low
  }

  #dropIfEmpty(index: number): void {
    const lane = this.#lanes[index]
    if (lane?.entries.size === 0 && lane.priority !== 0) this.#lanes.splice(index, 1)
  }
}
