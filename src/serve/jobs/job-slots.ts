/** Who waits for a slot. */
interface Waiter {
  readonly tell: (outcome: SlotOutcome) => void
}

/** `over`: the time, the wait, or everything is over. */
export type SlotOutcome = 'held' | 'over'

export interface SlotWait {
  readonly ms: number
  readonly signal: AbortSignal
}

/** As many at once as there are slots; who comes later waits in turn. */
export class JobSlots {
  readonly #size: number
  readonly #waiters = new Set<Waiter>()
  #held = 0
  #isClosed = false

  constructor(size: number) {
    this.#size = size
  }

  /** Who gets `held` must call {@link JobSlots.release}. */
  async acquire({ ms, signal }: SlotWait): Promise<SlotOutcome> {
    if (this.#isClosed || signal.aborted) return 'over'
    if (this.#held < this.#size) {
      this.#held += 1
      return 'held'
    }
    return await new Promise((resolve) => {
      const tell = (outcome: SlotOutcome): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', leave)
        this.#waiters.delete(waiter)
        resolve(outcome)
      }
      const leave = (): void => tell('over')
      const timer = setTimeout(leave, ms)
      const waiter = { tell }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiters.add(waiter)
    })
  }

  /** The slot goes to who waits longest. */
  release(): void {
    const [next] = this.#waiters
    if (next) next.tell('held')
    else this.#held -= 1
  }

  /** Nobody gets a slot any more. */
  close(): void {
    this.#isClosed = true
    for (const waiter of [...this.#waiters]) waiter.tell('over')
  }
}
