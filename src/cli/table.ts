export interface TableOptions {
  /** Characters per line; the last column is cut to fit. Unlimited when absent. */
  readonly width?: number | undefined
}

const GAP = '  '

/** Rows under their headings, in columns as wide as their widest cell. Line breaks in cells become spaces. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string {
  const lines = [headings, ...rows.map((row) => row.map((cell) => cell.replace(/\s+/g, ' ').trim()))]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  const last = headings.length - 1
  return lines
    .map(
      (line) =>
        cut(
          line
            .map((cell, column) => pad(cell, column))
            .join(GAP)
            .trimEnd(),
        ) + '\n',
    )
    .join('')

  function pad(cell: string, column: number): string {
    return column === last ? cell : cell.padEnd(widths[column] ?? 0)
  }

  function cut(line: string): string {
    const { width } = options
    return width === undefined || line.length <= width ? line : line.slice(0, Math.max(0, width - 1)) + '…'
  }
}

/** `42s`, `5m`, `3h`, `2d`: one unit is enough to tell old from new. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}
