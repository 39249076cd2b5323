import type { Key, Thrown } from '../contract/index.ts'
import { TaskSignal } from '../core/index.ts'
import { messageOf } from '../util/show.ts'
import { isPromiseLike } from '../util/thenable.ts'
import type { Binding, Link } from './binding.ts'
import { Closers } from './closers.ts'
import type { Closer, ClosingOptions } from './closers.ts'
import { buildChannel } from './diagnostics.ts'
import { ProviderError, ScopeError } from './errors.ts'
import { nameOf } from './keys.ts'
import { Pending, ready, valueIn } from './pending.ts'
import { BuildError, pathTo, traced } from './trace.ts'

/** The making of one value, as far as what it needs has to know of it. */
interface Making {
  /** Its lazy dependencies may be called. */
  isDone: boolean
  /** The singleton for which all of this is made. */
  readonly owner: Binding | undefined
}

/** What is left of several values when one of them has to be waited for. */
interface Rest {
  readonly links: readonly Link[]
  /** Position of the one to wait for. */
  readonly from: number
  /** All of them, as far as they are there. */
  readonly values: unknown
  readonly keep: (link: Link, value: unknown) => void
}

/**
 * Makes values, and closes those it made: a container does so for singletons, a scope for the rest. What is read from it is
 * a value or a {@link Pending}: where nothing has to be waited for, nothing is.
 */
export abstract class Store {
  #closers: Closers | undefined
  isClosed = false
  /** How it ended, if not well. */
  protected failure: Thrown | undefined

  /**
   * The value, or a {@link Pending}.
   *
   * @param owner - The singleton for which it is made.
   */
  protected abstract one(binding: Binding, owner: Binding | undefined): unknown

  /** Resolves with what is bound to a key. */
  protected abstract later(key: Key): Promise<unknown>

  /** As errors name it. */
  abstract get label(): string

  protected abstract closingOptions(): ClosingOptions

  get hasClosers(): boolean {
    return this.#closers !== undefined && this.#closers.size > 0
  }

  protected get closers(): Closers {
    return (this.#closers ??= new Closers())
  }

  /** What was made too late is closed at once, and told so: nobody will use it. */
  #addCloser(closer: Closer): void {
    this.closers.add(closer)
    if (!this.isClosed) return
    const failure = this.failure ?? { error: closedError(closer.binding.name, this.label) }
    void this.closers.close(failure, this.closingOptions())
  }

  assertOpen(what: string): void {
    if (this.isClosed) throw closedError(what, this.label)
  }

  // --- reading

  /** The values of a record of dependencies, or a {@link Pending} of them. */
  record(links: readonly Link[], making?: Making): unknown {
    const values: Record<string, unknown> = {}
    for (let from = 0; from < links.length; from += 1) {
      const link = links[from] as Link
      const value = this.link(link, making)
      if (value instanceof Pending) {
        const keep = ({ name }: Link, made: unknown): void => void (values[name] = made)
        return this.#slowly(value, { links, from, values, keep }, making)
      }
      values[link.name] = value
    }
    return values
  }

  /** The arguments of a constructor. No record of their positions: one whose names are whole numbers is slow. */
  #list(links: readonly Link[], making: Making | undefined): unknown {
    // Of its final size: one that grows takes room for many more.
    const values = new Array<unknown>(links.length)
    for (let from = 0; from < links.length; from += 1) {
      const value = this.link(links[from] as Link, making)
      if (value instanceof Pending) {
        const keep = (link: Link, made: unknown): void => void (values[links.indexOf(link)] = made)
        return this.#slowly(value, { links, from, values, keep }, making)
      }
      values[from] = value
    }
    return values
  }

  /** One after the other: in a fixed order, and without half-made neighbours when one fails. */
  #slowly(first: Pending, { links, from, values, keep }: Rest, making: Making | undefined): Pending {
    return new Pending(first.origin, async (done) => {
      for (const [i, link] of links.slice(from).entries()) {
        const value = i === 0 ? first : this.link(link, making)
        await ready(value)
        // Meanwhile the time of a task may be over: then nothing more is made for it.
        this.assertOpen(nameOf(link.key))
        keep(link, valueIn(value))
      }
      done(values)
    })
  }

  /** One dependency as its holder sees it, or a {@link Pending}. */
  link(link: Link, making?: Making): unknown {
    const { target } = link
    if (target !== undefined) return this.one(target, making?.owner)
    const { mode, key, targets } = link
    if (mode === 'lazy') return () => this.#later(link, making)
    if (mode === 'optional') return undefined
    return this.#list(
      targets.map((one) => ({ name: one.name, mode: 'one', key, targets: [one], target: one })),
      making,
    )
  }

  async #later({ key, name }: Link, making: Making | undefined): Promise<unknown> {
    if (making?.isDone === false) {
      throw new ScopeError(
        'KIQ_DI_LAZY_TOO_EARLY',
        `The lazy dependency "${name}" (${nameOf(key)}) was called while its holder was being made. Call it later, in a ` +
          'method; or ask for the value itself if there is no cycle.',
      )
    }
    this.assertOpen(nameOf(key))
    return await this.later(key)
  }

  /** The value, where nothing has to be waited for. */
  now(link: Link): unknown {
    const value = this.#tracing(link, () => this.link(link))
    if (!(value instanceof Pending)) return value
    const path = pathTo(value.origin, [link]) ?? [nameOf(link.key), value.origin.name]
    throw new ScopeError(
      'KIQ_DI_ASYNC',
      `${path.join(' > ')}: ${value.origin.name} is made asynchronously, so it cannot be had without waiting. ` +
        'Use `await get()`, or declare it in `deps`.',
    )
  }

  #tracing(link: Link, read: () => unknown): unknown {
    try {
      return read()
    } catch (error) {
      throw traced(error, [], [link])
    }
  }

  /** Resolves with the value; one that has a `then` of its own is called by that, as by every promise. */
  protected async wait(link: Link): Promise<unknown> {
    try {
      const value = this.link(link)
      await ready(value)
      return valueIn(value)
    } catch (error) {
      throw traced(error, [], [link])
    }
  }

  // --- making

  /** Makes a value of that binding, whatever was made before. */
  protected build(binding: Binding, owner?: Binding): unknown {
    const { links, recipe, hasLazy } = binding
    const making = hasLazy || owner !== undefined ? { isDone: false, owner } : undefined
    const values = recipe.kind === 'class' ? this.#list(links, making) : this.record(links, making)
    if (!(values instanceof Pending)) return this.#make(binding, values, making)
    return new Pending(values.origin, async (done) => {
      await ready(values)
      this.assertOpen(binding.name)
      const made = this.#make(binding, valueIn(values), making)
      await ready(made)
      done(valueIn(made))
    })
  }

  #make(binding: Binding, values: unknown, making: Making | undefined): unknown {
    const startedAt = buildChannel.hasSubscribers ? performance.now() : undefined
    try {
      const made = run(binding, values)
      if (isPromiseLike(made) && binding.recipe.kind !== 'class') return this.#await(binding, made, making, startedAt)
      const value = this.#adopt(binding, made, making)
      if (startedAt !== undefined) tell(binding, startedAt, undefined)
      return value
    } catch (error) {
      if (startedAt !== undefined) tell(binding, startedAt, { error })
      throw failed(binding, error)
    }
  }

  #await(
    binding: Binding,
    made: PromiseLike<unknown>,
    making: Making | undefined,
    startedAt: number | undefined,
  ): Pending {
    return new Pending(binding, async (done) => {
      try {
        const value = this.#adopt(binding, await made, making)
        if (startedAt !== undefined) tell(binding, startedAt, undefined)
        done(value)
      } catch (error) {
        if (startedAt !== undefined) tell(binding, startedAt, { error })
        throw failed(binding, error)
      }
      // Meanwhile the scope may have ended; then the value was closed as it came.
      this.assertOpen(binding.name)
    })
  }

  /** Notes how the value is closed. */
  #adopt(binding: Binding, made: unknown, making: Making | undefined): unknown {
    const owner = making?.owner
    let value = made
    if (binding.recipe.kind === 'use') {
      const { generator, first } = made as Started
      if (first.done) {
        const why = 'its generator ended without a `yield`. Yield the value once.'
        throw new BuildError('KIQ_DI_NO_YIELD', binding, why)
      }
      this.#addCloser({ binding, owner, generator })
      value = first.value
    } else {
      const dispose = closerOf(binding, made)
      if (dispose) this.#addCloser({ binding, owner, dispose })
    }
    if (making) making.isDone = true
    return value
  }
}

function closedError(what: string, label: string): ScopeError {
  return new ScopeError(
    'KIQ_DI_SCOPE_CLOSED',
    `${what} was asked for after ${label} was closed. Ask before its end, and keep nothing of it for later.`,
  )
}

interface Started {
  readonly generator: Generator<unknown, void, void> | AsyncGenerator<unknown, void, void>
  readonly first: IteratorResult<unknown>
}

function run({ recipe }: Binding, values: unknown): unknown {
  switch (recipe.kind) {
    case 'create':
      return recipe.create(values as never)
    case 'class':
      return new recipe.class(...(values as readonly never[]))
    case 'use': {
      const generator = recipe.use(values as never) as Started['generator']
      const first = generator.next()
      if (!isPromiseLike(first)) return { generator, first }
      return first.then((result) => ({ generator, first: result }))
    }
    case 'value':
      return recipe.value
    case 'alias':
    case 'ambient':
      // Links lead past aliases, and scopes read what is ambient.
      return undefined
  }
}

function closerOf(binding: Binding, value: unknown): (() => unknown) | undefined {
  const { dispose } = binding
  if (typeof dispose === 'function') return () => dispose(value as never)
  if (dispose === false || value === null) return undefined
  if (typeof value !== 'object' && typeof value !== 'function') return undefined
  const disposable = value as { [Symbol.asyncDispose]?: () => unknown; [Symbol.dispose]?: () => unknown }
  if (typeof disposable[Symbol.asyncDispose] === 'function') return () => disposable[Symbol.asyncDispose]?.()
  if (typeof disposable[Symbol.dispose] === 'function') return () => disposable[Symbol.dispose]?.()
  return undefined
}

function tell({ name, scope }: Binding, startedAt: number, thrown: Thrown | undefined): void {
  buildChannel.publish({ key: name, scope, durationMs: performance.now() - startedAt, ...thrown })
}

/** What a provider threw, with its name; what steers a task, or has its name already, stays as it is. */
function failed(binding: Binding, error: unknown): unknown {
  if (error instanceof ProviderError || error instanceof ScopeError || error instanceof TaskSignal) return error
  return new BuildError('KIQ_DI_PROVIDER_FAILED', binding, `it could not be made: ${messageOf(error)}`, {
    cause: error,
  })
}
