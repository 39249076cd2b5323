import type { Binding } from './binding.ts'

/**
 * A value that is being made. Not a promise of the value, since a value may have a `then` of its own that nobody is to
 * call; for the same reason no async function returns a value.
 */
export class Pending {
  /** Resolves when {@link Pending.value} is there. */
  readonly done: Promise<void>
  /** What has to be waited for, of all that this value needs. */
  readonly origin: Binding
  value: unknown = undefined

  /** @param make - Rejects when the value cannot be made. */
  constructor(origin: Binding, make: (done: (value: unknown) => void) => Promise<void>) {
    this.origin = origin
    this.done = make((value) => {
      this.value = value
    })
    // Whoever waits sees the error; nobody has to.
    this.done.catch(() => {})
  }
}

/** Waits where there is something to wait for. */
export async function ready(value: unknown): Promise<void> {
  if (value instanceof Pending) await value.done
}

/** The value, of one that is {@link ready}. */
export function valueIn(value: unknown): unknown {
  return value instanceof Pending ? value.value : value
}
