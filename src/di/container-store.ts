import { AsyncLocalStorage } from 'node:async_hooks'

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
import { nameOf } from './keys.ts'
import { Pending } from './pending.ts'
import type { Problem } from './problems.ts'
import type { Registry, SingletonOwner } from './registry.ts'
import { ScopeStore } from './scope.ts'
import { Store, valueOf } from './store.ts'

export interface ContainerParts {
  readonly registry: Registry
  /** Milliseconds that closing one value may take. */
  readonly disposeTimeoutMs: number
  readonly logger: Logger
  readonly onDisposeError: ((error: DisposeError, task: TaskContext | undefined) => void) | undefined
}

/** The singletons of a container, and what was checked of it. */
export class ContainerStore extends Store implements SingletonOwner {
  readonly registry: Registry
  readonly disposeTimeoutMs: number
  readonly logger: Logger
  readonly parts: ContainerParts
  readonly #links = new Map<Key, Link>()
  /** The context in which the container was made: timers of a singleton belong to no task that happened to ask first. */
  readonly #outside = AsyncLocalStorage.snapshot()
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
    const edges = [{ name: nameOf(key), mode: 'one', key }] as const
    const errors = findProblems(this.registry, [{ label: undefined, edges }]).filter(
      ({ severity }) => severity === 'error',
    )
    if (errors.length > 0) throw new InjectionError(errors)
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

  protected one(binding: Binding): unknown {
    if (binding.scope === 'singleton') return this.singleton(binding)
    if (binding.scope === 'transient') return this.build(binding)
    throw new ScopeError(
      'KIQ_DI_NO_SCOPE',
      `${binding.name} is scoped, so the container has none. Ask for it in \`deps\` of a task, or in a scope: ` +
        '`container.scope()`.',
    )
  }

  singleton(binding: Binding): unknown {
    if (binding.value !== UNSET) return binding.value
    const { owner } = binding.registry
    if (owner !== this && owner !== undefined) return owner.singleton(binding)
    if (binding.pending) return binding.pending
    this.assertOpen(binding.name)
    const made = this.#outside(() => this.build(binding))
    if (made instanceof Pending) {
      binding.pending = made
      made.done.then(
        () => {
          binding.value = made.value
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
    this.assertOpen(nameOf(key))
    const link = this.checkedLink(key)
    try {
      return await (isTransient(link) ? this.#transient(link) : valueOf(this.link(link)))
    } catch (error) {
      throw this.traced(error, [], [link])
    }
  }

  getSync(key: Key): unknown {
    this.assertOpen(nameOf(key))
    const link = this.checkedLink(key)
    if (!isTransient(link)) return this.now(link)
    if (link.targets.some(({ hasCloser }) => hasCloser)) throw transientAtRoot(link)
    const scope = new ScopeStore(this)
    const value = scope.now(link)
    if (scope.endAtOnce()) return value
    void scope.end(undefined)
    throw transientAtRoot(link)
  }

  /** One that has to be closed would live until the container is: it is refused. */
  async #transient(link: Link): Promise<unknown> {
    if (link.targets.some(({ hasCloser }) => hasCloser)) throw transientAtRoot(link)
    const scope = new ScopeStore(this)
    const value = await valueOf(scope.link(link))
    if (scope.endAtOnce()) return value
    await scope.end(undefined)
    throw transientAtRoot(link)
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
    const made = new Set<Binding>()
    for (const wave of waves(links)) {
      for (const binding of wave) if (binding.value === UNSET && !binding.pending) made.add(binding)
      const outcomes = await Promise.allSettled(wave.map(async (binding) => await valueOf(this.singleton(binding))))
      const errors = outcomes.filter((one) => one.status === 'rejected').map(({ reason }) => reason as unknown)
      if (errors.length === 0) continue
      for (const binding of made) binding.value = UNSET
      await this.closers.closeThose(made, { error: errors[0] }, this.closingOptions())
      throw startFailed(errors.map((error) => this.traced(error, [], links)))
    }
  }

  // --- the end

  close(): Promise<void> {
    this.isClosed = true
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    // What is being made is closed as soon as it is there; for that, too, there is a limit.
    const own = this.registry.all.filter(({ registry }) => registry === this.registry)
    const making = own.flatMap(({ pending }) => (pending ? [pending.done] : []))
    const over = new AbortController()
    const limit = sleep(this.disposeTimeoutMs, over.signal)
    if (making.length > 0) await Promise.race([Promise.allSettled(making), limit])
    over.abort()
    const errors: unknown[] = []
    const ended = await this.closers.close(
      undefined,
      this.closingOptions((error) => errors.push(error)),
    )
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

function isTransient({ targets }: Link): boolean {
  return targets.some(({ scope }) => scope === 'transient')
}

function transientAtRoot({ key }: Link): ScopeError {
  return new ScopeError(
    'KIQ_DI_TRANSIENT_AT_ROOT',
    `${nameOf(key)} is transient and has to be closed; asked for here it would live until the container is closed. Ask ` +
      'for it in a scope: `container.scope()`.',
  )
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

/** Singletons that are made early, in waves: what a wave needs is in the waves before it. */
function waves(links: readonly Link[]): readonly (readonly Binding[])[] {
  const levels = new Map<Binding, number>()
  const found: Binding[][] = []
  /** @returns The wave after which a value of this binding can be made. */
  const visit = (binding: Binding): number => {
    const known = levels.get(binding)
    if (known !== undefined) return known
    const behindLazy: Binding[] = []
    levels.set(binding, 0)
    if (binding.scope === 'singleton' && !binding.eager) return 0
    let level = 0
    for (const { mode, targets } of binding.links) {
      if (mode === 'lazy') behindLazy.push(...targets)
      else for (const target of targets) level = Math.max(level, visit(target))
    }
    if (binding.scope === 'singleton' && binding.recipe.kind !== 'value') {
      ;(found[level] ??= []).push(binding)
      level += 1
    }
    levels.set(binding, level)
    for (const target of behindLazy) visit(target)
    return level
  }
  for (const { targets } of links) for (const target of targets) visit(target)
  return found.filter((wave) => (wave as Binding[] | undefined) !== undefined)
}
