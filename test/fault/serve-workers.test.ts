import { describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { isAlive, kill } from '../cli/kit.ts'
import type { FaultServer, ServeAnswer } from './serve-project.ts'
import { areGone, ServeProject, SOON } from './serve-project.ts'

const shout = (text: string) => ({ status: 200, body: { status: 'success', shout: text.toUpperCase() } })
const statuses = (answers: readonly ServeAnswer[]): readonly number[] => answers.map(({ status }) => status)
const ownTime = (seconds: number) => ({ headers: { 'x-request-timeout': String(seconds) } })

async function inProgress(server: FaultServer): Promise<number> {
  return await server.metric('kiq_serve_requests_in_progress', 'route="/predict_sync"')
}

describe('a pipeline that hangs', () => {
  it('is ended with the time of its request, while others are answered', async () => {
    const project = new ServeProject({ workers: { min: 2, max: 2 } })
    const server = await project.server()
    const began = performance.now()
    const hanging = server.predict('hang', ownTime(1))
    const { pid } = await project.heard('start', 'hang')

    const health = await server.get('/health/live')
    expect(isAlive(pid)).toBe(true)
    const beside = await Promise.all(['a', 'b', 'c'].map(async (text) => await server.predict(text)))
    const answer = await hanging
    const took = performance.now() - began

    expect(beside).toMatchObject([shout('a'), shout('b'), shout('c')])
    expect(health.status).toBe(200)
    expect(answer).toMatchObject({ status: 504, body: { code: 'KIQ_SERVE_TIMED_OUT' } })
    expect(took).toBeLessThan(4_000)
    await areGone([pid])
    expect(await server.predict('next')).toMatchObject(shout('next'))
    await until(() => server.workers.length === 2, SOON)
    expect(await server.metric('kiq_serve_worker_restarts_total')).toBe(1)
  })

  it('does not hold what waited behind it when another process becomes free', async () => {
    const project = new ServeProject({ workers: { min: 2, max: 2 } })
    const server = await project.server()
    const hanging = server.predict('hang', ownTime(5))
    const gated = server.predict('gate')
    const { pid } = await project.heard('start', 'hang')
    await project.heard('start', 'gate')
    const waiting = ['a', 'b', 'c', 'd'].map(async (text) => await server.predict(text))
    await until(async () => (await inProgress(server)) === 6, SOON)

    project.open('gate')

    expect(await Promise.all([gated, ...waiting])).toMatchObject(['gate', 'a', 'b', 'c', 'd'].map(shout))
    expect(isAlive(pid)).toBe(true)
    expect((await hanging).status).toBe(504)
  })

  it('is ended with the time of batches, and the next request gets a new process', async () => {
    const project = new ServeProject({
      settings: { batchConfig: { maxBatchSize: 3, waitMs: 30_000, timeout: 1 } },
      workers: { min: 1, max: 1 },
    })
    const server = await project.server()
    const began = performance.now()
    const together = ['a', 'hang', 'b'].map(async (text) => await server.predict(text))
    const { pid, texts } = await project.heard('start', 'hang')

    expect((await server.get('/health/live')).status).toBe(200)
    const answers = await Promise.all(together)
    const took = performance.now() - began

    expect(texts.toSorted()).toEqual(['a', 'b', 'hang'])
    expect(statuses(answers)).toEqual([504, 504, 504])
    expect(took).toBeLessThan(4_000)
    const next = await Promise.all(['c', 'd', 'e'].map(async (text) => await server.predict(text)))
    expect(next).toMatchObject([shout('c'), shout('d'), shout('e')])
    expect(isAlive(pid)).toBe(false)
  })

  it('does not keep the service from being ready again', async () => {
    const project = new ServeProject({ workers: { min: 1, max: 1 } })
    const server = await project.server()

    expect((await server.predict('hang', ownTime(0.5))).status).toBe(504)

    await until(async () => (await server.get('/health/ready')).status === 200, SOON)
    expect(await server.predict('next')).toMatchObject(shout('next'))
  })
})

describe('a process that is killed', () => {
  it('in the middle of a batch costs none of its requests', async () => {
    const project = new ServeProject({
      settings: { batchConfig: { maxBatchSize: 4, waitMs: 30_000 } },
      workers: { min: 1, max: 1 },
    })
    const server = await project.server()
    const together = ['gate 1', 'gate 2', 'gate 3', 'gate 4'].map(async (text) => await server.predict(text))
    const { pid, texts } = await project.heard('start', 'gate 1')
    expect(texts).toHaveLength(4)

    kill(pid)
    project.open('gate')

    expect(await Promise.all(together)).toMatchObject(['gate 1', 'gate 2', 'gate 3', 'gate 4'].map(shout))
    expect(project.told('end', 'gate 1').map((one) => one.pid)).not.toContain(pid)
  })

  it('by an input takes nothing along but that input', async () => {
    const project = new ServeProject({
      settings: { batchConfig: { maxBatchSize: 8, waitMs: 30_000 } },
      workers: { min: 2, max: 2 },
    })
    const server = await project.server()
    const good = ['1', '2', '3', '4', '5', '6', '7']

    const [dead, ...answers] = await Promise.all(['die', ...good].map(async (text) => await server.predict(text)))

    expect(answers).toMatchObject(good.map(shout))
    expect(dead).toMatchObject({ status: 503, body: { code: 'KIQ_SERVE_WORKER_DIED' } })
    const sizes = project.told('start', 'die').map(({ texts }) => texts.length)
    expect(sizes.toSorted()).toEqual([1, 1, 2, 4, 8])
    for (const text of good) expect(project.told('end', text)).toHaveLength(1)
    await until(() => server.workers.length === 2, SOON)
  }, 60_000)

  it('before anything is asked is replaced', async () => {
    const project = new ServeProject({ workers: { min: 1, max: 1 } })
    const server = await project.server()
    const [pid = 0] = server.workers

    kill(pid)
    await areGone([pid])

    expect(await server.predict('next')).toMatchObject(shout('next'))
  })
})

describe('a client that goes away', () => {
  it('while its request waits has it never run', async () => {
    const project = new ServeProject({ workers: { min: 1, max: 1 } })
    const server = await project.server()
    const first = server.predict('gate first')
    first.catch(() => undefined)
    await project.heard('start', 'gate first')
    const gone = new AbortController()
    const second = server.predict('second', { signal: gone.signal })
    second.catch(() => undefined)
    await until(async () => (await inProgress(server)) === 2, SOON)

    gone.abort()
    await expect(second).rejects.toThrow()
    await until(async () => (await inProgress(server)) === 1, SOON)
    project.open('gate')

    expect(await first).toMatchObject(shout('gate first'))
    expect(await server.predict('third')).toMatchObject(shout('third'))
    expect(project.told('start', 'second')).toEqual([])
  })

  it('while its request runs has the pipeline told, whose process stays', async () => {
    const project = new ServeProject({ workers: { min: 1, max: 1 } })
    const server = await project.server()
    const gone = new AbortController()
    const left = server.predict('gate left', { signal: gone.signal })
    left.catch(() => undefined)
    const { pid } = await project.heard('start', 'gate left')

    gone.abort()

    expect(await project.heard('abort', 'gate left')).toMatchObject({ pid })
    expect(await server.predict('next')).toMatchObject(shout('next'))
    expect(await project.heard('end', 'next')).toMatchObject({ pid })
  })

  it('while its request hangs has the process ended', async () => {
    const project = new ServeProject({ workers: { min: 1, max: 1 } })
    const server = await project.server()
    const gone = new AbortController()
    const left = server.predict('hang', { signal: gone.signal })
    left.catch(() => undefined)
    const { pid } = await project.heard('start', 'hang')

    gone.abort()

    await areGone([pid])
    expect(await server.predict('next')).toMatchObject(shout('next'))
  })

  it('leaves its neighbours of the batch what they asked for', async () => {
    const project = new ServeProject({
      settings: { batchConfig: { maxBatchSize: 2, waitMs: 30_000 } },
      workers: { min: 1, max: 1 },
    })
    const server = await project.server()
    const gone = new AbortController()
    const left = server.predict('gate left', { signal: gone.signal })
    left.catch(() => undefined)
    const stays = server.predict('stays')
    await project.heard('start', 'stays')

    gone.abort()
    await expect(left).rejects.toThrow()
    project.open('gate')

    expect(await stays).toMatchObject(shout('stays'))
    expect(project.told('abort', 'stays')).toEqual([])
  })
})

describe('processes that share the requests of a model', () => {
  it('answer each of them, whichever is free', async () => {
    const project = new ServeProject({ workers: { min: 3, max: 3 } })
    const server = await project.server()
    const texts = Array.from({ length: 600 }, (_, n) => `${n}`)
    const held = ['gate 1', 'gate 2'].map(async (text) => await server.predict(text))

    const answers = texts.map(async (text) => await server.predict(text))
    await until(() => project.events.length > 100, SOON)
    project.open('gate')

    expect(await Promise.all([...held, ...answers])).toMatchObject(['gate 1', 'gate 2', ...texts].map(shout))
    // One that changes its process at the moment when it begins may run in both.
    const started = project.events.filter(({ event }) => event === 'start').flatMap((one) => one.texts)
    expect(new Set(started)).toEqual(new Set(['gate 1', 'gate 2', ...texts]))
    expect(started.length).toBeLessThan(texts.length * 1.1)
  }, 60_000)
})
