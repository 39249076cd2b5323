import { describe, expect, it } from 'vitest'

import { parseIsoDurationMs } from './iso-duration.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

describe('parseIsoDurationMs', () => {
  // What pydantic 2.14 makes of each.
  it.each([
    ['PT90S', 90 * SECOND],
    ['PT1M30S', 90 * SECOND],
    ['PT1M60S', 120 * SECOND],
    ['P1D', DAY],
    ['P1DT', DAY],
    ['P1DT1H1M1.0S', DAY + HOUR + MINUTE + SECOND],
    ['P1W', 7 * DAY],
    ['P1M', 30 * DAY],
    ['P1Y', 365 * DAY],
    ['P1.5D', 36 * HOUR],
    ['PT0.5H', 30 * MINUTE],
    ['PT1,5S', 1_500],
    ['PT0.001S', 1],
    ['PT1.0005S', 1_000.5],
    ['+PT90S', 90 * SECOND],
    ['-PT5H30M', -5.5 * HOUR],
    ['-P1DT22H', -46 * HOUR],
    ['P0D', 0],
    ['1:30:00', 90 * MINUTE],
    ['00:01:30.000000', 90 * SECOND],
    ['100:00:00', 100 * HOUR],
    ['01:30', 90 * MINUTE],
    ['+02:00', 2 * HOUR],
    ['-05:30', -5.5 * HOUR],
    ['-02:00:00', -2 * HOUR],
    ['1 day', DAY],
    ['1D', DAY],
    ['1d 01:00:00', 25 * HOUR],
    ['1 day, 1:00:00', 25 * HOUR],
    ['2 days, 1:00:00', 49 * HOUR],
    ['1 day 01:00:00', 25 * HOUR],
  ])('reads %s', (text, ms) => {
    expect(parseIsoDurationMs(text)).toBe(ms)
  })

  it.each([
    '',
    '+',
    'P',
    'PT',
    'PT-5H',
    'pt90s',
    'PT1H 30M',
    'PT1e3S',
    '1:2:3',
    '00:00:90',
    '1:75',
    '90',
    '1h30m',
    'soon',
  ])('does not take %j for a duration', (text) => {
    expect(parseIsoDurationMs(text)).toBeUndefined()
  })
})
