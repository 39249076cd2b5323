/** Stands for a value that there is not, or that nobody configured. */
export const NO_LABEL = '(none)'

/** Stands for all values that came after there were too many. */
const OTHER_LABELS = '(others)'

const MAX_LENGTH = 128

/** Values of one label. Each makes series of its own that are kept for ever, so only the first ones are told apart. */
export class BoundedLabels {
  readonly #max: number
  readonly #seen = new Set<string>()

  /** @param max - Values told apart, ≥ 0. */
  constructor(max: number) {
    this.#max = max
  }

  /** The value, or what stands for it. */
  of(value: string): string {
    if (value === '') return NO_LABEL
    const short = value.length > MAX_LENGTH ? `${value.slice(0, MAX_LENGTH - 1)}…` : value
    if (this.#seen.has(short)) return short
    if (this.#seen.size >= this.#max) return OTHER_LABELS
    this.#seen.add(short)
    return short
  }
}
