const FORM =
  /^(\d{4}-\d\d-\d\d)(?:[Tt_ ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?:[Zz]|([-+−])([01]\d|2[0-3]):?([0-5]\d))?)?$/

/**
 * Milliseconds since the epoch of a time in the forms that Python (pydantic) reads: ISO 8601 with `T`, a space or `_`
 * between date and time, or a date alone. Without a zone it is UTC.
 *
 * @returns What is finer than a millisecond is cut off. `undefined` for any other text, also for a 30th of February.
 */
export function parseIsoTimeMs(text: string): number | undefined {
  const match = FORM.exec(text) as readonly (string | undefined)[] | null
  if (!match) return undefined
  const [, date = '', clock = '00:00', seconds = '00', fraction = '', sign, hours = '0', minutes = '0'] = match
  const iso = `${date}T${clock}:${seconds}.${fraction.slice(0, 3).padEnd(3, '0')}Z`
  const local = Date.parse(iso)
  // The engine takes days that a month does not have, and an hour 24, for those that follow.
  if (Number.isNaN(local) || new Date(local).toISOString() !== iso) return undefined
  const offsetMs = (Number(hours) * 60 + Number(minutes)) * 60_000
  return sign === undefined || sign === '+' ? local - offsetMs : local + offsetMs
}
