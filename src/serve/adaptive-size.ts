/** Share of the old value in a smoothed one. */
const SMOOTHING = 0.8
/** A larger batch has to be faster per item by this share: it makes everybody in it wait longer. */
const WORTH = 0.05
/** One batch in so many may be larger than pays, to see whether that is still so. */
const PROBE_EVERY = 32

/**
 * Learns which batch size pays. Some models take nearly as long for one item as for thirty-two, others take longer per item
 * the more there are. So the time per item is kept for sizes in classes that double (1, 2, 3–4, 5–8, …), and the limit is the
 * class beyond which the next one was not faster by at least 5 %. Now and then a class that did not pay is tried again, since
 * machines and inputs change.
 */
export class AdaptiveSize {
  readonly #max: number
  /** Smoothed milliseconds per item, by class. */
  readonly #perItem: (number | undefined)[] = []
  #batches = 0

  /** @param max - Largest size there may be. */
  constructor(max: number) {
    this.#max = max
  }

  /** Items that the next batch may have. */
  get limit(): number {
    const best = this.#bestClass()
    const isProbe = this.#batches % PROBE_EVERY === PROBE_EVERY - 1
    return Math.min(this.#max, 2 ** (isProbe ? best + 1 : best))
  }

  note(size: number, ms: number): void {
    this.#batches += 1
    const index = classOf(size)
    const perItem = ms / size
    const before = this.#perItem[index]
    this.#perItem[index] = before === undefined ? perItem : SMOOTHING * before + (1 - SMOOTHING) * perItem
  }

  /** As far up as each class is faster than the best before it; one that was never seen is worth a try. */
  #bestClass(): number {
    const top = classOf(this.#max)
    let best = 0
    let bestMs = this.#perItem[0]
    // Everything is measured against single items.
    if (bestMs === undefined) return best
    for (let next = 1; next <= top; next += 1) {
      const ms = this.#perItem[next]
      if (ms === undefined) {
        // Larger ones may have been seen, when so many had come.
        if (next >= this.#perItem.length) return next
        continue
      }
      if (ms > bestMs * (1 - WORTH)) return best
      best = next
      bestMs = ms
    }
    return best
  }
}

function classOf(size: number): number {
  return Math.ceil(Math.log2(Math.max(1, size)))
}
