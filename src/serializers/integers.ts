/** Largest magnitude that the libraries write as an integer when it is a JavaScript number. */
const LARGEST_NARROW = 0xffff_ffff

/**
 * Safe integers beyond 32 bits as bigints: both libraries would write those numbers as floats, and Python would read
 * floats. Returns the same object when there is nothing to change.
 */
export function widenIntegers(value: unknown): unknown {
  return mapLeaves(value, (leaf) =>
    typeof leaf === 'number' && Number.isSafeInteger(leaf) && Math.abs(leaf) > LARGEST_NARROW ? BigInt(leaf) : leaf,
  )
}

/** Bigints that a number holds exactly as numbers, as from JSON. */
export function narrowIntegers(value: unknown): unknown {
  return mapLeaves(value, (leaf) =>
    typeof leaf === 'bigint' && Number.isSafeInteger(Number(leaf)) ? Number(leaf) : leaf,
  )
}

/** Copy on write: a tree without a changed leaf is returned as it is. */
function mapLeaves(value: unknown, map: (leaf: unknown) => unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Date) {
    return map(value)
  }
  if (Array.isArray(value)) {
    const mapped = value.map((item) => mapLeaves(item, map))
    return mapped.some((item, i) => item !== value[i]) ? mapped : value
  }
  const entries = Object.entries(value)
  const mapped = entries.map(([key, item]) => [key, mapLeaves(item, map)] as const)
  return mapped.some(([, item], i) => item !== entries[i]?.[1]) ? Object.fromEntries(mapped) : value
}
