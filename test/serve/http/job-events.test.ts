import { describe, expect, it } from 'vitest'

import { until } from '../../../src/testing/until.ts'
import { held, serveJobs, SOON, spellingPipeline } from './job-kit.ts'
import type { JobJson, JobsKit } from './job-kit.ts'
import { eventsOf } from './kit.ts'

const letter = (shout: string) => ({ status: 'success', error: null, meta: {}, shout, length: 1 })

interface Followed {
  readonly response: Response
  /** What came so far. */
  readonly events: () => ReturnType<typeof eventsOf>
  /** Resolves when the server has ended the stream. */
  readonly ended: Promise<void>
  readonly leave: () => void
}

/** Reads the events of a job while they come. */
async function follow({ send }: JobsKit, id: string): Promise<Followed> {
  const gone = new AbortController()
  const response = await send('GET', `/jobs/${id}/events`, { signal: gone.signal })
  let text = ''
  const decoder = new TextDecoder()
  const read = async (): Promise<void> => {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true })
    }
  }
  const ended = read()
  // Whoever leaves ends its own reading by an error.
  ended.catch(() => undefined)
  const complete = (): string => text.slice(0, text.lastIndexOf('\n\n') + 2)
  return { response, events: () => eventsOf(complete()), ended, leave: () => gone.abort() }
}

function statesOf({ events }: Followed): readonly string[] {
  return events()
    .filter(({ event }) => event === 'state')
    .map(({ data }) => (data as JobJson).state)
}

describe('the events of a job', () => {
  it('are its state at once, progress and outputs as they come, and its end', async () => {
    const { pipeline, gates } = spellingPipeline(2)
    const kit = await serveJobs({ service: { pipeline } })
    const id = await kit.submit({ message: { text: 'ab' }, meta: { n: 1 } })
    await kit.inState(id, 'running')
    const followed = await follow(kit, id)
    await until(() => followed.events().length === 1, SOON)

    gates[0]?.resolve()
    await until(() => followed.events().length === 3, SOON)
    expect((await kit.get(`/jobs/${id}`)).body).toMatchObject({ state: 'running' })
    gates[1]?.resolve()
    await followed.ended

    expect(followed.response.status).toBe(200)
    expect(followed.response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(followed.events()).toMatchObject([
      { event: 'state', data: { job_id: id, state: 'running', meta: { n: 1 } } },
      { event: 'progress', data: { spelt: 1 } },
      { event: 'output', data: letter('A') },
      { event: 'progress', data: { spelt: 2 } },
      { event: 'output', data: letter('B') },
      { event: 'state', data: { state: 'succeeded', result: { ...letter('AB'), length: 2 }, progress: { spelt: 2 } } },
    ])
    expect((await kit.get(`/jobs/${id}`)).body).toEqual(followed.events().at(-1)?.data)
  })

  it('tell each change of its state', async () => {
    const kit = await serveJobs({ settings: { batchConfig: { maxBatchSize: 1 } } })
    const release = held(kit)
    for (const text of ['a', 'b']) await kit.inState(await kit.submit({ message: { text } }), 'running')
    const followed = await follow(kit, await kit.submit({ message: { text: 'c' } }))
    await until(() => statesOf(followed).length === 1, SOON)

    release()
    await followed.ended

    expect(statesOf(followed)[0]).toBe('queued')
    expect(statesOf(followed).at(-1)).toBe('succeeded')
    expect(statesOf(followed)).toEqual([...new Set(statesOf(followed))])
  })

  it('are the last state alone when it has ended', async () => {
    const kit = await serveJobs()
    const id = await kit.submit({ message: { text: 'throw' } })
    const job = await kit.inState(id, 'failed')

    const followed = await follow(kit, id)
    await followed.ended

    expect(followed.events()).toEqual([{ event: 'state', data: job }])
  })

  it('end with its cancellation', async () => {
    const kit = await serveJobs()
    held(kit)
    const id = await kit.submit({ message: { text: 'a' } })
    await kit.inState(id, 'running')
    const followed = await follow(kit, id)
    await until(() => statesOf(followed).length === 1, SOON)

    await kit.send('DELETE', `/jobs/${id}`)
    await followed.ended

    expect(statesOf(followed)).toEqual(['running', 'cancelled'])
  })

  it('are the same for all who follow it, also when one of them leaves', async () => {
    const { pipeline, gates } = spellingPipeline(1)
    const kit = await serveJobs({ service: { pipeline } })
    const id = await kit.submit({ message: { text: 'a' } })
    await kit.inState(id, 'running')
    const [one, two, leaves] = await Promise.all([follow(kit, id), follow(kit, id), follow(kit, id)])
    await until(() => [one, two, leaves].every(({ events }) => events().length === 1), SOON)

    leaves.leave()
    gates[0]?.resolve()
    await Promise.all([one.ended, two.ended])

    expect(one.events()).toEqual(two.events())
    expect(one.events().map(({ event }) => event)).toEqual(['state', 'progress', 'output', 'state'])
  })

  it('end when the service closes, before the job does', async () => {
    const kit = await serveJobs()
    held(kit)
    const id = await kit.submit({ message: { text: 'a' } })
    await kit.inState(id, 'running')
    const followed = await follow(kit, id)
    await until(() => statesOf(followed).length === 1, SOON)

    const closed = kit.server.close({ timeout: 0 })
    await followed.ended.catch(() => undefined)
    await closed

    expect(statesOf(followed)).toEqual(['running'])
  })
})
