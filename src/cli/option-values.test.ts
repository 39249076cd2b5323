import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'

import { ackType, limitOrOff, list, logFormat, logLevel, repeated, seconds, wholeNumber } from './option-values.ts'

describe('wholeNumber', () => {
  it('reads digits within the range', () => {
    expect([wholeNumber(0)('0'), wholeNumber(1)('100'), wholeNumber(0, 65_535)('65535')]).toEqual([0, 100, 65_535])
  })

  it.each(['', '-1', '1.5', '0x10', '1e3', ' 1', 'many', '70000', '9'.repeat(30)])('refuses %j', (text) => {
    expect(() => wholeNumber(0, 65_535)(text)).toThrow('Use a whole number from 0 to 65535.')
  })
})

describe('limitOrOff', () => {
  it('reads -1 as off', () => {
    expect([limitOrOff('-1'), limitOrOff('3')]).toEqual([-1, 3])
    expect(() => limitOrOff('0')).toThrow(InvalidArgumentError)
  })
})

describe('seconds', () => {
  it.each([
    ['5', 5_000],
    ['0.25', 250],
    ['0', 0],
    ['30s', 30_000],
    ['250ms', 250],
    ['1h30m', 5_400_000],
  ])('reads %s as %i ms', (text, ms) => {
    expect(seconds(text)).toBe(ms)
  })

  it.each(['', '-1', 'soon', '5x', 'Infinity'])('refuses %j', (text) => {
    expect(() => seconds(text)).toThrow('Use seconds, or a duration')
  })
})

describe('list', () => {
  it('splits at commas and adds up', () => {
    expect(list('c', list('a, b', undefined))).toEqual(['a', 'b', 'c'])
    expect(() => list('a,', undefined)).toThrow('Use names, separated by commas.')
  })
})

describe('repeated', () => {
  it('adds up and keeps commas', () => {
    expect(repeated('b', repeated('**/{a,b}.ts', undefined))).toEqual(['**/{a,b}.ts', 'b'])
    expect(() => repeated('', undefined)).toThrow(InvalidArgumentError)
  })
})

describe('ackType, logLevel and logFormat', () => {
  it('read what they know, also as Python writes it', () => {
    expect([ackType('MANUAL'), logLevel('WARNING'), logLevel('critical'), logLevel('Debug')]).toEqual([
      'manual',
      'warn',
      'fatal',
      'debug',
    ])
    expect(logFormat('json')).toBe('json')
  })

  it('name what they know otherwise', () => {
    expect(() => ackType('later')).toThrow('Use one of: when_received, when_executed, when_saved, manual.')
    expect(() => logLevel('loud')).toThrow('Use one of: debug, info, warn, error, fatal, silent.')
    expect(() => logFormat('xml')).toThrow('Use one of: pretty, json.')
  })
})
