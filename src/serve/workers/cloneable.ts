import { messageOf } from '../../util/show.ts'

/** A part of a value that no other process or thread can be given. */
export interface Uncloneable {
  /** For example `settings.labels[2]`. */
  readonly path: string
  readonly reason: string
}

/** Parts that are looked at: what is nested too deeply to be cloned is too deep for us, too. */
const MAX_SEEN = 100
const MAX_PATH = 200

/** Finds the first part of a value that structured cloning refuses. */
export function findUncloneable(value: unknown, path: string): Uncloneable | undefined {
  return find(value, path, new Set())
}

function find(value: unknown, path: string, seen: Set<unknown>): Uncloneable | undefined {
  const reason = whyNotCloneable(value)
  if (reason === undefined) return undefined
  // Each part on the way down is one that was seen.
  if (seen.size >= MAX_SEEN) return { path: path.slice(0, MAX_PATH), reason }
  seen.add(value)
  if (typeof value === 'object' && value !== null) {
    for (const [key, part] of partsOf(value)) {
      const found = seen.has(part) ? undefined : find(part, path + key, seen)
      if (found) return found
    }
  }
  return { path, reason }
}

function whyNotCloneable(value: unknown): string | undefined {
  try {
    structuredClone(value)
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

function partsOf(value: object): readonly (readonly [string, unknown])[] {
  if (Array.isArray(value)) return value.map((part: unknown, index) => [`[${index}]`, part])
  if (value instanceof Map) return [...value].map(([key, part]) => [`.get(${String(key)})`, part])
  return Object.entries(value).map(([key, part]: [string, unknown]) => [`.${key}`, part])
}
