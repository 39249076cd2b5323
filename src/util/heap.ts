/**
 * Binary heap: {@link Heap.peek} and {@link Heap.pop} give the item that comes before all others.
 *
 * `push` and `pop` cost O(log n). Items of which neither comes before the other leave in no particular order; number
 * them when that matters.
 */
export class Heap<T> {
  #items: T[] = []
  readonly #comesBefore: (a: T, b: T) => boolean

  constructor(comesBefore: (a: T, b: T) => boolean) {
    this.#comesBefore = comesBefore
  }

  get size(): number {
    return this.#items.length
  }

  /** In no particular order. */
  [Symbol.iterator](): Iterator<T> {
    return this.#items.values()
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    this.#items.push(item)
    this.#rise(this.#items.length - 1)
  }

  pop(): T | undefined {
    const first = this.#items[0]
    const last = this.#items.pop()
    if (this.#items.length > 0) {
      this.#items[0] = last as T
      this.#sink(0)
    }
    return first
  }

  /** Removes every item that `fits` and returns them, in no particular order. Costs O(n). */
  extract(fits: (item: T) => boolean): T[] {
    const extracted: T[] = []
    const kept: T[] = []
    for (const item of this.#items) (fits(item) ? extracted : kept).push(item)
    if (extracted.length === 0) return extracted
    this.#items = kept
    for (let index = (this.#items.length >> 1) - 1; index >= 0; index -= 1) this.#sink(index)
    return extracted
  }

  #rise(start: number): void {
    const items = this.#items
    const item = items[start] as T
    let index = start
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = items[parent] as T
      if (!this.#comesBefore(item, above)) break
      items[index] = above
      index = parent
    }
    items[index] = item
  }

  #sink(start: number): void {
    const items = this.#items
    const item = items[start] as T
    let index = start
    for (;;) {
      let child = 2 * index + 1
      if (child >= items.length) break
      if (child + 1 < items.length && this.#comesBefore(items[child + 1] as T, items[child] as T)) child += 1
      const below = items[child] as T
      if (!this.#comesBefore(below, item)) break
      items[index] = below
      index = child
    }
    items[index] = item
  }
}
