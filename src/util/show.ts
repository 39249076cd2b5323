const MAX_SHOWN = 200

/** Any value as text for a message: JSON where it has one, cut at 200 characters. Never throws. */
export function show(value: unknown): string {
  const text = asText(value)
  return text.length > MAX_SHOWN ? text.slice(0, MAX_SHOWN) + '…' : text
}

function asText(value: unknown): string {
  if (value === undefined) return 'undefined'
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return `[function ${value.name}]`
  if (typeof value === 'symbol') return value.toString()
  try {
    // Undefined for what JSON does not know, though its type says otherwise.
    const json = JSON.stringify(value) as string | undefined
    return json ?? Object.prototype.toString.call(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}

/** The text of an error, or of whatever else was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : show(error)
}
