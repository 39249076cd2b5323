import type { Binding } from './binding.ts'

/**
 * A value that is being made. Not a promise of the value, since a value may have a `then` of its own that nobody is to
 * call.
 */
export class Pending {
  /** Resolves when {@link Pending.value} is there. */
  readonly done: Promise<void>
  /** What has to be waited for, of all that this value needs. */
  readonly origin: Binding
  value: unknown = undefined

  /** @param make - Rejects when the value cannot be made. */
  constructor(origin: Binding, make: (keep: (value: unknown) => void) => Promise<void>) {
    this.origin = origin
    this.done = make((value) => {
      this.value = value
    })
    // Whoever waits sees the error; nobody has to.
    this.done.catch(() => {})
  }
}
