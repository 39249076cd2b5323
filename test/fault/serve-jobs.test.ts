import { describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { isAlive } from '../cli/kit.ts'
import type { FaultServer } from './serve-project.ts'
import { areGone, ServeProject, SOON } from './serve-project.ts'

const JOBS = 500
/** Longest wait for so many jobs. */
const LONG = { timeoutMs: 90_000, everyMs: 50 }

/** Accepted by the servers in turn. Resolves with the ids. */
async function submitMany(servers: readonly FaultServer[], texts: readonly string[]): Promise<readonly string[]> {
  const ids: string[] = []
  const left = texts.entries()
  const submit = async (): Promise<void> => {
    for (const [n, text] of left) ids.push(await (servers[n % servers.length] as FaultServer).submit(text))
  }
  await Promise.all(Array.from({ length: 20 }, submit))
  return ids
}

function messagesOf(project: ServeProject): ReadonlySet<string> {
  return new Set(project.queue('done').map(({ job_id }) => job_id))
}

describe('jobs in a file', () => {
  it('of a server that is killed are all finished by the next one, with their messages', async () => {
    const project = new ServeProject({
      settings: { batchConfig: { maxBatchSize: 16 } },
      workers: { min: 2, max: 2 },
    })
    const first = await project.server()
    const workers = first.workers
    const ids = await submitMany(
      [first],
      Array.from({ length: JOBS }, (_, n) => `gate ${n}`),
    )
    await until(() => project.events.length > 0, SOON)
    expect(project.queue('done')).toEqual([])

    await first.kill()
    await areGone(workers)
    project.open('gate')
    const second = await project.server()
    await until(() => messagesOf(project).size === JOBS, LONG)

    expect(messagesOf(project)).toEqual(new Set(ids))
    expect(project.queue('done').every(({ status }) => status === 'success')).toBe(true)
    for (const id of ids) {
      expect(await second.inState(id, 'succeeded')).toMatchObject({ queue: { state: 'sent' } })
    }
    const attempts = await Promise.all(ids.map(async (id) => (await second.job(id)).attempt))
    expect(attempts.filter((attempt) => attempt === 1).length).toBeGreaterThan(JOBS / 2)
    expect(Math.max(...attempts)).toBe(2)
  }, 180_000)

  it('lose nothing when the server is killed again and again while it works', async () => {
    const project = new ServeProject({ settings: { batchConfig: { maxBatchSize: 4 } }, workers: { min: 1, max: 1 } })
    project.open('gate')
    let server = await project.server()
    const ids = await submitMany(
      [server],
      Array.from({ length: 300 }, (_, n) => `gate ${n}`),
    )

    for (const share of [0.2, 0.4, 0.6]) {
      await until(() => messagesOf(project).size >= ids.length * share, LONG)
      await server.kill()
      server = await project.server()
    }
    await until(() => messagesOf(project).size === ids.length, LONG)

    expect(messagesOf(project)).toEqual(new Set(ids))
    for (const id of ids) await server.inState(id, 'succeeded')
  }, 180_000)

  it('of two servers are executed once each, by both', async () => {
    const project = new ServeProject({ settings: { batchConfig: { maxBatchSize: 4 } } })
    const servers = await Promise.all([project.server(), project.server()])
    const texts = Array.from({ length: 200 }, (_, n) => `gate ${n}`)

    const ids = await submitMany(servers, texts)
    await until(() => new Set(project.events.map(({ pid }) => pid)).size === 2, SOON)
    project.open('gate')
    await until(() => messagesOf(project).size === ids.length, LONG)

    expect(project.queue('done')).toHaveLength(ids.length)
    const executed = project.events.filter(({ event }) => event === 'end').flatMap((one) => one.texts)
    expect(executed.toSorted()).toEqual(texts.toSorted())
    const [one, other] = servers
    for (const id of ids) expect(await one.inState(id, 'succeeded')).toEqual(await other.job(id))
  }, 120_000)

  it('are one for requests with the same key to two servers at once', async () => {
    const project = new ServeProject()
    const servers = await Promise.all([project.server(), project.server()])
    const init = { headers: { 'idempotency-key': 'k' } }

    const body = { message: { text: 'once' }, success_queue: 'done' }
    const answers = await Promise.all(
      Array.from(
        { length: 20 },
        async (_, n) => await (servers[n % 2] as FaultServer).post('/predict_async', body, init),
      ),
    )

    const ids = new Set(answers.map((answer) => (answer.body as { readonly job_id: string }).job_id))
    expect(answers.filter(({ status }) => status !== 200 && status !== 202)).toEqual([])
    expect(ids.size).toBe(1)
    for (const id of ids) await servers[0].inState(id, 'succeeded')
    expect(project.told('start', 'once')).toHaveLength(1)
    expect(project.queue('done')).toHaveLength(1)
  }, 60_000)

  it('that run elsewhere are cancelled from any server', async () => {
    const project = new ServeProject()
    const [one, other] = await Promise.all([project.server(), project.server()])
    const id = await one.submit('gate never')
    const { pid } = await project.heard('start', 'gate never')
    const elsewhere = pid === one.run.pid ? other : one

    const response = await fetch(`${elsewhere.url}/jobs/${id}`, { method: 'DELETE' })

    expect(response.status).toBe(202)
    await elsewhere.inState(id, 'cancelled')
    await project.heard('abort', 'gate never')
    expect(project.queue('done')).toEqual([])
  }, 60_000)
})

describe('a job whose input kills its process', () => {
  it('fails, with its message, while its neighbours succeed', async () => {
    const project = new ServeProject({ settings: { batchConfig: { maxBatchSize: 4 } }, workers: { min: 1, max: 1 } })
    const server = await project.server()
    const dead = await server.submit('die', { failure_queue: 'failed' })
    const others = await Promise.all(['a', 'b', 'c'].map(async (text) => await server.submit(text)))

    expect(await server.inState(dead, 'failed')).toMatchObject({
      error: 'The process that ran the model ended before it was done.',
      queue: { name: 'failed', state: 'sent' },
    })
    for (const id of others) await server.inState(id, 'succeeded')
    expect(project.queue('failed')).toMatchObject([{ job_id: dead, status: 'error' }])
  }, 60_000)

  it('and with it the server is given up after some, and takes nothing along', async () => {
    const project = new ServeProject({ settings: { batchConfig: { maxBatchSize: 1 } } })
    const first = await project.server('without-jobs.mjs')
    const dead = await first.submit('die', { failure_queue: 'failed' })
    const beside = await first.submit('beside')
    await first.kill()

    let run = project.begin()
    const isGivenUp = (): boolean => project.queue('failed').length > 0
    for (let deaths = 0; deaths < 6; deaths += 1) {
      await until(() => run.isGone || isGivenUp(), SOON)
      if (isGivenUp()) break
      run = project.begin()
    }
    const server = await project.listening(run)

    expect(await server.inState(dead, 'failed')).toMatchObject({ queue: { name: 'failed', state: 'sent' } })
    await server.inState(beside, 'succeeded')
    expect(project.told('start', 'die').length).toBeGreaterThan(1)
    expect(project.queue('failed').map(({ job_id }) => job_id)).toEqual([dead])
  }, 120_000)
})

describe('jobs that the server does not execute', () => {
  it('are executed by `kiq worker`, and asked for at the server', async () => {
    const project = new ServeProject({ workers: { min: 1, max: 1 } })
    const server = await project.server('without-jobs.mjs')
    const early = await server.submit('early')
    expect(await server.job(early)).toMatchObject({ state: 'queued', attempt: 0 })

    const worker = await project.worker()
    const late = await server.submit('late')
    const ids = [
      early,
      late,
      ...(await submitMany(
        [server],
        Array.from({ length: 50 }, (_, n) => `${n}`),
      )),
    ]
    for (const id of ids) expect(await server.inState(id, 'succeeded')).toMatchObject({ queue: { state: 'sent' } })

    expect(messagesOf(project)).toEqual(new Set(ids))
    expect(project.events.map(({ pid }) => pid).filter((pid) => server.workers.includes(pid))).toEqual([])
    const pids = [...new Set([...worker.ready, ...project.events.map(({ pid }) => pid)])]
    expect(pids.every((pid) => isAlive(pid))).toBe(true)
    worker.signal('SIGTERM')
    expect(await worker.exit).toBe(0)
    await areGone(pids)
  }, 90_000)

  it('wait for the next worker when one is killed', async () => {
    const project = new ServeProject()
    const server = await project.server('without-jobs.mjs')
    const worker = await project.worker()
    const id = await server.submit('gate it')
    const { pid } = await project.heard('start', 'gate it')

    worker.signal('SIGKILL')
    await worker.gone
    await areGone([pid])
    project.open('gate')
    await project.worker()

    expect(await server.inState(id, 'succeeded')).toMatchObject({ attempt: 2 })
    expect(project.queue('done')).toHaveLength(1)
  }, 90_000)
})
