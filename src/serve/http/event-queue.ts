/**
 * Takes values now, gives them later, in their order: between who makes outputs and who sends them. It holds a bounded number.
 */
export class EventQueue<T> implements AsyncIterableIterator<T> {
  readonly #max: number
  readonly #onFull: () => void
  readonly #onReturn: () => void
  #values: T[] = []
  #hasEnded = false
  #waiting: ((result: IteratorResult<T>) => void) | undefined

  constructor(options: { readonly max: number; readonly onFull: () => void; readonly onReturn: () => void }) {
    this.#max = options.max
    this.#onFull = options.onFull
    this.#onReturn = options.onReturn
  }

  push(value: T): void {
    if (this.#hasEnded) return
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) waiting({ done: false, value })
    else if (this.#values.length < this.#max) this.#values.push(value)
    else this.#onFull()
  }

  /** Nothing more comes after what was pushed. */
  end(): void {
    this.#hasEnded = true
    this.#waiting?.({ done: true, value: undefined })
    this.#waiting = undefined
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#values.length > 0) return Promise.resolve({ done: false, value: this.#values.shift() as T })
    if (this.#hasEnded) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  return(): Promise<IteratorResult<T>> {
    this.end()
    this.#values = []
    this.#onReturn()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
