import type { ChildExit, ChildHandle } from './child-handle.ts'
import type { Running } from './messages.ts'
import type { RestartState } from './restart-policy.ts'
import { NO_FAILURES, planRestart } from './restart-policy.ts'

/** What a child is to its slot: the one that fills it, one on its way to replace that one, or one that was replaced. */
export type SlotPart = 'current' | 'next' | 'retired'

export interface SlotParts {
  readonly spawn: () => ChildHandle
  readonly onReady: (child: ChildHandle) => void
  /** Called before the slot acts on the end; may call {@link Slot.stop}. */
  readonly onGone: (child: ChildHandle, exit: ChildExit, part: SlotPart) => void
  readonly onRestart: (delayMs: number) => void
}

/**
 * One place for a worker process, kept filled.
 *
 * States: *filled*: a child is starting or ready. *waiting*: the child ended and the backoff before the next one runs.
 * *replacing*: a second child starts while the first one works on; when it is ready it takes the place and the first one
 * retires; when it cannot start, the first one stays. *closed* after {@link Slot.stop}: nothing is started any more.
 */
export class Slot {
  readonly index: number
  readonly #parts: SlotParts
  readonly #children = new Set<ChildHandle>()
  #current: ChildHandle | undefined
  #next: ChildHandle | undefined
  #timer: NodeJS.Timeout | undefined
  #restart: RestartState = NO_FAILURES
  #closed = false

  constructor(index: number, parts: SlotParts) {
    this.index = index
    this.#parts = parts
  }

  /** The child that fills the place; `undefined` while *waiting*. */
  get current(): ChildHandle | undefined {
    return this.#current
  }

  /** Every process that has not ended: the current one, its replacement, and those that retire. */
  get children(): Iterable<ChildHandle> {
    return this.#children
  }

  start(): void {
    if (this.#closed) return
    this.#current = this.#spawn()
  }

  /**
   * Starts a replacement and, once it is ready, retires the current child.
   *
   * @returns The child that retires; `undefined` when there was none or when it was kept, see `outcome`.
   */
  async replace(): Promise<{ readonly outcome: 'replaced' | 'kept'; readonly retired: ChildHandle | undefined }> {
    if (this.#closed) return { outcome: 'kept', retired: undefined }
    const next = this.#spawn()
    this.#next = next
    const isReady = await next.ready
    if (!isReady) {
      await next.gone
      this.#next = undefined
      // The one that was to be replaced ended meanwhile, and the replacement did not come.
      if (this.#current === undefined && this.#timer === undefined) this.#startLater(100)
      return { outcome: 'kept', retired: undefined }
    }
    const retired = this.#current
    this.#clearTimer()
    this.#next = undefined
    this.#current = next
    retired?.stop('finish')
    return { outcome: 'replaced', retired }
  }

  stop(running: Running): void {
    this.#closed = true
    this.#clearTimer()
    for (const child of this.#children) child.stop(running)
  }

  kill(): void {
    this.#closed = true
    this.#clearTimer()
    for (const child of this.#children) child.kill()
  }

  #spawn(): ChildHandle {
    const child = this.#parts.spawn()
    this.#children.add(child)
    void child.ready.then((isReady) => {
      if (isReady) this.#parts.onReady(child)
    })
    void child.gone.then((exit) => this.#onGone(child, exit))
    return child
  }

  #onGone(child: ChildHandle, exit: ChildExit): void {
    this.#children.delete(child)
    const part = child === this.#current ? 'current' : child === this.#next ? 'next' : 'retired'
    if (part === 'current') this.#current = undefined
    this.#parts.onGone(child, exit, part)
    if (part !== 'current' || this.#closed) return
    const plan = planRestart(this.#restart, exit.end, exit.readyForMs)
    this.#restart = plan.state
    // A replacement on its way takes the place.
    if (this.#next === undefined) this.#startLater(plan.delayMs)
  }

  #startLater(delayMs: number): void {
    if (this.#closed) return
    this.#parts.onRestart(delayMs)
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.start()
    }, delayMs)
  }

  #clearTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
