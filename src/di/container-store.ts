import type { Key, Logger } from '../contract/index.ts'
import type { TaskContext } from '../core/index.ts'
import { sleep } from '../util/abort.ts'
import type { Binding, Link } from './binding.ts'
import { UNSET } from './binding.ts'
import type { ClosingOptions } from './closers.ts'
import type { DisposeError } from './errors.ts'
import { InjectionError, ProviderError, ScopeError } from './errors.ts'
import type { Root } from './find-problems.ts'
import { findProblems } from './find-problems.ts'
import { assertKey, nameOf } from './keys.ts'
import { Pending, ready } from './pending.ts'
import type { Problem } from './problems.ts'
import type { Registry, SingletonOwner } from './registry.ts'
import { isTransient, RootTransient, scopedAtRoot } from './root-transient.ts'
import { Store } from './store.ts'
import { traced } from './trace.ts'
import { neededBy, waitsForOthers, waves } from './waves.ts'

export interface ContainerParts {
  readonly registry: Registry
  /** Milliseconds that closing one value may take. */
  readonly disposeTimeoutMs: number
  readonly logger: Logger
  /** Calls in the context in which the container was made: timers of a singleton belong to no task that asked first. */
  readonly outside: <T>(fn: () => T) => T
  readonly onDisposeError: ((error: DisposeError, task: TaskContext | undefined) => void) | undefined
}

/** The singletons of a container, and what was checked of it. */
export class ContainerStore extends Store implements SingletonOwner {
  readonly registry: Registry
  readonly disposeTimeoutMs: number
  readonly logger: Logger
  readonly parts: ContainerParts
  readonly #links = new Map<Key, Link>()
  /** The starts under way. */
  #starting: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(parts: ContainerParts) {
    super()
    this.parts = parts
    this.registry = parts.registry
    this.registry.owner = this
    this.disposeTimeoutMs = parts.disposeTimeoutMs
    this.logger = parts.logger
  }

  get label(): string {
    return 'the container'
  }

  // --- checks

  problems(roots: readonly Root[]): readonly Problem[] {
    return [...this.registry.problems, ...findProblems(this.registry, roots)]
  }

  /** @throws {InjectionError} */
  check(roots: readonly Root[]): void {
    const errors = this.problems(roots).filter(({ severity }) => severity === 'error')
    if (errors.length > 0) throw new InjectionError(errors)
  }

  /** A link to a key that somebody asks for by hand; checked when it is first asked for. */
  checkedLink(key: Key): Link {
    const known = this.#links.get(key)
    if (known) return known
    assertKey(key)
    const edges = [{ name: nameOf(key), mode: 'one', key }] as const
    this.check([{ label: undefined, edges }])
    const [link] = this.registry.link(edges) as readonly [Link]
    // Keys that are not bound never get here: their number has no bound.
    this.#links.set(key, link)
    return link
  }

  /** The bindings that a seed of a scope replaces. */
  seedable(key: Key): readonly Binding[] {
    const { targets } = this.checkedLink(key)
    for (const { name, scope } of targets) {
      if (scope === 'scoped') continue
      throw new ScopeError(
        'KIQ_DI_NO_SCOPE',
        `${name} is a ${scope}, and only scoped keys have a value in a scope. Bind it with \`scope: 'scoped'\`, or fork ` +
          'the container with an override.',
      )
    }
    return targets
  }

  // --- singletons

  protected override one(binding: Binding, owner: Binding | undefined): unknown {
    if (binding.scope === 'singleton') return this.singleton(binding)
    if (binding.scope === 'transient') return this.build(binding, owner)
    throw scopedAtRoot(binding)
  }

  singleton(binding: Binding): unknown {
    if (binding.value !== UNSET) return binding.value
    const { owner } = binding.registry
    if (owner !== this && owner !== undefined) return owner.singleton(binding)
    if (binding.pending) return binding.pending
    this.assertOpen(binding.name)
    // Those first that it needs, so that long chains need no deep stack; but one after the other.
    let isWaiting = false
    for (const needed of neededBy(binding, this.registry)) {
      if (needed === binding || (isWaiting && !waitsForOthers(needed))) continue
      if (this.#make(needed) instanceof Pending) isWaiting = true
    }
    return this.#make(binding)
  }

  #make(binding: Binding): unknown {
    if (binding.value !== UNSET) return binding.value
    if (binding.pending) return binding.pending
    const made = this.parts.outside(() => this.build(binding, binding))
    if (made instanceof Pending) {
      binding.pending = made
      made.done.then(
        () => {
          binding.value = this.isClosed ? UNSET : made.value
          binding.pending = undefined
        },
        () => {
          binding.pending = undefined
        },
      )
    } else {
      binding.value = made
    }
    return made
  }

  protected override async later(key: Key): Promise<unknown> {
    return await this.get(key)
  }

  async get(key: Key): Promise<unknown> {
    const link = this.checkedLink(key)
    this.assertOpen(nameOf(key))
    return await (isTransient(link) ? new RootTransient(this).get(link) : this.wait(link))
  }

  getSync(key: Key): unknown {
    const link = this.checkedLink(key)
    this.assertOpen(nameOf(key))
    return isTransient(link) ? new RootTransient(this).getSync(link) : this.now(link)
  }

  /**
   * Makes the singletons that these links reach, those first that others need, and what needs no other at the same time.
   * If one fails, all that were made here are closed again.
   *
   * @throws {ProviderError} with every failure.
   */
  async start(links: readonly Link[]): Promise<void> {
    if (this.isClosed) {
      throw new ScopeError(
        'KIQ_DI_SCOPE_CLOSED',
        'The container is closed, so no worker can start with it. Make a new one for a new broker; if others go on using it, ' +
          'do not close it with the broker (`closeContainer`).',
      )
    }
    const starting = this.#start(links)
    this.#starting = Promise.allSettled([this.#starting, starting])
    await starting
  }

  async #start(links: readonly Link[]): Promise<void> {
    const made = new Set<Binding>()
    for (const wave of waves(links)) {
      for (const binding of wave) {
        if (binding.registry === this.registry && binding.value === UNSET && !binding.pending) made.add(binding)
      }
      const outcomes = await Promise.allSettled(wave.map(async (binding) => await ready(this.singleton(binding))))
      const errors = outcomes.filter((one) => one.status === 'rejected').map(({ reason }) => reason as unknown)
      if (errors.length === 0) continue
      for (const binding of made) binding.value = UNSET
      await this.closers.closeThose(made, { error: errors[0] }, this.closingOptions())
      throw startFailed(errors.map((error) => traced(error, [], links)))
    }
  }

  // --- the end

  close(): Promise<void> {
    this.isClosed = true
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    const own = this.registry.all.filter(({ registry }) => registry === this.registry)
    // What is being made is closed as soon as it is there; for that, too, there is a limit.
    const making = own.flatMap(({ pending }) => (pending ? [pending.done] : []))
    const over = new AbortController()
    const limit = sleep(this.disposeTimeoutMs, over.signal)
    await Promise.race([Promise.allSettled([this.#starting, ...making]), limit])
    over.abort()
    const errors: unknown[] = []
    const ended = await this.closers.close(
      undefined,
      this.closingOptions((error) => errors.push(error)),
    )
    // Nobody gets what is closed.
    for (const binding of own) if (binding.recipe.kind !== 'value') binding.value = UNSET
    if (ended) errors.push(ended.error)
    if (errors.length === 1) throw errors[0]
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} values of the container were not closed.`)
  }

  protected override closingOptions(also?: (error: DisposeError) => void): ClosingOptions {
    return {
      timeoutMs: this.disposeTimeoutMs,
      report: (error) => {
        also?.(error)
        this.report(error, undefined)
      },
    }
  }

  /** @param task - At whose end it was. */
  report(error: DisposeError, task: TaskContext | undefined): void {
    const logger = task?.log ?? this.logger
    logger.error({ err: error, key: error.keyName }, 'A value was not closed as it should; the others still are.')
    try {
      this.parts.onDisposeError?.(error, task)
    } catch (hookError) {
      logger.error({ err: hookError }, 'onDisposeError threw; that is ignored.')
    }
  }
}

function startFailed(errors: readonly unknown[]): unknown {
  if (errors.length === 1) return errors[0]
  const lines = errors.map((error) => `  - ${error instanceof Error ? error.message : String(error)}`)
  return new ProviderError(
    'KIQ_DI_PROVIDER_FAILED',
    ['container'],
    `${errors.length} values could not be made:\n${lines.join('\n')}`,
    {
      cause: new AggregateError(errors),
    },
  )
}
