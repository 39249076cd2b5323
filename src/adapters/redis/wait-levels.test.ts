import { describe, expect, it, onTestFinished } from 'vitest'

import { until } from '../../testing/until.ts'
import { WaitLevels } from './wait-levels.ts'

function setup(look: (taskIds: readonly string[]) => readonly string[]): {
  levels: WaitLevels
  looks: { readonly at: number; readonly taskIds: readonly string[] }[]
} {
  const looks: { at: number; taskIds: readonly string[] }[] = []
  const levels = new WaitLevels((taskIds) => {
    looks.push({ at: performance.now(), taskIds })
    return Promise.resolve(look(taskIds))
  })
  onTestFinished(() => levels.stop())
  return { levels, looks }
}

describe('WaitLevels', () => {
  it('asks at once, then with growing intervals, until there is nothing to ask for', async () => {
    let left = 4
    const { levels, looks } = setup((taskIds) => ((left -= 1) > 0 ? taskIds : []))

    levels.look(['a'])
    await until(() => left === 0, { timeoutMs: 2_000 })

    const gaps = looks.slice(1).map(({ at }, i) => at - (looks[i]?.at ?? 0))
    expect(gaps).toHaveLength(3)
    expect(gaps[0]).toBeGreaterThan(8)
    expect(gaps[1]).toBeGreaterThan(18)
    expect(gaps[2]).toBeGreaterThan(38)
  })

  it('asks for all that are due in one look', async () => {
    const { levels, looks } = setup((taskIds) => (looks.length < 3 ? taskIds : []))

    levels.look(['a'])
    levels.look(['b'])
    await until(() => looks.length === 3, { timeoutMs: 2_000 })

    expect(looks[2]?.taskIds).toEqual(['a', 'b'])
  })

  it('asks for no more than 500 at a time, however many wait', async () => {
    const taskIds = Array.from({ length: 1_200 }, (_, i) => `${i}`)
    const asked = new Map<string, number>()
    const { levels, looks } = setup((some) => {
      for (const taskId of some) asked.set(taskId, (asked.get(taskId) ?? 0) + 1)
      return some.filter((taskId) => (asked.get(taskId) ?? 0) < 2)
    })

    for (let from = 0; from < 1_200; from += 400) levels.look(taskIds.slice(from, from + 400))
    await until(() => asked.size === 1_200 && [...asked.values()].every((count) => count === 2), { timeoutMs: 5_000 })

    expect(Math.max(...looks.map((look) => look.taskIds.length))).toBeLessThanOrEqual(500)
  })

  it('asks no more after the stop', async () => {
    const { levels, looks } = setup((taskIds) => taskIds)
    levels.look(['a'])
    await until(() => looks.length === 2, { timeoutMs: 2_000 })

    levels.stop()
    const before = looks.length
    await new Promise((resolve) => setTimeout(resolve, 100))

    expect(looks.length).toBe(before)
  })
})
