import { KiqError } from '../contract/index.ts'

/** An error for the eyes of whoever typed the command; plain data, so that a child process can send it. */
export interface ErrorReport {
  readonly code: string | undefined
  readonly message: string
  /** Place in the user's code, `file:line:column`, where the stack of the original error shows one. */
  readonly location: string | undefined
  readonly stack: string | undefined
}

/**
 * @param options.ownRoot - File URL of the folder with our own modules; their stack frames are not the user's code.
 */
export function reportError(error: unknown, options: { readonly ownRoot: string }): ErrorReport {
  const errors = chain(error)
  const stacks = errors.map((one) => one.stack ?? one.message)
  return {
    code: KiqError.is(error) ? error.code : undefined,
    message: error instanceof Error ? error.message : String(error),
    location: userFrame(stacks.at(-1) ?? '', options.ownRoot),
    stack: errors.length === 0 ? undefined : stacks.join('\nCaused by: '),
  }
}

/** What is printed: code, message and place; the stack only where it was asked for. */
export function formatReport(report: ErrorReport, options: { readonly stack: 'show' | 'hide' }): string {
  const { code, message, location, stack } = report
  const lines = [`kiq: ${code === undefined ? '' : `${code}: `}${message}`]
  if (location !== undefined) lines.push(`    at ${location}`)
  if (options.stack === 'show' && stack !== undefined) lines.push(stack)
  return lines.join('\n') + '\n'
}

/** The error and its causes, outermost first. */
function chain(error: unknown): Error[] {
  const errors: Error[] = []
  let current = error
  while (current instanceof Error && !errors.includes(current)) {
    errors.push(current)
    current = current.cause
  }
  return errors
}

/** The first frame that is neither Node's, nor ours, nor of an installed package. */
function userFrame(stack: string, ownRoot: string): string | undefined {
  for (const line of stack.split('\n')) {
    // V8 puts the place of some syntax errors before the name of the error.
    const place = /^(?:\s+at (?:.*\()?)?(file:\/\/\/[^)]*|\/[^):]*:\d+:\d+)\)?$/.exec(line)?.[1]
    if (place === undefined || place.startsWith(ownRoot) || place.includes('/node_modules/')) continue
    return place.startsWith('file:') ? decodeURI(place.replace(/^file:\/\//, '')) : place
  }
  return undefined
}
