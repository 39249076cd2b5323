import { describe, expect, it } from 'vitest'

import { ScheduleError } from '../../contract/index.ts'
import type { Schedule, Serializer } from '../../contract/index.ts'
import { ScheduleCodec } from './schedule-codec.ts'

const SCHEDULE: Schedule = { scheduleId: 's', taskName: 't', labels: {}, args: [1], kwargs: {}, intervalMs: 90_000 }
const JSON_TEXT =
  '{"task_name":"t","labels":{},"args":[1],"kwargs":{},"task_id":null,"schedule_id":"s","cron":null,' +
  '"cron_offset":null,"time":null,"interval":90}'

/** A format of its own: JSON in Base64. */
const OWN: Serializer = {
  name: 'own',
  dumpb: (value) => Buffer.from(JSON.stringify(value)).toString('base64'),
  loadb: (body) => JSON.parse(Buffer.from(String(body), 'base64').toString()) as unknown,
}

// `pickle.dumps(…)` of Python 3.11, protocol 4: {"task_name": "t", …, "interval": 90} and `os.system("true")`.
const PICKLE = Buffer.from(
  'gASVgAAAAAAAAAB9lCiMCXRhc2tfbmFtZZSMAXSUjAZsYWJlbHOUfZSMBGFyZ3OUXZRLAWGMBmt3YXJnc5R9lIwHdGFza19pZJROjAtzY2hlZHVsZV9pZJSMAXOUjARjcm9ulE6MC2Nyb25fb2Zmc2V0lE6MBHRpbWWUTowIaW50ZXJ2YWyUS1p1Lg==',
  'base64',
)
const CODE = Buffer.from('gASVHwAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu', 'base64')

describe('ScheduleCodec', () => {
  it('writes JSON when nothing is said', () => {
    expect(new ScheduleCodec().encode(SCHEDULE)).toBe(JSON_TEXT)
  })

  it('writes pickles', () => {
    const body = new ScheduleCodec('pickle').encode(SCHEDULE)

    expect(body.slice(0, 2)).toEqual(Buffer.from([0x80, 0x02]))
  })

  it.each(['json', 'pickle', OWN] as const)('reads JSON and pickles, whatever it writes: %j', (format) => {
    const codec = new ScheduleCodec(format)

    expect(codec.decode(Buffer.from(JSON_TEXT), 's')).toEqual(SCHEDULE)
    expect(codec.decode(PICKLE, 's')).toEqual(SCHEDULE)
  })

  it('reads what a serializer of the user wrote', () => {
    const codec = new ScheduleCodec(OWN)

    expect(codec.decode(Buffer.from(codec.encode(SCHEDULE)), 's')).toEqual(SCHEDULE)
  })

  it('reads integers of any size', () => {
    const text = JSON_TEXT.replace('[1]', '[9007199254740993]')

    expect(new ScheduleCodec().decode(Buffer.from(text), 's').args).toEqual([9_007_199_254_740_993n])
  })

  it('gives a record without an id that of its key', () => {
    const text = JSON_TEXT.replace('"schedule_id":"s",', '')

    expect(new ScheduleCodec().decode(Buffer.from(text), 'key')).toEqual({ ...SCHEDULE, scheduleId: 'key' })
  })

  it.each([
    ['nothing', Buffer.from('')],
    ['text', Buffer.from('nonsense')],
    ['a list', Buffer.from('[]')],
    ['a pickle that would run code', CODE],
    ['half a pickle', PICKLE.subarray(0, 40)],
  ])('refuses %s', (_, body) => {
    expect(() => new ScheduleCodec().decode(body, 's')).toThrow()
    expect(() => new ScheduleCodec(OWN).decode(body, 's')).toThrow()
  })

  it('says which schedule a serializer cannot write', () => {
    const broken: Serializer = {
      ...OWN,
      dumpb: () => {
        throw new Error('no ink')
      },
    }
    const encode = (): unknown => new ScheduleCodec(broken).encode(SCHEDULE)

    expect(encode).toThrow(ScheduleError)
    expect(encode).toThrow('Schedule "s" cannot be written as own: no ink')
  })

  it.each(['yaml', '', null, {}])('refuses %j as a format', (format) => {
    expect(() => new ScheduleCodec(format as 'json')).toThrow("Use 'json', 'pickle' or a serializer.")
  })
})
