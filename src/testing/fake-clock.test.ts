import { describe, expect, it } from 'vitest'

import { FakeClock } from './fake-clock.ts'

describe('FakeClock', () => {
  it('stands still until it is told to go on', async () => {
    const clock = new FakeClock(new Date('2031-05-01T00:00:00Z'))

    expect(clock.now()).toBe(Date.parse('2031-05-01T00:00:00Z'))
    await clock.advance('1h30m')
    expect(clock.now()).toBe(Date.parse('2031-05-01T01:30:00Z'))
  })

  it('makes calls when their time comes, and shows that time meanwhile', async () => {
    const clock = new FakeClock(0)
    const calls: [name: string, at: number][] = []
    clock.schedule(20, () => calls.push(['second', clock.now()]))
    clock.schedule(10, () => calls.push(['first', clock.now()]))
    clock.schedule(20, () => calls.push(['third', clock.now()]))

    await clock.advance(19)
    expect(calls).toEqual([['first', 10]])
    await clock.advance(1)
    expect(calls).toEqual([
      ['first', 10],
      ['second', 20],
      ['third', 20],
    ])
  })

  it('makes calls that calls schedule, as far as they fall due', async () => {
    const clock = new FakeClock(0)
    const at: number[] = []
    const again = (): void => {
      at.push(clock.now())
      clock.schedule(10, again)
    }
    clock.schedule(10, again)

    await clock.advance(35)

    expect(at).toEqual([10, 20, 30])
    expect(clock.nextAt).toBe(40)
  })

  it('forgets what was taken back', async () => {
    const clock = new FakeClock(0)
    let calls = 0
    const stop = clock.schedule(10, () => (calls += 1))
    stop()

    expect(clock.nextAt).toBeUndefined()
    await clock.advance(20)
    expect(calls).toBe(0)
  })

  it('refuses a date that is none', () => {
    expect(() => new FakeClock(new Date('nonsense'))).toThrow('The start of a fake clock is Invalid Date.')
  })
})
