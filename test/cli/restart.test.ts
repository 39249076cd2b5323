import { afterEach, describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { isAlive, Project, TASKS } from './kit.ts'

let project: Project

afterEach(async () => {
  await project.end()
})

describe('kiq worker, told to restart by SIGHUP', () => {
  it('replaces every child and loses nothing', async () => {
    project = new Project()
    const client = await project.client()
    const run = await project.worker(['--concurrency', '3'], { processes: 2 })
    const quick = client.externalTask<[number], number>('quick')
    const old = run.ready
    const sums: Promise<number>[] = []
    const sender = setInterval(() => {
      sums.push(quick.kiq(sums.length).then((sent) => sent.result({ timeout: '20s' })))
    }, 5)

    run.signal('SIGHUP')
    await run.logged('The worker processes were restarted')
    clearInterval(sender)

    const results = await Promise.all(sums)
    expect(results).toEqual(results.map((_, n) => n))
    expect(project.events.length).toBe(results.length)
    expect(run.ready.length).toBe(4)
    expect(run.ready.map((pid) => old.includes(pid))).toEqual([true, true, false, false])
    expect(run.ready.map(isAlive)).toEqual([false, false, true, true])
  })

  it('lets the old child finish its task while the new one takes the next', async () => {
    project = new Project()
    const client = await project.client()
    const run = await project.worker()
    const gate = client.externalTask<[number]>('gate')
    await gate.kiq(1)
    await project.told('start')

    run.signal('SIGHUP')
    await run.becameReady(2)
    project.openGate(2)
    await gate.kiq(2)
    await project.told('end')
    project.openGate(1)
    await run.logged('The worker processes were restarted')

    const [old, fresh] = run.ready
    expect(project.events.map(({ event, n, pid }) => [event, n, pid])).toEqual([
      ['start', 1, old],
      ['start', 2, fresh],
      ['end', 2, fresh],
      ['end', 1, old],
    ])
  })

  it('keeps the old children when the new code does not load', async () => {
    project = new Project()
    const client = await project.client()
    const run = await project.worker(['--max-fails', '1'])
    project.write({ 'tasks.mjs': 'export const broker = nothing' })

    run.signal('SIGHUP')
    const failed = await run.logged('nothing is not defined')
    await run.logged('the old ones go on')

    expect(failed.msg).toContain(`${project.dir}/tasks.mjs:1:23`)
    await client.externalTask<[number]>('quick').kiq(1)
    expect((await project.told('quick'))[0]?.pid).toBe(run.ready[0])
  })

  it('stops at once when it is told to during the restart', async () => {
    project = new Project()
    const run = await project.worker([], { processes: 2 })

    run.signal('SIGHUP')
    await run.logged('restarting')
    run.signal('SIGTERM')

    expect(await run.exit).toBe(0)
  })
})

describe('kiq worker --reload', () => {
  const version = (n: number): string => TASKS.replace("note('quick', n)", `note('version ${n}', n)`)

  it('runs changed code, keeps working code, and does not restart for its own database', async () => {
    project = new Project({ 'tasks.mjs': version(1), '.gitignore': '*.jsonl\nout/\n' })
    const client = await project.client()
    const quick = client.externalTask<[number]>('quick')
    const run = project.kiq('worker', 'tasks.mjs', '-w', '4', '--reload', '--log-format', 'json')
    await run.becameReady(1)
    await quick.kiq(1)
    await project.told('version 1')

    project.write({ 'tasks.mjs': version(2) })
    await run.becameReady(2)
    await until(() => !isAlive(run.ready[0] as number), { timeoutMs: 10_000 })
    await quick.kiq(2)
    await project.told('version 2')

    project.write({ 'tasks.mjs': 'export const broker = {', 'out/log.txt': 'not code' })
    await run.logged('the old ones go on')
    await quick.kiq(3)
    await project.told('version 2', 2)

    project.write({ 'lib/helper.mjs': '', 'tasks.mjs': version(3) })
    await run.becameReady(3)
    await until(() => !isAlive(run.ready[1] as number), { timeoutMs: 10_000 })
    await quick.kiq(4)
    await project.told('version 3')

    const restarts = run.log.filter(({ msg }) => msg.endsWith('restarting the worker processes.'))
    expect(restarts.length).toBe(3)
  })

  it('refuses a folder that does not exist', async () => {
    project = new Project()

    const run = project.kiq('worker', 'tasks.mjs', '--reload', '--reload-dir', 'sources')

    expect(await run.exit).toBe(2)
    expect(run.stderr).toContain(`There is no folder ${project.dir}/sources to watch.`)
  })
})
