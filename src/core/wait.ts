import type { Body } from '../contract/index.ts'

/** Keeps track of waits, to end them from outside. */
export interface WaitKeeper {
  /** The wait ended, however. */
  forget(wait: Wait): void
}

export interface WaitParts {
  readonly taskId: string
  readonly resolve: (body: Body) => void
  readonly reject: (error: unknown) => void
}

/** One wait for a result: ends once, with the stored body or with an error. */
export class Wait {
  readonly taskId: string
  /** On the clock of `performance.now()`. */
  readonly deadline: number
  readonly #resolve: (body: Body) => void
  readonly #reject: (error: unknown) => void
  #keeper: WaitKeeper | undefined
  #unsubscribe: (() => void) | undefined

  constructor({ taskId, resolve, reject }: WaitParts, deadline: number) {
    this.taskId = taskId
    this.deadline = deadline
    this.#resolve = resolve
    this.#reject = reject
  }

  /** Neither is called before this method has returned. */
  begin(keeper: WaitKeeper, unsubscribe: () => void): void {
    this.#keeper = keeper
    this.#unsubscribe = unsubscribe
  }

  succeed(body: Body): void {
    this.#keeper?.forget(this)
    this.#resolve(body)
  }

  fail(error: unknown): void {
    this.#keeper?.forget(this)
    this.#unsubscribe?.()
    this.#reject(error)
  }
}
