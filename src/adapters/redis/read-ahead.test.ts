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

function take(ahead: ReadAhead<string>): Promise<readonly string[]> | undefined {
  ahead.back()
  return ahead.take()
}

const soon = { timeoutMs: 2_000 }

// What counts as fast is a matter of milliseconds, which a busy machine may not have.
describe('ReadAhead', { retry: 5 }, () => {
  it('claims for a worker that comes back at once', async () => {
    const { ahead, claims } = setup([['a', 'b']])
    ahead.left(['q'], { max: 2, given: 2, kept: 0 })
    expect(claims).toEqual([])
    expect(take(ahead)).toBeUndefined()

    ahead.left(['q'], { max: 2, given: 2, kept: 0 })

    // At most three times as many as it asks for.
    expect(claims).toEqual([6])
    expect(await take(ahead)).toEqual(['a', 'b'])
    expect(take(ahead)).toBeUndefined()
  })

  it('claims nothing for a worker that was away for longer', async () => {
    const { ahead, claims } = setup([['a']])
    ahead.left(['q'], { max: 1, given: 1, kept: 0 })
    await new Promise((resolve) => setTimeout(resolve, 20))
    ahead.back()

    ahead.left(['q'], { max: 1, given: 1, kept: 0 })

    expect(claims).toEqual([])
  })

  it('claims no further messages while many wait, and hands those back that are not fetched', async () => {
    const { ahead, claims, events } = setup([['a']])
    ahead.left(['q'], { max: 2, given: 2, kept: 0 })
    ahead.back()

    ahead.left(['q'], { max: 2, given: 2, kept: 5 })
    await until(() => events.length > 0, soon)

    expect(claims).toEqual([])
    expect(events).toEqual(['unused'])
  })

  it('tells of what nobody came back for', async () => {
    const { ahead, events } = setup([['a']])
    ahead.left(['q'], { max: 1, given: 1, kept: 0 })
    ahead.back()
    ahead.left(['q'], { max: 1, given: 1, kept: 0 })

    await until(() => events.length > 0, soon)

    expect(events).toEqual(['unused'])
    expect(await take(ahead)).toEqual(['a'])
  })

  it('tells of nothing that was fetched, and not that there was nothing', async () => {
    const { ahead, events } = setup([['a'], []])
    ahead.left(['q'], { max: 1, given: 1, kept: 0 })
    ahead.back()
    ahead.left(['q'], { max: 1, given: 1, kept: 0 })
    expect(await take(ahead)).toEqual(['a'])
    ahead.left(['q'], { max: 1, given: 1, kept: 0 })
    await new Promise((resolve) => setTimeout(resolve, 80))

    expect(events).toEqual([])
    expect(take(ahead)).toBeUndefined()
  })

  it('tells of a claim that failed, and gives nothing', async () => {
    const { ahead, events } = setup([new Error('gone')])
    ahead.left(['q'], { max: 1, given: 1, kept: 0 })
    ahead.back()

    ahead.left(['q'], { max: 1, given: 1, kept: 0 })

    expect(await take(ahead)).toEqual([])
    expect(events).toEqual(['failed'])
  })
})
