/** Hands out each name once. Names that differ in case only count as the same: generators write files with them. */
export class Names {
  readonly #taken: Set<string>

  /** @param reserved - Names that are taken from the start. */
  constructor(reserved: Iterable<string> = []) {
    this.#taken = new Set([...reserved].map((name) => name.toLowerCase()))
  }

  /** The name itself, or with the first number from 2 on that makes it a new one. */
  take(name: string): string {
    let free = name
    for (let n = 2; this.#taken.has(free.toLowerCase()); n++) free = `${name}${n}`
    this.#taken.add(free.toLowerCase())
    return free
  }
}

/** `sentiment-analyzer` → `SentimentAnalyzer`: letters and digits only, and a letter first. */
export function pascal(text: string, fallback: string): string {
  const words = text.match(/[A-Za-z0-9]+/g) ?? []
  const joined = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  if (joined === '') return fallback
  return /^[0-9]/.test(joined) ? fallback + joined : joined
}
