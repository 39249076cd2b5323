/** How long the parts of a stop may take, in milliseconds. */
export interface Deadlines {
  /** Running tasks may go on for so long. */
  readonly waitTasksMs: number
  /** After the abort of its signal a task has so long to end. */
  readonly abortGraceMs: number
  /** To store the last outcomes, and again to close connections. */
  readonly shutdownMs: number
  /** To load the modules and to connect. */
  readonly startMs: number
}

/** What a stop may take beyond the sum of its parts: scheduling, and the end of the process itself. */
const SLACK_MS = 5_000

/** After so many milliseconds a process that was told to stop is killed. */
export function killAfterMs(deadlines: Deadlines, running: 'finish' | 'abort'): number {
  const { waitTasksMs, abortGraceMs, shutdownMs } = deadlines
  return (running === 'finish' ? waitTasksMs : 0) + abortGraceMs + shutdownMs + SLACK_MS
}
