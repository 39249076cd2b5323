import type { Binding, Link } from './binding.ts'
import { UNSET } from './binding.ts'
import type { Registry } from './registry.ts'

/** Who is being looked at, and which of the bindings it needs comes next. */
interface Frame {
  readonly binding: Binding
  readonly targets: readonly Binding[]
  next: number
}

/**
 * Goes through what bindings need, each once, what is needed before who needs it. With a stack of its own, since chains may
 * be long.
 *
 * @param needs - Whom a binding needs.
 */
function* inOrder(
  starts: readonly Binding[],
  needs: (binding: Binding) => readonly Binding[],
  seen: Set<Binding> = new Set(),
): Generator<Binding> {
  for (const start of starts) {
    if (seen.has(start)) continue
    seen.add(start)
    const stack: Frame[] = [{ binding: start, targets: needs(start), next: 0 }]
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const target = frame.targets[frame.next]
      frame.next += 1
      if (target === undefined) {
        stack.pop()
        yield frame.binding
      } else if (!seen.has(target)) {
        seen.add(target)
        stack.push({ binding: target, targets: needs(target), next: 0 })
      }
    }
  }
}

function neededNow({ links }: Binding): readonly Binding[] {
  return links.flatMap(({ mode, targets }) => (mode === 'lazy' ? [] : targets))
}

/** Whether something that it needs is being made. */
export function waitsForOthers(binding: Binding): boolean {
  return neededNow(binding).some(({ pending }) => pending !== undefined)
}

/** The singletons of this registry that a value of the binding needs and that are not made, in the order of making them. */
export function* neededBy(binding: Binding, registry: Registry): Generator<Binding> {
  const isMissing = (one: Binding): boolean =>
    one.scope !== 'singleton' || (one.registry === registry && one.value === UNSET && one.pending === undefined)
  for (const one of inOrder([binding], (holder) => neededNow(holder).filter(isMissing))) {
    if (one.scope === 'singleton') yield one
  }
}

/** Singletons that are made early, in waves: what a wave needs is in the waves before it. */
export function waves(links: readonly Link[]): readonly (readonly Binding[])[] {
  const levels = new Map<Binding, number>()
  const found: Binding[][] = []
  const seen = new Set<Binding>()
  const isLate = ({ scope, eager }: Binding): boolean => scope === 'singleton' && !eager
  /** Grows: what is behind `lazy()` comes after those who may call it. */
  const starts = links.flatMap(({ targets }) => targets)
  for (const start of starts) {
    for (const binding of inOrder([start], (one) => (isLate(one) ? [] : neededNow(one)), seen)) {
      if (isLate(binding)) continue
      const level = Math.max(0, ...neededNow(binding).map((needed) => levels.get(needed) ?? 0))
      const isMade = binding.scope === 'singleton' && binding.recipe.kind !== 'value'
      if (isMade) (found[level] ??= []).push(binding)
      levels.set(binding, isMade ? level + 1 : level)
      for (const { mode, targets } of binding.links) if (mode === 'lazy') starts.push(...targets)
    }
  }
  return found.filter((wave) => (wave as Binding[] | undefined) !== undefined)
}
