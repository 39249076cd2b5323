import { describe, expect, it } from 'vitest'

import { queueKeys, scheduleKeys } from './keys.ts'
import type { ScheduleKeys } from './keys.ts'

const PREFIXES = ['schedule', 'a:b', '{a}', 'x{a}y', 'a{}b', '{}{a}', 'a}b', '}', '{', '', 'kiq', 'kiq:schedules', 'of']

describe('keys of what schedulers share', () => {
  const of = (prefix: string, kind: 'keys' | 'list' = 'keys'): ScheduleKeys => scheduleKeys({ kind, prefix, db: 0 })
  const names = ({ changes, lead, states, paused }: ScheduleKeys): readonly string[] =>
    [changes, lead, states, paused].map((key) => `${key}{group}`)

  it.each(PREFIXES)('lie in one slot, with the prefix %j', (prefix) => {
    const tags = new Set(names(of(prefix)).map(slotTagOf))

    expect(tags.size).toBe(1)
  })

  it.each(PREFIXES)('are no schedules for Taskiq, with the prefix %j', (prefix) => {
    expect(names(of(prefix)).filter((key) => key.startsWith(`${prefix}:`))).toEqual([])
  })

  it('lie in the slot of the schedules when these lie in one', () => {
    expect(slotTagOf(of('x{a}y').lead)).toBe('a')
  })

  it('are others for each prefix, kind and, where it is a channel, database', () => {
    const all = PREFIXES.flatMap((prefix) =>
      [of(prefix), of(prefix, 'list')].flatMap(({ channel, ...keys }) => [channel, ...names({ channel, ...keys })]),
    )
    const channels = [0, 1].map((db) => scheduleKeys({ kind: 'keys', prefix: 'schedule', db }).channel)

    expect(new Set(all).size).toBe(all.length)
    expect(new Set(channels).size).toBe(2)
  })
})

describe('keys of what is sent once', () => {
  it('are those of one queue, which a channel of the same name is not', () => {
    const { once, publishedOnce } = queueKeys('q')

    expect([once, publishedOnce].map(slotTagOf)).toEqual(['q', 'q'])
    expect(publishedOnce.startsWith(once) || once.startsWith(publishedOnce)).toBe(false)
  })
})

/** What Redis takes the slot of: the first braces, unless there is nothing in them, else all. */
function slotTagOf(key: string): string {
  const start = key.indexOf('{')
  const end = key.indexOf('}', start + 1)
  return start >= 0 && end > start + 1 ? key.slice(start + 1, end) : key
}
