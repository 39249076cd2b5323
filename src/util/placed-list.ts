/** What a {@link PlacedList} can hold: it knows its own place. In one list at a time. */
export interface Placed {
  /** Position in the list; -1 = in none. */
  place: number
}

/**
 * A set of objects for the path of every message, in no particular order: adding and removing cost nearly nothing.
 *
 * A `Set` through which much goes is rebuilt again and again, and V8 lets each old table point to the next. Once such a
 * table is in the old generation, it keeps everything alive that went through the later ones, up to the next full
 * collection: measured here, a third of a worker's time.
 */
export class PlacedList<T extends Placed> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  add(item: T): void {
    item.place = this.#items.length
    this.#items.push(item)
  }

  has(item: T): boolean {
    return item.place >= 0
  }

  /** Harmless for one that is not there. */
  delete(item: T): void {
    const at = item.place
    if (at < 0) return
    item.place = -1
    const last = this.#items.pop()
    if (last === undefined || last === item) return
    // The last one takes its place.
    this.#items[at] = last
    last.place = at
  }

  clear(): void {
    for (const item of this.#items) item.place = -1
    this.#items.length = 0
  }

  filter(wanted: (item: T) => boolean): T[] {
    return this.#items.filter(wanted)
  }

  /** As they are now, whatever becomes of the list meanwhile. */
  [Symbol.iterator](): IterableIterator<T> {
    return [...this.#items][Symbol.iterator]()
  }
}
