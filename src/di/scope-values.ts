import type { Binding } from './binding.ts'
import { UNSET } from './binding.ts'

interface Entry {
  readonly binding: Binding
  value: unknown
  readonly next: Entry | undefined
}

/** Values up to which looking at one after the other is faster than a table. */
const FEW = 32

/**
 * The values of one scope. Most scopes have a handful and live for one task: a list costs a third of what a `Map` does, and
 * leaves less behind.
 */
export class ScopeValues {
  #last: Entry | undefined
  #count = 0
  #table: Map<Binding, unknown> | undefined

  /** The value, or {@link UNSET}. */
  get(binding: Binding): unknown {
    if (this.#table) return this.#table.has(binding) ? this.#table.get(binding) : UNSET
    for (let entry = this.#last; entry !== undefined; entry = entry.next) {
      if (entry.binding === binding) return entry.value
    }
    return UNSET
  }

  /** @param value - {@link UNSET} takes it away. */
  set(binding: Binding, value: unknown): void {
    if (this.#table) {
      this.#table.set(binding, value)
      return
    }
    for (let entry = this.#last; entry !== undefined; entry = entry.next) {
      if (entry.binding !== binding) continue
      entry.value = value
      return
    }
    this.#last = { binding, value, next: this.#last }
    this.#count += 1
    if (this.#count > FEW) this.#makeTable()
  }

  #makeTable(): void {
    this.#table = new Map()
    for (let entry = this.#last; entry !== undefined; entry = entry.next) this.#table.set(entry.binding, entry.value)
    this.#last = undefined
  }
}
