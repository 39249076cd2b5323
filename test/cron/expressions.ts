import fc from 'fast-check'

/** What a field may hold: `*`, numbers, ranges and steps of both, and lists of these. */
function field(min: number, max: number): fc.Arbitrary<string> {
  const value = fc.integer({ min, max })
  const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`)
  const step = fc.integer({ min: 1, max: max - min })
  const part = fc.oneof(
    value.map(String),
    range,
    fc.tuple(range, step).map(([low, by]) => `${low}/${by}`),
    step.map((by) => `*/${by}`),
  )
  const list = fc.array(part, { minLength: 2, maxLength: 4 }).map((parts) => parts.join(','))
  return fc.oneof({ weight: 3, arbitrary: value.map(String) }, { weight: 3, arbitrary: part }, list)
}

const star = fc.constant('*')
const minutes = fc.oneof(field(0, 59), fc.constantFrom('0', '30', '*/15', '*'))
/** Mostly at night, when clocks are changed. */
const hours = fc.oneof(field(0, 23), field(0, 3), star, fc.constantFrom('0', '1', '2', '3', '23', '1-3', '*/2', '2,14'))

/** A third with fields of days that are both restricted. */
const days = fc.oneof(
  fc.constant(['*', '*', '*'] as const),
  fc.tuple(field(1, 31), fc.oneof(star, field(1, 12)), star),
  fc.tuple(star, fc.oneof(star, field(1, 12)), field(0, 7)),
  fc.tuple(field(1, 31), fc.oneof(star, field(1, 12)), field(0, 7)),
)

const fiveFields: fc.Arbitrary<string> = fc
  .tuple(minutes, hours, days)
  .map(([minute, hour, dates]) => [minute, hour, ...dates].join(' '))

const sixFields: fc.Arbitrary<string> = fc
  .tuple(fc.oneof(field(0, 59), fc.constantFrom('0', '*')), fiveFields)
  .map((parts) => parts.join(' '))

export const expressions: fc.Arbitrary<string> = fc.oneof({ weight: 2, arbitrary: fiveFields }, sixFields)
