import type { Key } from '../contract/index.ts'
import { TaskSignal } from '../core/index.ts'
import { messageOf } from '../util/show.ts'
import type { Binding, Link } from './binding.ts'
import { Closers, isPromiseLike } from './closers.ts'
import type { Closer, ClosingOptions } from './closers.ts'
import { buildChannel } from './diagnostics.ts'
import { ProviderError, ScopeError } from './errors.ts'
import { nameOf } from './keys.ts'
import { Pending } from './pending.ts'
import { BuildError, pathTo, traced } from './trace.ts'

/** Opens when what holds lazy dependencies is made. */
interface Gate {
  isOpen: boolean
}

/**
 * Makes values, and closes those it made: a container does so for singletons, a scope for the rest. What is read from it is
 * a value or a {@link Pending}: where nothing has to be waited for, nothing is.
 */
export abstract class Store {
  #closers: Closers | undefined
  isClosed = false

  /** The value, or a {@link Pending}. */
  protected abstract one(binding: Binding): unknown

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
    const error = closedError(closer.binding.name, this.label)
    void this.closers.close({ error }, this.closingOptions())
  }

  /** The values of a record of dependencies, or a {@link Pending} of them. */
  record(links: readonly Link[]): unknown {
    return this.#record({}, links, undefined)
  }

  /** One dependency as its holder sees it, or a {@link Pending}. */
  link({ name, mode, key, targets }: Link, gate?: Gate): unknown {
    switch (mode) {
      case 'lazy':
        return () => this.#later(key, name, gate)
      case 'all':
        return this.#all(targets)
      case 'one':
      case 'optional': {
        const [target] = targets
        return target === undefined ? undefined : this.one(target)
      }
    }
  }

  assertOpen(what: string): void {
    if (this.isClosed) throw closedError(what, this.label)
  }

  /** Resolves with what is bound to a key, as {@link Store.link} would give it. */
  protected abstract later(key: Key): Promise<unknown>

  async #later(key: Key, name: string, gate: Gate | undefined): Promise<unknown> {
    if (gate?.isOpen === false) {
      throw new ScopeError(
        'KIQ_DI_LAZY_TOO_EARLY',
        `The lazy dependency "${name}" (${nameOf(key)}) was called while its holder was being made. Call it later, in a ` +
          'method; or ask for the value itself if there is no cycle.',
      )
    }
    this.assertOpen(nameOf(key))
    return await this.later(key)
  }

  #all(targets: readonly Binding[]): unknown {
    const values: unknown[] = []
    for (const [i, target] of targets.entries()) {
      const value = this.one(target)
      if (value instanceof Pending) return this.#allSlowly(targets.slice(i), values, value)
      values.push(value)
    }
    return values
  }

  #allSlowly(targets: readonly Binding[], values: unknown[], first: Pending): Pending {
    return new Pending(first.origin, async (keep) => {
      for (const [i, target] of targets.entries()) {
        values.push(await valueOf(i === 0 ? first : this.one(target)))
        this.assertOpen(target.name)
      }
      keep(values)
    })
  }

  /** One after the other: in a fixed order, and without half-made neighbours when one fails. */
  #record(values: Record<string, unknown>, links: readonly Link[], gate: Gate | undefined): unknown {
    for (let i = 0; i < links.length; i += 1) {
      const link = links[i] as Link
      const value = this.link(link, gate)
      if (value instanceof Pending) return this.#recordSlowly(values, links.slice(i), value, gate)
      values[link.name] = value
    }
    return values
  }

  #recordSlowly(
    values: Record<string, unknown>,
    links: readonly Link[],
    first: Pending,
    gate: Gate | undefined,
  ): Pending {
    return new Pending(first.origin, async (keep) => {
      for (const [i, link] of links.entries()) {
        values[link.name] = await valueOf(i === 0 ? first : this.link(link, gate))
        // Meanwhile the time of a task may be over: then nothing more is made for it.
        this.assertOpen(nameOf(link.key))
      }
      keep(values)
    })
  }

  /** Makes a value of that binding, whatever was made before. */
  protected build(binding: Binding): unknown {
    const gate = binding.hasLazy ? { isOpen: false } : undefined
    const values = this.#record({}, binding.links, gate)
    if (!(values instanceof Pending)) return this.#make(binding, values as Record<string, unknown>, gate)
    return new Pending(values.origin, async (keep) => {
      await values.done
      this.assertOpen(binding.name)
      keep(await valueOf(this.#make(binding, values.value as Record<string, unknown>, gate)))
    })
  }

  #make(binding: Binding, values: Record<string, unknown>, gate: Gate | undefined): unknown {
    const startedAt = buildChannel.hasSubscribers ? performance.now() : 0
    try {
      const made = run(binding, values)
      if (isPromiseLike(made) && binding.recipe.kind !== 'class') return this.#await(binding, made, gate, startedAt)
      return this.#adopt(binding, made, gate, startedAt)
    } catch (error) {
      throw failed(binding, error, startedAt)
    }
  }

  #await(binding: Binding, made: PromiseLike<unknown>, gate: Gate | undefined, startedAt: number): Pending {
    return new Pending(binding, async (keep) => {
      let value: unknown
      try {
        value = this.#adopt(binding, await made, gate, startedAt)
      } catch (error) {
        throw failed(binding, error, startedAt)
      }
      // Meanwhile the scope may have ended; then the value was closed as it came.
      this.assertOpen(binding.name)
      keep(value)
    })
  }

  /** Notes how the value is closed. */
  #adopt(binding: Binding, made: unknown, gate: Gate | undefined, startedAt: number): unknown {
    const { name } = binding
    let value = made
    if (binding.recipe.kind === 'use') {
      const { generator, first } = made as Started
      if (first.done) {
        const why = 'its generator ended without a `yield`. Yield the value once.'
        throw new BuildError('KIQ_DI_NO_YIELD', binding, why)
      }
      this.#addCloser({ binding, generator })
      value = first.value
    } else {
      const dispose = closerOf(binding, made)
      if (dispose) this.#addCloser({ binding, dispose })
    }
    if (gate) gate.isOpen = true
    if (startedAt > 0 && buildChannel.hasSubscribers) {
      buildChannel.publish({ key: name, scope: binding.scope, durationMs: performance.now() - startedAt })
    }
    return value
  }

  /** The value, where nothing has to be waited for. */
  now(link: Link): unknown {
    let value: unknown
    try {
      value = this.link(link)
    } catch (error) {
      throw this.traced(error, [], [link])
    }
    if (!(value instanceof Pending)) return value
    const path = pathTo(value.origin, [link]) ?? [nameOf(link.key), value.origin.name]
    throw new ScopeError(
      'KIQ_DI_ASYNC',
      `${path.join(' > ')}: ${value.origin.name} is made asynchronously, so it cannot be had without waiting. ` +
        'Use `await get()`, or declare it in `deps`.',
    )
  }

  /** The error with the path from who asked to what failed. */
  protected traced(error: unknown, from: readonly string[], links: readonly Link[]): unknown {
    return error instanceof ProviderError ? traced(error, from, links) : error
  }
}

function closedError(what: string, label: string): ScopeError {
  return new ScopeError(
    'KIQ_DI_SCOPE_CLOSED',
    `${what} was asked for after ${label} was closed. Ask before its end, and keep nothing of it for later.`,
  )
}

/** Waits where there is something to wait for. */
export async function valueOf(value: unknown): Promise<unknown> {
  if (!(value instanceof Pending)) return value
  await value.done
  return value.value
}

interface Started {
  readonly generator: Generator<unknown, void, void> | AsyncGenerator<unknown, void, void>
  readonly first: IteratorResult<unknown>
}

function run({ recipe }: Binding, values: Record<string, unknown>): unknown {
  switch (recipe.kind) {
    case 'create':
      return recipe.create(values as never)
    case 'class':
      // Keys that are whole numbers stand in their order.
      return new recipe.class(...(Object.values(values) as never[]))
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
  if (dispose === false || typeof value !== 'object' || value === null) return undefined
  const disposable = value as { [Symbol.asyncDispose]?: () => unknown; [Symbol.dispose]?: () => unknown }
  if (typeof disposable[Symbol.asyncDispose] === 'function') return () => disposable[Symbol.asyncDispose]?.()
  if (typeof disposable[Symbol.dispose] === 'function') return () => disposable[Symbol.dispose]?.()
  return undefined
}

/** What a provider threw, with its name; what steers a task, or has its name already, stays as it is. */
function failed(binding: Binding, error: unknown, startedAt: number): unknown {
  if (startedAt > 0 && buildChannel.hasSubscribers) {
    buildChannel.publish({ key: binding.name, scope: binding.scope, durationMs: performance.now() - startedAt, error })
  }
  if (error instanceof ProviderError || error instanceof ScopeError || error instanceof TaskSignal) return error
  return new BuildError('KIQ_DI_PROVIDER_FAILED', binding, `it could not be made: ${messageOf(error)}`, {
    cause: error,
  })
}
