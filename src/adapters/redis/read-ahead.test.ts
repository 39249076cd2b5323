import { describe, expect, it, onTestFinished } from 'vitest'

import { until } from '../../testing/until.ts'
import { ReadAhead } from './read-ahead.ts'

function setup(answers: readonly (readonly string[] | Error)[]): {
  ahead: ReadAhead<string>
  claims: number[]
  events: string[]
} {
  const claims: number[] = []
  const events: string[] = []
  const left = [...answers]
  const ahead = new ReadAhead<string>({
    claim: (_queues, max) => {
      claims.push(max)
      const answer = left.shift() ?? []
      if (answer instanceof Error) return Promise.reject(answer)
      return Promise.resolve({ deliveries: answer, waitMs: 0 })
    },
    onUnused: () => events.push('unused'),
    onFailed: () => events.push('failed'),
  })
  onTestFinished(() => ahead.close())
  return { ahead, claims, events }
}

const soon = { timeoutMs: 2_000 }

// What counts as fast is a matter of milliseconds, which a busy machine may not have.
describe('ReadAhead', { retry: 5 }, () => {
  it('claims for a worker that comes back at once', async () => {
    const { ahead, claims } = setup([['a', 'b']])
    ahead.left(['q'], 2)
    expect(claims).toEqual([])
    expect(ahead.back()).toBeUndefined()

    ahead.left(['q'], 2)

    expect(claims).toEqual([2])
    expect(await ahead.back()).toEqual(['a', 'b'])
    expect(ahead.back()).toBeUndefined()
  })

  it('claims nothing for a worker that was away for longer', async () => {
    const { ahead, claims } = setup([['a']])
    ahead.left(['q'], 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
    void ahead.back()

    ahead.left(['q'], 1)

    expect(claims).toEqual([])
  })

  it('tells of what nobody came back for', async () => {
    const { ahead, events } = setup([['a']])
    ahead.left(['q'], 1)
    void ahead.back()
    ahead.left(['q'], 1)

    await until(() => events.length > 0, soon)

    expect(events).toEqual(['unused'])
    expect(await ahead.back()).toEqual(['a'])
  })

  it('tells of nothing that was fetched, and not that there was nothing', async () => {
    const { ahead, events } = setup([['a'], []])
    ahead.left(['q'], 1)
    void ahead.back()
    ahead.left(['q'], 1)
    expect(await ahead.back()).toEqual(['a'])
    ahead.left(['q'], 1)
    await new Promise((resolve) => setTimeout(resolve, 80))

    expect(events).toEqual([])
    expect(ahead.back()).toBeUndefined()
  })

  it('tells of a claim that failed, and gives nothing', async () => {
    const { ahead, events } = setup([new Error('gone')])
    ahead.left(['q'], 1)
    void ahead.back()

    ahead.left(['q'], 1)

    expect(await ahead.back()).toEqual([])
    expect(events).toEqual(['failed'])
  })
})
