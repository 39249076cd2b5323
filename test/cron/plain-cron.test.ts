import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { CronExpression, cronExpression, plainCron } from '../../src/util/cron.ts'

const day = fc.constantFrom(...'0 1 2 3 4 5 6 7 SUN mon Tuesday WED thursday Fri SAT Sunday'.split(' '))
const month = fc.constantFrom(...'1 02 jan Feb MARCH may August sep December 12'.split(' '))
const date = fc.constantFrom('*', '?', '13', '*/2', '1,*')

function field(value: fc.Arbitrary<string>, max: number): fc.Arbitrary<string> {
  const step = fc.constantFrom('', ...Array.from({ length: max }, (_, i) => `/${i + 1}`))
  const range = fc.tuple(value, value, step).map(([from, to, by]) => `${from}-${to}${by}`)
  const part = fc.oneof(
    value,
    range,
    step.map((by) => `*${by}`),
  )
  return fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(','))
}

const expressions = fc
  .tuple(date, field(month, 12), field(day, 7))
  .map((days) => `0 0 ${days.join(' ')}`)
  // Some ranges end before they start.
  .filter((text) => {
    try {
      return cronExpression(text) instanceof CronExpression
    } catch {
      return false
    }
  })

function timesOf(text: string): readonly string[] {
  const expression = new CronExpression(text)
  const times: string[] = []
  for (let at = expression.next(Date.UTC(2026, 0)); at !== undefined && times.length < 20; at = expression.next(at)) {
    times.push(new Date(at).toISOString())
  }
  return times
}

describe('plainCron', () => {
  it('means the same, without names and without a seventh day', () => {
    fc.assert(
      fc.property(expressions, (text) => {
        const plain = plainCron(text)
        expect(plain).not.toMatch(/[a-z?]/i)
        // As a step it may stay.
        expect(plain.split(' ').at(-1)).not.toMatch(/(?<!\/)7/)
        expect(timesOf(plain)).toEqual(timesOf(text))
      }),
      { numRuns: 300 },
    )
  })
})
