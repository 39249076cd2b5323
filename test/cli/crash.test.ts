import { afterEach, describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { depth, kill, Project, TASKS } from './kit.ts'

let project: Project

afterEach(async () => {
  await project.end()
})

async function setup(args: readonly string[], options: { readonly processes?: number } = {}) {
  // With a lease as long as this the transport notices a death too late by itself: the supervisor must tell.
  project = new Project({ 'tasks.mjs': TASKS.replace("path: 'kiq.db'", "path: 'kiq.db', lease: '10m'") })
  const client = await project.client()
  const run = await project.worker(args, options)
  return { client, run, send: (task: string, n: number) => client.externalTask<[number]>(task).kiq(n) }
}

describe('kiq worker, losing a child', () => {
  it.each([1, 2])('runs the task of a killed child again within a second, with %i process(es)', async (processes) => {
    const { run, send } = await setup([], { processes })
    await send('gate', 1)
    const [first] = await project.told('start')

    const killedAt = Date.now()
    kill(first?.pid as number)
    const [, second] = await project.told('start', 2)

    expect(second?.pid).not.toBe(first?.pid)
    // The other child did it before a new one could.
    if (processes > 1) await run.logged('Handed back 1 message(s) of a dead worker.')
    // One process alone must be started again first.
    expect((second?.at as number) - killedAt).toBeLessThan(processes === 1 ? 2_000 : 1_000)
    await run.becameReady(processes + 1)
    project.openGate(1)
    expect((await project.told('end')).length).toBe(1)
  })

  it('replaces a child whose task ends the process, and gives the message up in the end', async () => {
    const { client, run, send } = await setup(['--max-deliveries', '2'])
    await send('crash', 1)

    await project.told('crash', 2)
    await until(async () => (await depth(client)).dead === 1, { timeoutMs: 10_000 })

    expect(project.events.length).toBe(2)
    await run.becameReady(3)
    expect((await run.logged('ended with exit code 3')).level).toBe('error')
  })

  it('stops the others and exits with 1 at the last of --max-fails', async () => {
    const { run, send } = await setup(['--max-fails', '2', '--max-deliveries', '9'], { processes: 2 })
    await send('gate', 7)
    await project.told('start')
    project.openGate(7)
    await send('crash', 1)

    expect(await run.exit).toBe(1)
    expect(project.events.filter(({ event }) => event === 'crash').length).toBe(2)
    await run.childrenGone()
  })

  it('does not let children live on without a supervisor', async () => {
    const { run, send } = await setup(['--wait-tasks-timeout', '200ms'], { processes: 2 })
    await send('gate', 1)
    await project.told('start')

    kill(run.pid)
    // Closed output means that nobody holds it any more.
    await run.exit

    await run.childrenGone()
    expect(project.events.map(({ event }) => event)).toEqual(['start', 'aborted'])
    await run.logged('The supervisor is gone')
  })

  it('ends an orphan that is blocked by its task', async () => {
    const { run, send } = await setup(['--wait-tasks-timeout', '0', '--abort-grace', '0', '--shutdown-timeout', '0'])
    await send('deaf', 1)
    await project.told('start')

    kill(run.pid)
    await run.exit

    await run.childrenGone()
  })

  it('goes on after a rejection that nobody handles, and ends the child after an exception', async () => {
    const { run, send } = await setup([])
    await send('forget', 1)
    await run.logged('nobody handled that')
    await send('quick', 1)
    await project.told('quick')
    expect(run.ready.length).toBe(1)

    await send('throwLater', 1)
    await run.logged('An exception escaped')
    await run.becameReady(2)
  })
})

describe('kiq worker --max-tasks-per-child', () => {
  it('loses nothing and counts no failure', async () => {
    const { client, run } = await setup(
      ['--max-tasks-per-child', '5', '--max-fails', '1', '--concurrency', '2', '--prefetch', '3'],
      { processes: 2 },
    )
    const quick = client.externalTask<[number], number>('quick')
    const sent = await quick.kiqMany(Array.from({ length: 30 }, (_, n): [number] => [n]))

    const results = await Promise.all(sent.map((one) => one.result({ timeout: '20s' })))

    expect(results).toEqual(Array.from({ length: 30 }, (_, n) => n))
    expect(project.events.length).toBe(30)
    const pids = project.events.map(({ pid }) => pid)
    const perChild = [...new Set(pids)].map((child) => pids.filter((pid) => pid === child).length)
    expect(Math.max(...perChild)).toBeLessThanOrEqual(5)
    expect(perChild.length).toBeGreaterThanOrEqual(6)
    run.signal('SIGTERM')
    expect(await run.exit).toBe(0)
    expect(run.log.at(-1)).toMatchObject({ processed: 30 })
  })

  it('lets the last task of a child run beyond --wait-tasks-timeout', async () => {
    const { run, send } = await setup(['--max-tasks-per-child', '1', '--wait-tasks-timeout', '100ms'])
    await send('slow', 1)

    await project.told('slow end')
    await run.becameReady(2)

    expect(project.events.map(({ event }) => event)).toEqual(['slow start', 'slow end'])
  })
})
