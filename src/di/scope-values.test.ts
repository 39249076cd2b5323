import { describe, expect, it } from 'vitest'

import { UNSET } from './binding.ts'
import type { Binding } from './binding.ts'
import { bind, token } from './index.ts'
import { OwnContainer } from './container.ts'
import { ScopeValues } from './scope-values.ts'

const keys = Array.from({ length: 100 }, (_, i) => token<number>(`K${i}`))
const container = new OwnContainer({ providers: keys.map((key) => bind(key, { scope: 'scoped', create: () => 0 })) })
const bindings: readonly Binding[] = container.store.registry.all.slice(-100)

describe('the values of a scope', () => {
  it.each([3, 32, 33, 100])('keep, replace and forget %d of them', (count) => {
    const values = new ScopeValues()
    const some = bindings.slice(0, count)
    for (const [i, binding] of some.entries()) values.set(binding, i === 1 ? undefined : i)

    expect(some.map((binding) => values.get(binding))).toEqual(some.map((_, i) => (i === 1 ? undefined : i)))
    const [first, second] = some as [Binding, Binding]
    values.set(first, 'new')
    values.set(second, UNSET)
    expect(values.get(first)).toBe('new')
    expect(values.get(second)).toBe(UNSET)
    values.set(second, null)
    expect(values.get(second)).toBeNull()
    expect(values.get(some.at(-1) as Binding)).toBe(count - 1)
  })

  it('have none of what was never made', () => {
    expect(new ScopeValues().get(bindings[0] as Binding)).toBe(UNSET)
  })
})
