/** A signal that aborts with the first of others, until it is unlinked. */
export interface LinkedSignal {
  readonly signal: AbortSignal
  readonly unlink: () => void
}

/** Unlike `AbortSignal.any`, leaves nothing behind at signals that live long. */
export function linkedSignal(...others: readonly AbortSignal[]): LinkedSignal {
  const linked = new AbortController()
  const unlinks: (() => void)[] = []
  const unlink = (): void => {
    for (const one of unlinks.splice(0)) one()
  }
  for (const other of others) {
    const abort = (): void => {
      unlink()
      linked.abort(other.reason)
    }
    if (other.aborted) {
      abort()
      break
    }
    other.addEventListener('abort', abort, { once: true })
    unlinks.push(() => other.removeEventListener('abort', abort))
  }
  return { signal: linked.signal, unlink }
}
