import type { Key } from '../contract/index.ts'
import type { Binding, Link } from './binding.ts'
import type { ClosingOptions } from './closers.ts'
import type { ContainerStore } from './container-store.ts'
import { ScopeError } from './errors.ts'
import { nameOf } from './keys.ts'
import { Store } from './store.ts'

export function isTransient({ targets }: Link): boolean {
  return targets.some(({ scope }) => scope === 'transient')
}

/**
 * A transient that the container itself is asked for. Nobody says when it ends, so one that has to be closed, or needs such
 * a one, is refused; what was made for it until that is known is closed at once.
 */
export class RootTransient extends Store {
  readonly #container: ContainerStore

  constructor(container: ContainerStore) {
    super()
    this.#container = container
  }

  get label(): string {
    return this.#container.label
  }

  protected override one(binding: Binding): unknown {
    if (binding.scope === 'singleton') return this.#container.singleton(binding)
    if (binding.scope === 'transient') return this.build(binding)
    throw scopedAtRoot(binding)
  }

  protected override async later(key: Key): Promise<unknown> {
    return await this.#container.get(key)
  }

  protected override closingOptions(): ClosingOptions {
    const { disposeTimeoutMs } = this.#container
    return { timeoutMs: disposeTimeoutMs, report: (error) => this.#container.report(error, undefined) }
  }

  async get(link: Link): Promise<unknown> {
    this.#refuse(link)
    let value: unknown
    try {
      value = await this.wait(link)
    } catch (error) {
      await this.#giveUp(error)
      throw error
    }
    if (!this.hasClosers) return value
    const error = transientAtRoot(link)
    await this.#giveUp(error)
    throw error
  }

  getSync(link: Link): unknown {
    this.#refuse(link)
    let value: unknown
    try {
      value = this.now(link)
    } catch (error) {
      void this.#giveUp(error)
      throw error
    }
    if (!this.hasClosers) return value
    const error = transientAtRoot(link)
    void this.#giveUp(error)
    throw error
  }

  #refuse(link: Link): void {
    if (link.targets.some(({ hasCloser }) => hasCloser)) throw transientAtRoot(link)
  }

  async #giveUp(error: unknown): Promise<void> {
    this.isClosed = true
    this.failure = { error }
    await this.closers.close(this.failure, this.closingOptions())
  }
}

function transientAtRoot({ key }: Link): ScopeError {
  return new ScopeError(
    'KIQ_DI_TRANSIENT_AT_ROOT',
    `${nameOf(key)} is transient and has to be closed; asked for here it would live until the container is closed. Ask ` +
      'for it in a scope: `container.scope()`.',
  )
}

export function scopedAtRoot({ name }: Binding): ScopeError {
  return new ScopeError(
    'KIQ_DI_NO_SCOPE',
    `${name} is scoped, so the container has none. Ask for it in \`deps\` of a task, or in a scope: ` +
      '`container.scope()`.',
  )
}
