import { describe, expect, it } from 'vitest'

import { findUncloneable } from './cloneable.ts'

describe('findUncloneable', () => {
  it('finds nothing in data, also with typed arrays and cycles', () => {
    const cycle: Record<string, unknown> = {
      bytes: new Uint8Array(2),
      at: new Date(),
      of: new Map([[1, new Set([2])]]),
    }
    cycle['self'] = cycle

    expect(findUncloneable(cycle, 'value')).toBeUndefined()
    expect(findUncloneable(undefined, 'value')).toBeUndefined()
  })

  it('names the path of the first part that is no data', () => {
    expect(findUncloneable({ a: 1, b: [0, { c: () => 1 }] }, 'context')?.path).toBe('context.b[1].c')
    expect(findUncloneable({ m: new Map([['k', Symbol('s')]]) }, 'value')?.path).toBe('value.m.get(k)')
    expect(findUncloneable(() => 1, 'value')?.path).toBe('value')
  })

  it('ends in a cycle', () => {
    const one: Record<string, unknown> = {}
    const two: Record<string, unknown> = { one, f: () => 1 }
    one['two'] = two

    expect(findUncloneable(one, 'one')?.path).toBe('one.two.f')
  })
})
