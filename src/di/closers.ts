import type { Thrown } from '../contract/index.ts'
import { messageOf } from '../util/show.ts'
import { isPromiseLike } from '../util/thenable.ts'
import { withTimeLimit } from '../util/time-limit.ts'
import type { Binding } from './binding.ts'
import { disposeChannel } from './diagnostics.ts'
import { DisposeError } from './errors.ts'

export interface ClosingOptions {
  /** Milliseconds that each may take. */
  readonly timeoutMs: number
  /** Told of what does not change the outcome. */
  readonly report: (error: DisposeError) => void
}

type AnyGenerator = Generator<unknown, void, void> | AsyncGenerator<unknown, void, void>

export interface Closer {
  readonly binding: Binding
  /** The singleton for which it was made. */
  readonly owner?: Binding | undefined
  readonly dispose?: (() => unknown) | undefined
  readonly generator?: AnyGenerator | undefined
}

/**
 * What has to be closed, in the order in which it was made. That is an order in which everything comes after what it uses,
 * so it is closed in reverse, one at a time.
 */
export class Closers {
  #stack: Closer[] = []
  /** Ends with the last one: they follow each other, whoever asks. `undefined` when nothing is being closed. */
  #closing: Promise<unknown> | undefined

  get size(): number {
    return this.#stack.length
  }

  add(closer: Closer): void {
    this.#stack.push(closer)
  }

  /**
   * Closes all. A generator whose end throws fails what went well so far: those that were
   * made before it see that error, as nested blocks would.
   *
   * @param failure - How it ended, for generators.
   * @returns How it ended after that.
   */
  async close(failure: Thrown | undefined, options: ClosingOptions): Promise<Thrown | undefined> {
    return await this.#inTurn(() => this.#closeAll(this.#stack, failure, options))
  }

  async #inTurn<T>(close: () => Promise<T>): Promise<T> {
    const current = this.#closing ? this.#closing.then(close) : close()
    const settled = current.then(
      () => undefined,
      () => undefined,
    )
    this.#closing = settled
    const outcome = await current
    if (this.#closing === settled) this.#closing = undefined
    return outcome
  }

  /** Closes what was made for these singletons, and keeps the rest. */
  async closeThose(
    bindings: ReadonlySet<Binding>,
    failure: Thrown | undefined,
    options: ClosingOptions,
  ): Promise<void> {
    const isOne = ({ owner }: Closer): boolean => owner !== undefined && bindings.has(owner)
    await this.#inTurn(async () => {
      const those = this.#stack.filter(isOne)
      this.#stack = this.#stack.filter((closer) => !isOne(closer))
      return await this.#closeAll(those, failure, options)
    })
  }

  async #closeAll(stack: Closer[], failure: Thrown | undefined, options: ClosingOptions): Promise<Thrown | undefined> {
    let outcome = failure
    for (;;) {
      const closer = stack.pop()
      if (closer === undefined) return outcome
      const { name } = closer.binding
      const startedAt = disposeChannel.hasSubscribers ? performance.now() : 0
      let error: DisposeError | undefined
      if (closer.generator) {
        const ended = await endGenerator(name, closer.generator, outcome, options)
        error = ended.suppressed
        outcome ??= ended.failure
      } else {
        error = await dispose(closer, options)
      }
      if (error) options.report(error)
      if (disposeChannel.hasSubscribers) {
        const durationMs = performance.now() - startedAt
        disposeChannel.publish({ key: name, durationMs, ...(error ? { error } : {}) })
      }
    }
  }
}

async function dispose(
  { binding: { name }, dispose: close }: Closer,
  { timeoutMs }: ClosingOptions,
): Promise<DisposeError | undefined> {
  try {
    const closing = close?.()
    if (isPromiseLike(closing)) await limited(name, closing, timeoutMs)
    return undefined
  } catch (error) {
    return asDisposeError(name, error, 'could not be closed')
  }
}

interface GeneratorEnd {
  /** Fails what went well so far. */
  readonly failure?: Thrown | undefined
  /** Is only reported, since it had failed already. */
  readonly suppressed?: DisposeError | undefined
}

async function endGenerator(
  name: string,
  generator: AnyGenerator,
  outcome: Thrown | undefined,
  { timeoutMs }: ClosingOptions,
): Promise<GeneratorEnd> {
  try {
    const ending = outcome ? generator.throw(outcome.error) : generator.next()
    const { done } = isPromiseLike(ending) ? await limited(name, ending, timeoutMs) : ending
    if (done) return {}
    const returning = generator.return()
    if (isPromiseLike(returning)) await limited(name, returning, timeoutMs)
    throw new DisposeError(
      'KIQ_DI_YIELDED_TWICE',
      name,
      'its generator yielded a second time. Yield the value once; what follows the `yield` is the end.',
    )
  } catch (error) {
    if (outcome === undefined) return { failure: { error } }
    // The usual end: it did not hold the error back.
    if (error === outcome.error) return {}
    return { suppressed: asDisposeError(name, error, 'its generator failed at the end of what had failed already') }
  }
}

function asDisposeError(name: string, error: unknown, what: string): DisposeError {
  if (error instanceof DisposeError) return error
  return new DisposeError('KIQ_DI_DISPOSE_FAILED', name, `${what}: ${messageOf(error)}`, { cause: error })
}

/** @throws {DisposeError} `KIQ_DI_DISPOSE_TIMED_OUT`; what hangs is left to itself. */
async function limited<T>(name: string, work: PromiseLike<T>, timeoutMs: number): Promise<T> {
  const late = (): DisposeError => {
    const why = `it was not closed within ${timeoutMs} ms and is left to itself. Make its end faster, or raise \`disposeTimeout\`.`
    return new DisposeError('KIQ_DI_DISPOSE_TIMED_OUT', name, why)
  }
  return await withTimeLimit(work, { ms: timeoutMs, late })
}
