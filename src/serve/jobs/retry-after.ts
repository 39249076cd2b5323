const MAX_MS = 3_600_000

/**
 * Milliseconds of a `Retry-After` header, which has seconds or a date; at most one hour.
 *
 * @param now - Milliseconds since the epoch.
 * @returns `undefined` when there is none, or when it is neither.
 */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  const text = header?.trim() ?? ''
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1_000, MAX_MS)
  // All three forms of dates begin with the name of a day; without that `Date` reads almost anything as one.
  if (!/^(?:mon|tue|wed|thu|fri|sat|sun)/i.test(text)) return undefined
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.min(Math.max(at - now, 0), MAX_MS)
}
