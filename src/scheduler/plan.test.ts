import { describe, expect, it } from 'vitest'

import type { Schedule, ScheduleState } from '../contract/index.ts'
import type { Firing, PlanOptions } from './plan.ts'
import { Plan } from './plan.ts'

const T0 = Date.parse('2026-11-22T12:00:00Z')
const GRACE_MS = 20_000

function every(ms: number, change: Partial<Schedule> = {}): Schedule {
  return { scheduleId: `every ${ms}`, taskName: 't', labels: {}, args: [], kwargs: {}, intervalMs: ms, ...change }
}

function cron(expression: string, change: Partial<Schedule> = {}): Schedule {
  return { scheduleId: expression, taskName: 't', labels: {}, args: [], kwargs: {}, cron: expression, ...change }
}

function setup(
  schedules: readonly Schedule[],
  options: Partial<PlanOptions> & { readonly states?: ReadonlyMap<string, ScheduleState> } = {},
): { plan: Plan; fire: (ms: number) => string[]; told: string[] } {
  const told: string[] = []
  const { states = new Map(), ...more } = options
  const plan = new Plan({
    graceMs: GRACE_MS,
    anchor: 'firing',
    onSkipped: ({ scheduleId }, from) => told.push(`skipped ${scheduleId} from ${from - T0}`),
    onSpent: ({ scheduleId }, firedAt) =>
      told.push(`spent ${scheduleId} ${firedAt === undefined ? '-' : firedAt - T0}`),
    ...more,
  })
  plan.update(schedules, states, T0)
  /** Fires all that is due then, as the loop of a scheduler does. */
  const fire = (ms: number): string[] => {
    const fired: string[] = []
    for (let due = plan.takeDue(T0 + ms); due.length > 0; due = plan.takeDue(T0 + ms)) {
      for (const firing of due) {
        fired.push(`${firing.schedule.scheduleId} ${firing.at - T0}`)
        plan.fired(firing, { taskId: 'x' }, T0 + ms)
      }
    }
    return fired
  }
  return { plan, fire, told }
}

describe('Plan', () => {
  it('fires in order, each once, and says when to wake', () => {
    const { plan, fire } = setup([every(1_000), every(400), cron('* * * * *')])

    expect(plan.nextAt).toBe(T0)
    expect(fire(0).sort()).toEqual(['* * * * * 0', 'every 1000 0', 'every 400 0'])
    expect(plan.nextAt).toBe(T0 + 400)
    expect(fire(399)).toEqual([])
    expect(fire(1_000).sort()).toEqual(['every 1000 1000', 'every 400 400', 'every 400 800'])
    expect(fire(1_200)).toEqual(['every 400 1200'])
  })

  it('holds one firing of a schedule at a time', () => {
    const { plan } = setup([every(100)])
    const [first] = plan.takeDue(T0) as [Firing]

    expect(plan.takeDue(T0 + 500)).toEqual([])
    plan.fired(first, {}, T0 + 500)

    expect(plan.takeDue(T0 + 500).map(({ at }) => at - T0)).toEqual([100])
  })

  it('gives a firing again that was postponed, at its time, and not as missed', () => {
    const { plan, told } = setup([cron('* * * * *')])
    const [first] = plan.takeDue(T0) as [Firing]

    plan.postponed(first, T0 + 300_000)

    expect(plan.takeDue(T0 + 299_999)).toEqual([])
    expect(plan.takeDue(T0 + 300_000).map(({ at }) => at - T0)).toEqual([0])
    expect(told).toEqual([])
  })

  it('gives at most so many at once', () => {
    const { plan } = setup(Array.from({ length: 10 }, (_, n) => every(1_000, { scheduleId: `${n}` })))

    expect(plan.takeDue(T0, 4)).toHaveLength(4)
    expect(plan.takeDue(T0, 4)).toHaveLength(4)
    expect(plan.takeDue(T0, 4)).toHaveLength(2)
  })

  it('goes on from what another one has fired', () => {
    const states = new Map([['* * * * *', { firedAt: T0 - 60_000, taskId: 'old', isPaused: false }]])
    const { plan } = setup([cron('* * * * *')], { states })

    const [firing] = plan.takeDue(T0 + 15_000)

    expect(firing).toMatchObject({ at: T0, isCatchUp: false, lastTaskId: 'old' })
  })

  it('fires what fell due while nobody led, within the grace', () => {
    const states = new Map([['every 1000', { firedAt: T0 - 5_000, isPaused: false }]])
    const { fire } = setup([every(1_000)], { states })

    expect(fire(0)).toEqual([-4_000, -3_000, -2_000, -1_000, 0].map((ms) => `every 1000 ${ms}`))
  })

  it('skips what was missed, and tells of it once', () => {
    const { fire, told } = setup([every(60_000)])
    fire(0)

    expect(fire(605_000)).toEqual(['every 60000 600000'])
    expect(told).toEqual(['skipped every 60000 from 60000'])
    expect(fire(660_000)).toEqual(['every 60000 660000'])
  })

  it.each([
    [{ catchUp: 'one' as const }, [540_000, 600_000]],
    [{ catchUp: 'all' as const }, [60, 120, 180, 240, 300, 360, 420, 480, 540, 600].map((s) => s * 1_000)],
    [{ catchUp: 'all' as const, catchUpLimit: 2 }, [480_000, 540_000, 600_000]],
  ])('makes up for what was missed: %j', (rules, expected) => {
    const { fire } = setup([every(60_000, rules)])
    fire(0)

    expect(fire(605_000)).toEqual(expected.map((ms) => `every 60000 ${ms}`))
    expect(fire(660_000)).toEqual(['every 60000 660000'])
  })

  it('fires once at a point in time, and tells when that is done', () => {
    const once = { ...every(1, { scheduleId: 'once', time: T0 + 100 }), intervalMs: undefined }
    const { fire, told, plan } = setup([once])

    expect(fire(99)).toEqual([])
    expect(fire(100)).toEqual(['once 100'])
    expect(told).toEqual(['spent once 100'])
    expect(plan.nextAt).toBeUndefined()
    expect(fire(1_000_000)).toEqual([])
  })

  it('plans one anew whose trigger has changed, and others not', () => {
    const { plan, fire } = setup([every(1_000), every(5_000)])
    fire(0)

    const gone = plan.update([every(2_000, { scheduleId: 'every 1000' }), every(5_000)], new Map(), T0 + 500)

    expect(gone).toEqual([])
    expect(fire(500)).toEqual(['every 1000 500'])
    expect(fire(2_500)).toEqual(['every 1000 2500'])
    expect(fire(5_000).sort()).toEqual(['every 1000 4500', 'every 5000 5000'])
  })

  it('sends what a schedule says now, though its trigger is the same', () => {
    const { plan } = setup([every(1_000, { args: [1] })])
    plan.update([every(1_000, { args: [2] })], new Map(), T0)

    expect(plan.takeDue(T0).map(({ schedule: { args } }) => args)).toEqual([[2]])
  })

  it('forgets what is gone, also while it fires', () => {
    const { plan, fire } = setup([every(1_000), every(5_000)])
    const all = plan.takeDue(T0)

    expect(plan.update([every(5_000)], new Map(), T0)).toEqual(['every 1000'])
    for (const firing of all) plan.fired(firing, {}, T0)

    expect(plan.size).toBe(1)
    expect(fire(5_000)).toEqual(['every 5000 5000'])
  })

  it('does not fire what is paused, nor makes up for it', () => {
    const paused = new Map([['* * * * *', { isPaused: true }]])
    const { plan, fire, told } = setup([cron('* * * * *', { catchUp: 'all' })])
    fire(0)
    plan.update([cron('* * * * *', { catchUp: 'all' })], paused, T0 + 1_000)
    expect(fire(200_000)).toEqual([])

    plan.update([cron('* * * * *', { catchUp: 'all' })], new Map(), T0 + 200_000)

    expect(fire(200_000)).toEqual([])
    expect(fire(240_000)).toEqual(['* * * * * 240000'])
    expect(told).toEqual([])
  })

  it('fires a single point in time after a pause', () => {
    const once = { ...every(1, { scheduleId: 'once', time: T0 + 100 }), intervalMs: undefined }
    const { plan, fire } = setup([once], { states: new Map([['once', { isPaused: true }]]) })
    expect(fire(500)).toEqual([])

    plan.update([once], new Map(), T0 + 500)

    expect(fire(500)).toEqual(['once 100'])
  })

  it('lets intervals begin after their first time if asked to', () => {
    const { fire } = setup([every(1_000), cron('* * * * *')], { skipsFirst: true })

    expect(fire(0)).toEqual(['* * * * * 0'])
    expect(fire(1_000)).toEqual(['every 1000 1000'])
  })

  it('puts firings off by their jitter, in their order', () => {
    const { plan } = setup([every(1_000, { jitterMs: 5_000 })])
    const sentAt: number[] = []
    for (let now = T0; sentAt.length < 20; now = plan.nextAt ?? Infinity) {
      for (const firing of plan.takeDue(now)) {
        expect(now - firing.at).toBeLessThanOrEqual(GRACE_MS)
        sentAt.push(firing.at)
        plan.fired(firing, {}, now)
      }
    }

    expect(sentAt).toEqual(Array.from({ length: 20 }, (_, n) => T0 + n * 1_000))
  })

  it('takes no firing for missed that its jitter puts off beyond the grace', () => {
    const { plan, told } = setup([cron('0 * * * *', { jitterMs: 600_000 })])
    let fired = 0
    for (let now = T0; now < T0 + 24 * 3_600_000; now += 1_000) {
      for (const firing of plan.takeDue(now)) {
        fired += 1
        plan.fired(firing, {}, now)
      }
    }

    expect(fired).toBe(24)
    expect(told).toEqual([])
  })

  it('makes up for a first firing that was missed, since the schedule was seen', () => {
    const daily = cron('0 3 * * *', { catchUp: 'one' })
    const seen: [string, number][] = []
    setup([daily], { onSeen: ({ scheduleId }, seenAt) => void seen.push([scheduleId, seenAt]) })
    expect(seen).toEqual([['0 3 * * *', T0]])

    const states = new Map([['0 3 * * *', { seenAt: T0 - 12 * 3_600_000, isPaused: false }]])
    const { plan } = setup([daily], { states, onSeen: () => expect.fail('it was seen before') })

    expect(plan.takeDue(T0)).toMatchObject([{ at: T0 - 9 * 3_600_000, isCatchUp: true }])
  })

  describe('when the clock is set', () => {
    const HOUR_MS = 3_600_000

    it('forward, takes what lies between for missed', () => {
      const { plan, fire, told } = setup([cron('*/5 * * * *'), every(60_000, { catchUp: 'one' })])
      fire(0)
      plan.clockSet(HOUR_MS, T0 + HOUR_MS + 30_000)

      expect(fire(HOUR_MS + 30_000).sort()).toEqual(['every 60000 3600000'])
      expect(fire(HOUR_MS + 300_000)).toContain('*/5 * * * * 3900000')
      expect(told).toContain('skipped */5 * * * * from 300000')
      expect(told).toContain('skipped every 60000 from 60000')
    })

    it('back, lets intervals go on, and fires no time of cron twice', () => {
      const { plan, fire } = setup([cron('*/5 * * * *'), every(60_000)])
      fire(0)
      plan.clockSet(-HOUR_MS, T0 + 30_000 - HOUR_MS)

      // The transport would take it for one that was sent.
      const [again] = plan.takeDue(T0 + 60_000 - HOUR_MS) as [Firing]
      expect(again).toMatchObject({ at: T0 + 60_000 - HOUR_MS, isRepeat: true })
      plan.fired(again, {}, T0 + 60_000 - HOUR_MS)
      const later = fire(-1)
      expect(later.filter((text) => text.startsWith('*/5'))).toEqual([])
      expect(fire(300_000)).toContain('*/5 * * * * 300000')
    })
  })
})
