import { describe, expect, it } from 'vitest'

import { killAfterMs } from './deadlines.ts'
import { classifyEnd, NO_FAILURES, planRestart, signalMeaning } from './restart-policy.ts'

const most = (): number => 0.999_999

describe('planRestart', () => {
  it('doubles the delay from 100 ms to 10 s', () => {
    const delays: number[] = []
    let state = NO_FAILURES
    for (let i = 0; i < 9; i += 1) {
      const plan = planRestart(state, 'died', 1_000, most)
      delays.push(plan.delayMs)
      state = plan.state
    }

    expect(delays).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000])
  })

  it('begins again after a healthy time', () => {
    expect(planRestart({ failures: 8 }, 'died', 2_000, most)).toEqual({ delayMs: 100, state: { failures: 1 } })
    expect(planRestart({ failures: 8 }, 'unusable', 1_999, most).state).toEqual({ failures: 9 })
  })

  it.each(['stopped', 'recycled'] as const)('replaces a child that %s at once', (end) => {
    expect(planRestart({ failures: 3 }, end, 10, most)).toEqual({ delayMs: 0, state: NO_FAILURES })
  })
})

describe('classifyEnd', () => {
  const nothing = { ended: undefined, failedWith: undefined, wasStopped: false, code: 0 }

  it.each([
    ['recycled', { ended: 'max-tasks' }],
    ['recycled', { ended: 'max-tasks', code: null, wasStopped: true }],
    ['stopped', { ended: 'stopped' }],
    ['stopped', { wasStopped: true }],
    ['died', { wasStopped: true, code: null }],
    ['died', {}],
    ['died', { code: 2 }],
    ['died', { failedWith: 1, code: 1 }],
    ['unusable', { failedWith: 2, code: 2 }],
  ] as const)('says %s of %j', (end, facts) => {
    expect(classifyEnd({ ...nothing, ...facts })).toBe(end)
  })
})

describe('signalMeaning', () => {
  it.each([
    [3, ['finish', 'abort', 'kill', 'kill']],
    [1, ['kill', 'kill', 'kill', 'kill']],
    [4, ['finish', 'abort', 'abort', 'kill']],
  ])('with a hard-kill count of %i', (hardkillCount, meanings) => {
    expect([1, 2, 3, 4].map((count) => signalMeaning(count, hardkillCount))).toEqual(meanings)
  })
})

describe('killAfterMs', () => {
  it('is the sum of the parts, and 5 s', () => {
    const deadlines = { waitTasksMs: 30_000, abortGraceMs: 1_000, shutdownMs: 2_000, startMs: 9 }

    expect([killAfterMs(deadlines, 'finish'), killAfterMs(deadlines, 'abort')]).toEqual([38_000, 8_000])
  })
})
