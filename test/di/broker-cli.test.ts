import { afterEach, describe, expect, it } from 'vitest'

import { Project } from '../cli/kit.ts'

let project: Project

afterEach(async () => {
  await project.end()
})

const NOTES = `
import { appendFileSync, existsSync } from 'node:fs'
import { SqliteBroker } from 'kiq/sqlite'
import { bind, createContainer, Enqueuer, setupInjection, TaskInfo, TaskSignal, token } from 'kiq/di'

export const broker = new SqliteBroker({ path: 'kiq.db' })
const note = (event, n = 0) =>
  appendFileSync('events.jsonl', JSON.stringify({ event, n, pid: process.pid, at: Date.now() }) + '\\n')
`

const TASKS = `${NOTES}
const Pool = token('Pool')
const Cache = token('Cache')
const Outbox = token('Outbox')
const Tx = token('Tx')

setupInjection(broker, createContainer({
  providers: [
    bind(Pool, { create: async () => { note('pool made'); return { name: 'pool' } }, dispose: () => note('pool closed') }),
    bind(Cache, { deps: { pool: Pool }, create: () => { note('cache made'); return {} }, dispose: () => note('cache closed') }),
    bind(Outbox, { deps: { cache: Cache }, create: () => ({}), dispose: () => flush.kiq('last words') }),
    bind(Tx, {
      scope: 'scoped',
      deps: { pool: Pool, info: TaskInfo },
      use: async function* ({ pool, info }) {
        try { yield pool.name + ' ' + info.attempt } catch (error) { note('rollback ' + error.code); throw error }
        note('commit')
      },
    }),
  ],
}))

const flush = broker.externalTask('flush', { queue: 'flushed' })

broker.task({
  name: 'work',
  deps: { tx: Tx, outbox: Outbox, info: TaskInfo },
  run: ({ n }, { tx, info }) => ({ n, tx, taskName: info.taskName }),
})

broker.task({
  name: 'gate',
  deps: { tx: Tx, signal: TaskSignal },
  run: async ({ n }, { signal }) => {
    note('start', n)
    while (!existsSync('gate-' + n)) {
      if (signal.aborted) throw new Error('interrupted')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return 'through'
  },
})

broker.task({
  name: 'isolated',
  isolate: 'process',
  deps: { enqueuer: Enqueuer, pool: Pool },
  run: async (_input, { enqueuer }) => {
    const sent = await enqueuer.kicker(followUp).kiq()
    return { taskId: sent.taskId, pid: process.pid }
  },
})

const followUp = broker.task({ name: 'followUp', deps: { info: TaskInfo }, run: (_input, { info }) => info.labels })
`

const names = (): readonly string[] => project.events.map(({ event }) => event)

describe('kiq worker, given a broker with a container', () => {
  it('makes singletons before it is ready, in each process, and closes them at SIGTERM, the last first', async () => {
    project = new Project({ 'tasks.mjs': TASKS })
    const client = await project.client()
    const task = client.externalTask<[{ n: number }]>('work')
    const run = await project.worker([], { processes: 2 })
    const made = project.events.filter(({ event }) => event === 'pool made').map(({ pid }) => pid)
    expect(made.sort()).toEqual([...run.ready].sort())

    const sent = await task.kicker().withKwargs({ n: 5 }).kiq()
    expect(await sent.result()).toEqual({ n: 5, tx: 'pool 1', taskName: 'work' })
    run.signal('SIGTERM')

    expect(await run.exit).toBe(0)
    for (const pid of made) {
      const own = project.events.filter((one) => one.pid === pid && one.event !== 'commit').map(({ event }) => event)
      expect(own).toEqual(['pool made', 'cache made', 'cache closed', 'pool closed'])
    }
    const depths = (await client.transport.inspect?.()) ?? []
    expect(depths.find(({ queue }) => queue === 'flushed')).toMatchObject({ ready: 2 })
  })

  it('lets the running task commit before it closes them', async () => {
    project = new Project({ 'tasks.mjs': TASKS })
    const client = await project.client()
    const run = await project.worker()
    const sent = await client.externalTask('gate').kicker().withKwargs({ n: 1 }).kiq()
    await project.told('start')

    run.signal('SIGTERM')
    await run.logged('running tasks may finish')
    project.openGate(1)

    expect(await run.exit).toBe(0)
    expect(await sent.result()).toBe('through')
    expect(names()).toEqual(['pool made', 'cache made', 'start', 'commit', 'cache closed', 'pool closed'])
  })

  it('rolls back what a second signal aborts, then closes them', async () => {
    project = new Project({ 'tasks.mjs': TASKS })
    const client = await project.client()
    const run = await project.worker()
    const sent = await client.externalTask('gate').kicker().withKwargs({ n: 1 }).kiq()
    await project.told('start')

    run.signal('SIGTERM')
    await run.logged('running tasks may finish')
    run.signal('SIGTERM')

    expect(await run.exit).toBe(0)
    expect(await sent.isReady()).toBe(false)
    expect(names().slice(3)).toEqual(['rollback KIQ_WORKER_STOPPED', 'cache closed', 'pool closed'])
  })

  it('runs isolated tasks that send through the same file, and closes what was made for them', async () => {
    project = new Project({ 'tasks.mjs': TASKS })
    const client = await project.client()
    const run = await project.worker()

    const sent = await client.externalTask('isolated').kiq()
    const { taskId, pid } = (await sent.result({ timeout: '20s' })) as { taskId: string; pid: number }

    expect(run.ready).not.toContain(pid)
    expect(await client.sentTask(taskId).result()).toEqual({ parent_id: sent.taskId, root_id: sent.taskId })
    run.signal('SIGTERM')
    expect(await run.exit).toBe(0)
    expect(project.events.filter((one) => one.pid === pid).map(({ event }) => event)).toEqual([
      'pool made',
      'pool closed',
    ])
  })
})

describe('kiq worker, given a container that does not work', () => {
  it('says so, when tasks ask for dependencies and there is none', async () => {
    project = new Project({
      'tasks.mjs': `${NOTES}
broker.task({ name: 'needy', deps: { a: token('A') }, run: () => 1 })`,
    })

    const run = project.kiq('worker', 'tasks.mjs', '-w', '1')

    expect(await run.exit).toBe(2)
    expect(run.stdout + run.stderr).toContain('KIQ_DI_NOT_SET_UP')
    expect(run.stdout + run.stderr).toContain('needy')
  })

  it('prints every problem, and ends: another start would end as this one', async () => {
    project = new Project({
      'tasks.mjs': `${NOTES}
const A = token('A'), B = token('B'), Missing = token('Missing')
setupInjection(broker, createContainer({
  providers: [
    bind(A, { deps: { b: B }, create: ({ b }) => b }),
    bind(B, { deps: { a: A }, create: ({ a }) => { note('never'); return a } }),
  ],
}))
broker.task({ name: 'first', deps: { missing: Missing }, run: () => 1 })
broker.task({ name: 'second', deps: { a: A }, run: () => 1 })`,
    })

    const run = project.kiq('worker', 'tasks.mjs', '-w', '1')

    expect(await run.exit).toBe(2)
    const output = run.stdout + run.stderr
    for (const text of ['KIQ_DI_MISSING', 'task:first > Missing', 'KIQ_DI_CYCLE', 'A > B > A']) {
      expect(output).toContain(text)
    }
    expect(names()).toEqual([])
  })

  it('names the singleton that cannot be made, and tries again, since that may pass', async () => {
    project = new Project({
      'tasks.mjs': `${NOTES}
const Pool = token('Pool')
setupInjection(broker, createContainer({
  providers: [
    bind(Pool, {
      create: async () => {
        note('tried')
        if (!existsSync('gate-1')) throw new Error('no database yet')
        return 'pool'
      },
    }),
  ],
}))
broker.task({ name: 'work', deps: { pool: Pool }, run: (_input, { pool }) => pool })`,
    })
    const client = await project.client()
    const sent = await client.externalTask('work').kiq()
    const run = project.kiq('worker', 'tasks.mjs', '-w', '1', '--log-format', 'json')
    await project.told('tried', 2)
    expect(run.stdout).toContain('Pool: it could not be made: no database yet')
    project.openGate(1)

    await run.becameReady(1)
    expect(await sent.result()).toBe('pool')
  })
})
