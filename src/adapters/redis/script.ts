import { createHash } from 'node:crypto'

/** A Lua script, run by its digest and sent whole only to a server that does not know it yet. */
export interface Script {
  readonly source: string
  /** SHA-1 in hexadecimal, as `EVALSHA` takes it. */
  readonly sha: string
}

/** @param parts - Joined to one source; shared functions first. */
export function script(...parts: readonly string[]): Script {
  const source = parts.join('\n')
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}
