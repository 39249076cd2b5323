/** What some reader of YAML or of a Dockerfile takes for the end of a line, or refuses as it stands. */

const UNPRINTABLE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|\p{Cs}/gu

/** Characters in double quotes of YAML as escapes, where they would not survive every reader. */
export function escapeUnprintable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A value for a comment: in quotes, on one line. */
export function quoted(value: string): string {
  return escapeUnprintable(JSON.stringify(value))
}

/** One word of a shell, for commands in comments. Line breaks, which no comment can hold, are shown as a question mark. */
export function shellWord(value: string): string {
  const line = value.replace(UNPRINTABLE, '?').replace(/[\t\n]/g, '?')
  return /^[\w./:=@%+-]+$/.test(line) ? line : `'${line.replaceAll("'", `'\\''`)}'`
}
