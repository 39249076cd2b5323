import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseDurationMs } from './duration.ts'

describe('parseDurationMs', () => {
  it.each([
    [0, 0],
    [250, 250],
    [0.5, 0.5],
    ['0s', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['1h', 3_600_000],
    ['1h30m', 5_400_000],
    ['1h 30m', 5_400_000],
    ['1h  30m', 5_400_000],
    ['2d', 172_800_000],
    ['1d2h3m4s5ms', 93_784_005],
    ['5ms4s3m2h1d', 93_784_005],
    ['1m1ms', 60_001],
    ['007s', 7000],
  ])('reads %j as %d ms', (value, milliseconds) => {
    expect(parseDurationMs(value)).toBe(milliseconds)
  })

  it.each([
    ['1.005s', 1005],
    ['0.29s', 290],
    ['1.1h', 3_960_000],
    ['0.5ms', 0.5],
  ])('reads the decimal %j as exactly %d ms', (value, milliseconds) => {
    expect(parseDurationMs(value)).toBe(milliseconds)
  })

  it.each([
    '',
    ' ',
    '30',
    's',
    'ms',
    '30 s',
    ' 30s',
    '30s ',
    '-30s',
    '+30s',
    '1h-30m',
    '1h,30m',
    '1h\t30m',
    '.5s',
    '1.s',
    '1.5.5s',
    '1e3s',
    '0x10s',
    '1_000s',
    '30S',
    '1w',
    '30sec',
    '1msms',
    '1h1h',
    '1h30m1h',
    'NaNs',
    'Infinitys',
    '٣s',
    '9'.repeat(400) + 's',
    '1.' + '1'.repeat(400) + 's',
  ])('refuses the text %j', (value) => {
    expect(parseDurationMs(value)).toBeUndefined()
  })

  it.each([-1, -0.001, NaN, Infinity, -Infinity])('refuses the number %d', (value) => {
    expect(parseDurationMs(value)).toBeUndefined()
  })

  it.each([[undefined], [null], [true], [10n], [{}], [['30s']], [new Date(0)]])(
    'refuses %o, which is neither',
    (value) => {
      expect(parseDurationMs(value as never)).toBeUndefined()
    },
  )

  it('adds up whole parts in any order', () => {
    const units = [
      ['ms', 1],
      ['s', 1000],
      ['m', 60_000],
      ['h', 3_600_000],
      ['d', 86_400_000],
    ] as const
    const parts = fc
      .shuffledSubarray([...units], { minLength: 1 })
      .chain((chosen) =>
        fc.tuple(
          ...chosen.map(([unit, unitMs]) =>
            fc.nat(100_000).map((count) => ({ text: `${count}${unit}`, ms: count * unitMs })),
          ),
        ),
      )

    fc.assert(
      fc.property(parts, fc.constantFrom('', ' ', '   '), (list, gap) => {
        const text = list.map((part) => part.text).join(gap)
        const totalMs = list.reduce((sum, part) => sum + part.ms, 0)

        expect(parseDurationMs(text)).toBe(totalMs)
      }),
    )
  })

  it('answers any text with a finite number of at least 0 or undefined', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom('0', '1', '9', '.', ' ', '-', 'm', 's', 'h', 'd') }),
    )

    fc.assert(
      fc.property(text, (value) => {
        const milliseconds = parseDurationMs(value)

        expect(milliseconds === undefined || (Number.isFinite(milliseconds) && milliseconds >= 0)).toBe(true)
      }),
    )
  })
})
