import { describe, expect, it } from 'vitest'

import type { Schedule } from '../contract/index.ts'
import type { Past, Upcoming } from './upcoming.ts'
import { jitterOf, nextTime, upcoming } from './upcoming.ts'

const GRACE_MS = 20_000

function schedule(change: Partial<Schedule>): Schedule {
  return { scheduleId: 's', taskName: 't', labels: {}, args: [], kwargs: {}, ...change }
}

function at(text: string): number {
  return Date.parse(`2026-11-22T${text}Z`)
}

function next(change: Partial<Schedule>, now: string, past: Partial<Past> = {}): Upcoming | undefined {
  const all: Past = { firedAt: undefined, seenAt: at(now), anchor: 'firing', ...past }
  return upcoming(schedule(change), all, { now: at(now), graceMs: GRACE_MS })
}

function iso(found: Upcoming | undefined): string | undefined {
  return found && new Date(found.at).toISOString().slice(11, 23)
}

describe('upcoming, of a schedule that never fired', () => {
  it.each([
    ['cron, in its minute', { cron: '*/5 * * * *' }, '12:00:00', '12:00:00.000'],
    ['cron, after its minute began', { cron: '*/5 * * * *' }, '12:00:00.001', '12:05:00.000'],
    ['an interval, at once', { intervalMs: 90_000 }, '12:00:00.250', '12:00:00.250'],
    ['an interval that starts later', { intervalMs: 90_000, startAt: at('13:00:07') }, '12:00:00', '13:00:07.000'],
    ['cron that starts later', { cron: '0 * * * *', startAt: at('13:00:01') }, '12:00:01', '14:00:00.000'],
    ['a point in time', { time: at('15:00:00') }, '12:00:00', '15:00:00.000'],
    ['a point in time that has passed', { time: at('11:00:00') }, '12:00:00', '11:00:00.000'],
    ['the first of several', { cron: '0 13 * * *', time: at('12:30:00') }, '12:00:00', '12:30:00.000'],
  ] as const)('%s', (_what, change, now, expected) => {
    expect(iso(next(change, now))).toBe(expected)
  })

  it('counts intervals from fixed points where nobody remembers a firing', () => {
    expect(iso(next({ intervalMs: 60_000 }, '12:00:10', { anchor: 'epoch' }))).toBe('12:01:00.000')
    expect(iso(next({ intervalMs: 60_000 }, '12:01:00', { anchor: 'epoch' }))).toBe('12:01:00.000')
    const later = { intervalMs: 60_000, startAt: at('12:00:30') }
    expect(iso(next(later, '12:00:10', { anchor: 'epoch' }))).toBe('12:00:30.000')
    expect(iso(next(later, '12:00:31', { anchor: 'epoch' }))).toBe('12:01:30.000')
  })

  it.each([
    ['cron after its end', { cron: '0 13 * * *', endAt: at('12:30:00') }],
    ['an interval after its end', { intervalMs: 1_000, endAt: at('11:30:00') }],
    ['a point in time after its end', { time: at('13:00:00'), endAt: at('12:30:00') }],
  ] as const)('never fires %s', (_what, change) => {
    expect(next(change, '12:00:00')).toBeUndefined()
  })
})

describe('upcoming, of a schedule that fired', () => {
  const past = { firedAt: at('12:00:00') }

  it.each([
    ['cron', { cron: '*/5 * * * *' }, '12:00:01', '12:05:00.000'],
    ['cron that is due', { cron: '*/5 * * * *' }, '12:05:03', '12:05:00.000'],
    ['cron that is late by less than the grace', { cron: '*/5 * * * *' }, '12:05:20', '12:05:00.000'],
    ['an interval', { intervalMs: 90_000 }, '12:01:00', '12:01:30.000'],
    ['an interval, all of the grace', { intervalMs: 5_000 }, '12:00:21', '12:00:05.000'],
  ] as const)('%s', (_what, change, now, expected) => {
    expect(next(change, now, past)).toMatchObject({ isCatchUp: false, skippedFrom: undefined })
    expect(iso(next(change, now, past))).toBe(expected)
  })

  it('fires once at a point in time', () => {
    expect(next({ time: at('12:00:00') }, '12:00:01', past)).toBeUndefined()
  })

  it('skips what it missed, and says from when', () => {
    const found = next({ cron: '*/5 * * * *' }, '13:01:00', past)

    expect(iso(found)).toBe('13:05:00.000')
    expect(found).toMatchObject({ isCatchUp: false, skippedFrom: at('12:05:00') })
  })

  it('fires what is not late yet, after what it missed', () => {
    expect(iso(next({ cron: '*/5 * * * *' }, '13:00:10', past))).toBe('13:00:00.000')
    expect(iso(next({ intervalMs: 1_000 }, '13:00:10', past))).toBe('12:59:50.000')
  })

  it.each([
    ['the last one', { catchUp: 'one' }, '12:55:00.000'],
    ['all', { catchUp: 'all' }, '12:05:00.000'],
    ['the last three', { catchUp: 'all', catchUpLimit: 3 }, '12:45:00.000'],
  ] as const)('makes up for %s', (_what, rules, expected) => {
    const found = next({ cron: '*/5 * * * *', ...rules }, '12:56:00', past)

    expect(iso(found)).toBe(expected)
    expect(found?.isCatchUp).toBe(true)
    expect(found?.skippedFrom).toBe(expected === '12:05:00.000' ? undefined : at('12:05:00'))
  })

  it('makes up for all of an interval', () => {
    const change = { intervalMs: 60_000, catchUp: 'all', catchUpLimit: 2 } as const

    expect(iso(next(change, '12:10:30', past))).toBe('12:09:00.000')
  })

  it('goes on making up for what it has begun to', () => {
    const all = { firedAt: at('12:05:00'), seenAt: 0, anchor: 'firing' } as const
    const options = { now: at('12:56:00'), graceMs: GRACE_MS, allowedFrom: at('12:05:00') }

    expect(iso(upcoming(schedule({ cron: '*/5 * * * *', catchUp: 'all', catchUpLimit: 1 }), all, options))).toBe(
      '12:10:00.000',
    )
  })

  it('always makes up for a single point in time', () => {
    const found = next({ time: at('12:30:00') }, '15:00:00', past)

    expect(iso(found)).toBe('12:30:00.000')
    expect(found).toMatchObject({ isCatchUp: true, skippedFrom: undefined })
  })

  it('makes up for nothing after its end', () => {
    const change = { cron: '*/5 * * * *', endAt: at('12:12:00') }

    expect(next(change, '15:00:00', past)).toBeUndefined()
    expect(iso(next({ ...change, catchUp: 'one' }, '15:00:00', past))).toBe('12:10:00.000')
  })
})

describe('nextTime', () => {
  it('walks through all triggers in order', () => {
    const all = schedule({ cron: '0 * * * *', intervalMs: 25 * 60_000, time: at('12:10:00') })
    const past: Past = { firedAt: at('12:00:00'), seenAt: 0, anchor: 'firing' }
    const times: string[] = []
    for (let after = at('12:00:00'); times.length < 5;) {
      after = nextTime(all, past, after) ?? Infinity
      times.push(new Date(after).toISOString().slice(11, 16))
    }

    expect(times).toEqual(['12:10', '12:25', '12:50', '13:00', '13:15'])
  })
})

describe('jitterOf', () => {
  const one = schedule({ jitterMs: 1_000 })

  it('is within its bounds, spread, and the same for everybody', () => {
    const all = Array.from({ length: 2_000 }, (_, n) => jitterOf(one, n * 1_000))

    expect(Math.min(...all)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...all)).toBeLessThanOrEqual(1_000)
    const mean = all.reduce((sum, ms) => sum + ms, 0) / all.length
    expect(mean).toBeGreaterThan(450)
    expect(mean).toBeLessThan(550)
    expect(jitterOf(one, 5)).toBe(jitterOf({ ...one }, 5))
  })

  it('is none unless asked for', () => {
    expect(jitterOf(schedule({}), 5)).toBe(0)
  })
})
