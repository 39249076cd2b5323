import { describe, expect, it } from 'vitest'

import { CronExpression } from '../../src/util/cron.ts'
import { Clock, dueTimes, parsePattern } from './brute-force.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

interface Change {
  readonly title: string
  readonly timeZone: string
  /** In UTC. The expectations are about the five hours from then on. */
  readonly from: string
  /** Per expression, the times in UTC. */
  readonly due: Readonly<Record<string, string>>
}

const everyHalfHourFrom = (from: string): string => {
  const start = Date.parse(`1970-01-01T${from}Z`)
  return Array.from({ length: 10 }, (_, i) => timeOf(start + i * 30 * MINUTE_MS)).join(' ')
}

const changes: readonly Change[] = [
  {
    title: 'Berlin, forward: 02:00 to 03:00 is left out at 01:00 UTC',
    timeZone: 'Europe/Berlin',
    from: '2026-03-28T23:00',
    due: {
      // A single time of day: at the end of the gap.
      '30 2 * * *': '01:00',
      '0 2 * * *': '01:00',
      '59 2 * * *': '01:00',
      '0 3 * * *': '01:00',
      '30 3 * * *': '01:30',
      '30 1 * * *': '00:30',
      '30 2 29 3 *': '01:00',
      '30 2 * * SUN': '01:00',
      '30 2 * * SAT': '',
      '15 30 2 * * *': '01:00',
      // Anything else is due when the clock shows it.
      '*/30 * * * *': everyHalfHourFrom('23:00'),
      '0 * * * *': '23:00 00:00 01:00 02:00 03:00',
      '15 1-3 * * *': '00:15 01:15',
      '30 2,14 * * *': '',
      '0,30 2 * * *': '',
      '*/20 2 * * *': '',
      '30 */2 * * *': '23:30 02:30',
      '*/30 15 2 * * *': '',
    },
  },
  {
    title: 'Berlin, back: 02:00 to 03:00 is repeated at 01:00 UTC',
    timeZone: 'Europe/Berlin',
    from: '2026-10-24T22:00',
    due: {
      // A single time of day: the first time.
      '30 2 * * *': '00:30',
      '0 2 * * *': '00:00',
      '59 2 * * *': '00:59',
      '0 3 * * *': '02:00',
      '30 2 25 10 *': '00:30',
      '15 30 2 * * *': '00:30:15',
      // Anything else is due when the clock shows it.
      '*/30 * * * *': everyHalfHourFrom('22:00'),
      '0 * * * *': '22:00 23:00 00:00 01:00 02:00',
      '15 1-3 * * *': '23:15 00:15 01:15 02:15',
      '30 2,14 * * *': '00:30 01:30',
      '0,30 2 * * *': '00:00 00:30 01:00 01:30',
      '*/20 2 * * *': '00:00 00:20 00:40 01:00 01:20 01:40',
      '30 */2 * * *': '22:30 00:30 01:30',
      '*/30 15 2 * * *': '00:15 00:15:30 01:15 01:15:30',
    },
  },
  {
    title: 'New York, forward: 02:00 to 03:00 is left out at 07:00 UTC',
    timeZone: 'America/New_York',
    from: '2026-03-08T05:00',
    due: {
      '30 2 * * *': '07:00',
      '0 2 * * *': '07:00',
      '0 3 * * *': '07:00',
      '*/30 * * * *': everyHalfHourFrom('05:00'),
      '0 * * * *': '05:00 06:00 07:00 08:00 09:00',
      '15 1-3 * * *': '06:15 07:15',
      '30 2,14 * * *': '',
      '*/20 2 * * *': '',
      '30 */2 * * *': '05:30 08:30',
    },
  },
  {
    title: 'New York, back: 01:00 to 02:00 is repeated at 06:00 UTC',
    timeZone: 'America/New_York',
    from: '2026-11-01T04:00',
    due: {
      '30 1 * * *': '05:30',
      '0 1 * * *': '05:00',
      '30 2 * * *': '07:30',
      '0 2 * * *': '07:00',
      '*/30 * * * *': everyHalfHourFrom('04:00'),
      '0 * * * *': '04:00 05:00 06:00 07:00 08:00',
      '15 1-3 * * *': '05:15 06:15 07:15 08:15',
      '30 1,14 * * *': '05:30 06:30',
      '*/20 1 * * *': '05:00 05:20 05:40 06:00 06:20 06:40',
      '30 */2 * * *': '04:30 07:30',
    },
  },
  {
    title: 'Sydney, back: 02:00 to 03:00 on 5 April is repeated at 16:00 UTC',
    timeZone: 'Australia/Sydney',
    from: '2026-04-04T13:00',
    due: {
      '30 2 * * *': '15:30',
      '0 2 * * *': '15:00',
      '0 3 * * *': '17:00',
      '*/30 * * * *': everyHalfHourFrom('13:00'),
      '0 * * * *': '13:00 14:00 15:00 16:00 17:00',
      '15 1-3 * * *': '14:15 15:15 16:15 17:15',
      '30 2,14 * * *': '15:30 16:30',
      '*/20 2 * * *': '15:00 15:20 15:40 16:00 16:20 16:40',
      '30 */2 * * *': '13:30 15:30 16:30',
    },
  },
  {
    title: 'Sydney, forward: 02:00 to 03:00 on 4 October is left out at 16:00 UTC',
    timeZone: 'Australia/Sydney',
    from: '2026-10-03T14:00',
    due: {
      '30 2 * * *': '16:00',
      '0 2 * * *': '16:00',
      '0 3 * * *': '16:00',
      '*/30 * * * *': everyHalfHourFrom('14:00'),
      '0 * * * *': '14:00 15:00 16:00 17:00 18:00',
      '15 1-3 * * *': '15:15 16:15',
      '30 2,14 * * *': '',
      '*/20 2 * * *': '',
      '30 */2 * * *': '14:30 17:30',
    },
  },
  {
    title: 'Lord Howe, back: 01:30 to 02:00 on 5 April is repeated at 15:00 UTC',
    timeZone: 'Australia/Lord_Howe',
    from: '2026-04-04T13:00',
    due: {
      '45 1 * * *': '14:45',
      '0 2 * * *': '15:30',
      '30 2 * * *': '16:00',
      '*/30 * * * *': everyHalfHourFrom('13:00'),
      '0 * * * *': '13:00 14:00 15:30 16:30 17:30',
      '15 1-3 * * *': '14:15 15:45 16:45',
      '45 1-3 * * *': '14:45 15:15 16:15 17:15',
      '45 1,13 * * *': '14:45 15:15',
      '30 */2 * * *': '13:30 16:00',
    },
  },
  {
    title: 'Lord Howe, forward: 02:00 to 02:30 on 4 October is left out at 15:30 UTC',
    timeZone: 'Australia/Lord_Howe',
    from: '2026-10-03T13:30',
    due: {
      '0 2 * * *': '15:30',
      '15 2 * * *': '15:30',
      '30 2 * * *': '15:30',
      '*/30 * * * *': everyHalfHourFrom('13:30'),
      '0 * * * *': '13:30 14:30 16:00 17:00 18:00',
      '15 1-3 * * *': '14:45 16:15',
      '45 1-3 * * *': '15:15 15:45 16:45',
      '15 2,14 * * *': '',
      '30 */2 * * *': '14:00 15:30 17:30',
    },
  },
  {
    title: 'Santiago, forward: 00:00 to 01:00 on 6 September is left out at 04:00 UTC',
    timeZone: 'America/Santiago',
    from: '2026-09-06T02:00',
    due: {
      '0 0 * * *': '04:00',
      '30 0 * * *': '04:00',
      '0 0 6 9 *': '04:00',
      '0 0 * * SUN': '04:00',
      '30 23 * * *': '03:30',
      '0 * * * *': '02:00 03:00 04:00 05:00 06:00',
      '30 */12 * * *': '',
    },
  },
  {
    title: 'Santiago, back: 23:00 to 24:00 on Saturday, 4 April is repeated at 03:00 UTC',
    timeZone: 'America/Santiago',
    from: '2026-04-05T01:00',
    due: {
      '30 23 * * *': '02:30',
      '30 23 * * SAT': '02:30',
      '0 0 * * *': '04:00',
      '30 23,0 * * *': '02:30 03:30 04:30',
      '0 * * * *': '01:00 02:00 03:00 04:00 05:00',
    },
  },
  {
    title: 'Nuuk, forward: 23:00 to 24:00 on Saturday, 28 March is left out at 01:00 UTC, and then it is Sunday',
    timeZone: 'America/Nuuk',
    from: '2026-03-28T23:00',
    due: {
      // The end of the gap is on another day.
      '30 23 * * *': '',
      '30 23 * * SAT': '',
      '0 0 * * *': '01:00',
      '0 * * * *': '23:00 00:00 01:00 02:00 03:00',
    },
  },
]

/** Hours and minutes, and seconds if there are any. */
function timeOf(at: number): string {
  const time = new Date(at).toISOString().slice(11, 19)
  return time.replace(/:00$/, '')
}

describe.each(changes)('$title', ({ timeZone, from, due }) => {
  const start = Date.parse(`${from}Z`)
  const end = start + 5 * HOUR_MS

  it.each(Object.entries(due))('%s is due at %s', (text, times) => {
    const expression = new CronExpression(text, timeZone)
    const found: string[] = []
    for (let at = expression.next(start - 1)!; at < end; at = expression.next(at)!) found.push(timeOf(at))
    expect(found.join(' ')).toBe(times)
  })

  it('is what the brute force finds, too', () => {
    const clock = new Clock(timeZone, start - 30 * HOUR_MS, end)
    const numeric = Object.entries(due).filter(([text]) => !/[a-z]/i.test(text))
    for (const [text, times] of numeric) {
      expect([text, [...dueTimes(parsePattern(text), clock, start - 1)].map(timeOf).join(' ')]).toEqual([text, times])
    }
  })
})

describe('an expression that is left out', () => {
  it('is due again on the next day', () => {
    const daily = new CronExpression('30 23 * * *', 'America/Nuuk')
    const before = Date.parse('2026-03-28T01:30Z')
    expect(new Date(daily.next(before - 1)!).toISOString()).toBe('2026-03-28T01:30:00.000Z')
    expect(new Date(daily.next(before)!).toISOString()).toBe('2026-03-30T00:30:00.000Z')
  })

  it('is due again on the day after a date that there was not', () => {
    const noon = new CronExpression('0 12 * * *', 'Pacific/Apia')
    const before = Date.parse('2011-12-29T22:00Z')
    expect(new Date(noon.next(before - 1)!).toISOString()).toBe('2011-12-29T22:00:00.000Z')
    expect(new Date(noon.next(before)!).toISOString()).toBe('2011-12-30T22:00:00.000Z')
    const yearly = new CronExpression('0 12 30 12 *', 'Pacific/Apia')
    expect(new Date(yearly.next(Date.parse('2011-01-01T00:00Z'))!).toISOString()).toBe('2012-12-29T22:00:00.000Z')
  })
})
