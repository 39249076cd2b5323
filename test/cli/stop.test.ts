import { afterEach, describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { depth, isAlive, Project } from './kit.ts'

let project: Project

afterEach(async () => {
  await project.end()
})

/** A worker that runs one gated task and holds two more. */
async function setup(...args: string[]) {
  project = new Project()
  const client = await project.client()
  const gate = client.externalTask<[number]>('gate')
  const run = await project.worker(['--concurrency', '1', '--prefetch', '2', ...args])
  await gate.kiqMany([[1], [2], [3]])
  await project.told('start')
  return { client, run }
}

describe('kiq worker, told to stop', () => {
  it('finishes the running task and hands back what was prefetched', async () => {
    const { client, run } = await setup()

    run.signal('SIGTERM')
    await run.logged('running tasks may finish')
    await until(async () => (await depth(client)).ready === 2, { timeoutMs: 5_000 })
    project.openGate(1)

    expect(await run.exit).toBe(0)
    expect(project.events.map(({ event, n }) => `${event} ${n}`)).toEqual(['start 1', 'end 1'])
    expect(await depth(client)).toMatchObject({ ready: 2, running: 0, dead: 0 })
    expect(run.log.at(-1)).toMatchObject({ processed: 1, msg: expect.stringContaining('Stopped after 1 task(s)') })
  })

  it('aborts running tasks at a second signal', async () => {
    const { client, run } = await setup()

    run.signal('SIGINT')
    await run.logged('running tasks may finish')
    run.signal('SIGINT')

    expect(await run.exit).toBe(0)
    expect(project.events.map(({ event }) => event)).toEqual(['start', 'aborted'])
    expect(await depth(client)).toMatchObject({ ready: 3, running: 0 })
  })

  it('aborts running tasks after --wait-tasks-timeout', async () => {
    const { client, run } = await setup('--wait-tasks-timeout', '200ms')

    run.signal('SIGTERM')

    expect(await run.exit).toBe(0)
    expect(project.events.map(({ event }) => event)).toEqual(['start', 'aborted'])
    expect(await depth(client)).toMatchObject({ ready: 3, running: 0 })
  })

  it('kills at the third signal', async () => {
    project = new Project()
    const client = await project.client()
    const run = await project.worker([], { processes: 2 })
    await client.externalTask<[number]>('deaf').kiq(1)
    const [{ pid } = { pid: 0 }] = await project.told('start')

    run.signal('SIGTERM')
    await run.logged('SIGTERM', 1)
    run.signal('SIGTERM')
    await run.logged('SIGTERM', 2)
    run.signal('SIGTERM')

    expect(await run.exit).toBe(137)
    expect(isAlive(pid)).toBe(false)
  })

  it('ignores a SIGINT that a terminal also sends to the children', async () => {
    const { client, run } = await setup()
    const [child] = run.ready as [number]

    process.kill(child, 'SIGINT')
    process.kill(child, 'SIGINT')
    project.openGate(1)
    project.openGate(2)
    project.openGate(3)
    await project.told('end', 3)

    expect(run.ready).toEqual([child])
    expect(await depth(client)).toMatchObject({ ready: 0, running: 0 })
  })

  it('stops and replaces one child that got a SIGTERM itself', async () => {
    const { run } = await setup()
    const [child] = run.ready as [number]

    process.kill(child, 'SIGTERM')
    project.openGate(1)
    await run.becameReady(2)
    project.openGate(2)
    project.openGate(3)
    const ended = await project.told('end', 3)

    expect(ended.map(({ pid }) => pid === child)).toEqual([true, false, false])
    expect(run.log.some(({ level }) => level === 'error')).toBe(false)
  })

  it('kills a child whose task blocks the event loop beyond every deadline', async () => {
    project = new Project()
    const client = await project.client()
    const deadlines = ['--wait-tasks-timeout', '0', '--abort-grace', '0', '--shutdown-timeout', '0']
    const run = await project.worker(deadlines)
    await client.externalTask<[number]>('deaf').kiq(1)
    await project.told('start')

    run.signal('SIGTERM')

    expect(await run.exit).toBe(1)
    expect(run.log.map(({ msg }) => msg)).toContainEqual(expect.stringMatching(/^worker-0 is still there after 5 s/))
  })
})
