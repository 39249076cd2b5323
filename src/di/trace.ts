import type { ErrorCode } from '../contract/index.ts'
import type { Binding, Link } from './binding.ts'
import { ProviderError } from './errors.ts'

/** A {@link ProviderError} that knows what failed, but not yet who asked for it. */
export class BuildError extends ProviderError {
  readonly binding: Binding
  readonly #why: string

  constructor(code: ErrorCode, binding: Binding, why: string, options: { readonly cause?: unknown } = {}) {
    super(code, [binding.name], why, options)
    this.binding = binding
    this.#why = why
  }

  /** The same for one who asked: many may wait for one value, each on a path of its own. */
  from(path: readonly string[]): ProviderError {
    return new ProviderError(this.code, path, this.#why, 'cause' in this ? { cause: this.cause } : {})
  }
}

/**
 * Of a value that could not be made the error with the path from who asked to what failed.
 *
 * @param from - Names that come before the links.
 */
export function traced(error: unknown, from: readonly string[], links: readonly Link[]): unknown {
  if (!(error instanceof BuildError)) return error
  return error.from([...from, ...(pathTo(error.binding, links) ?? [error.binding.name])])
}

/** Names on the shortest way from these links to that binding. */
export function pathTo(wanted: Binding, links: readonly Link[]): readonly string[] | undefined {
  const seen = new Set<Binding>()
  let level = links.flatMap(({ targets }) => targets.map((binding) => ({ binding, path: [binding.name] })))
  while (level.length > 0) {
    const next: typeof level = []
    for (const { binding, path } of level) {
      if (binding === wanted) return path
      if (seen.has(binding)) continue
      seen.add(binding)
      for (const { targets } of binding.links) {
        for (const target of targets) next.push({ binding: target, path: [...path, target.name] })
      }
    }
    level = next
  }
  return undefined
}
