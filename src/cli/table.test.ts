import { describe, expect, it } from 'vitest'

import { formatAge, formatTable } from './table.ts'

describe('formatTable', () => {
  it('aligns columns, and puts each row on one line', () => {
    expect(
      formatTable(
        ['A', 'LONG', 'LAST'],
        [
          ['one', '1', 'a\n  b'],
          ['x', '12345', ''],
        ],
      ),
    ).toBe('A    LONG   LAST\none  1      a b\nx    12345\n')
  })

  it('cuts lines to the width', () => {
    expect(formatTable(['A', 'REASON'], [['1', 'too long to be shown']], { width: 12 })).toBe(
      'A  REASON\n1  too long…\n',
    )
  })
})

describe('formatAge', () => {
  it.each([
    [-5, '0s'],
    [59_999, '59s'],
    [60_000, '1m'],
    [7_199_000, '1h'],
    [86_400_000 * 3, '3d'],
  ])('shows %i ms as %s', (ms, text) => {
    expect(formatAge(ms)).toBe(text)
  })
})
