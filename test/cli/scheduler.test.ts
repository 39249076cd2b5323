import { afterEach, describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { Project } from './kit.ts'
import type { Run } from './kit.ts'

const SOON = { timeoutMs: 15_000 }

const MODULE = `
import { appendFileSync } from 'node:fs'
import { SqliteBroker, SqliteScheduleSource } from 'kiq/sqlite'
import { LabelScheduleSource, Scheduler } from 'kiq/scheduler'

export const broker = new SqliteBroker({ path: 'kiq.db' })
const note = (event, n) => appendFileSync('events.jsonl', JSON.stringify({ event, n, pid: process.pid, at: Date.now() }) + '\\n')
broker.task('quick', (n) => note('quick', n), {
  schedule: [{ interval: 200, args: [1], scheduleId: 'often' }, { cron: '@yearly', timeZone: 'Europe/Berlin', args: [2] }],
})
export const source = new SqliteScheduleSource({ path: 'kiq.db' })
export const scheduler = new Scheduler(broker, [new LabelScheduleSource(broker), source], { lease: '1s' })
`

const ADD = `
import { broker, source } from './tasks.mjs'
await source.startup()
const task = broker.externalTask('quick')
if (process.argv[2] === 'once') await task.scheduleByTime(source, new Date(Date.now() + 500), 3)
else await task.kicker().withScheduleId('stored').scheduleByCron(source, '@hourly', 3)
await source.shutdown()
`

let project: Project

afterEach(async () => {
  await project.end()
})

/** Standard output of a command that ends well. */
async function output(run: Run): Promise<string> {
  expect(await run.exit, run.stderr).toBe(0)
  return run.stdout
}

describe('kiq scheduler', () => {
  it('sends what is due until it is told to stop, and takes what is added meanwhile', async () => {
    project = new Project({ 'tasks.mjs': MODULE, 'add.mjs': ADD })
    await project.worker()
    const run = project.kiq('scheduler', 'tasks.mjs', '--log-format', 'json')
    await run.logged('This scheduler leads now.', 2)
    await project.told('quick', 3)

    const startedAt = Date.now()
    expect(await project.node('add.mjs', 'once').exit).toBe(0)
    await until(() => project.events.some(({ n }) => n === 3), SOON)
    expect(Date.now() - startedAt).toBeGreaterThan(400)

    run.signal('SIGTERM')
    expect(await run.exit).toBe(0)
    const count = project.events.length
    expect(run.log.map(({ msg }) => msg).slice(-2)).toEqual(['Stopping (SIGTERM).', 'Stopped.'])
    // What was sent at the last moment may still run.
    await new Promise((resolve) => setTimeout(resolve, 700))
    expect(project.events.length - count).toBeLessThanOrEqual(1)
  })

  it('makes a scheduler of a module that has none', async () => {
    const module = MODULE.replace('export const scheduler', 'const unused')
    project = new Project({ 'tasks.mjs': module })
    const run = project.kiq('scheduler', 'tasks.mjs:broker', '--log-format', 'json', '--skip-first-run')

    const { sources } = await run.logged('The scheduler sends through SqliteBroker')

    expect(sources).toEqual(['LabelScheduleSource'])
    run.signal('SIGINT')
    expect(await run.exit).toBe(0)
  })

  it('wants to know which of several', async () => {
    project = new Project({ 'tasks.mjs': `${MODULE}\nexport const other = new Scheduler(broker, [])` })
    const run = project.kiq('scheduler', 'tasks.mjs')

    expect(await run.exit).toBe(2)
    expect(run.stderr).toMatch(/tasks.mjs exports 2 schedulers: (other, scheduler|scheduler, other)\. Name the one/)
  })

  it.each([
    ['() => 5', /made\(\) of tasks.mjs returned a number, neither a scheduler nor a broker/],
    ['() => { throw new Error("no way") }', /made\(\) of tasks.mjs failed: no way/],
  ])('says what is wrong with a function that should make one: %s', async (body, message) => {
    project = new Project({ 'tasks.mjs': `export const made = ${body}` })
    const run = project.kiq('scheduler', 'tasks.mjs:made')

    expect(await run.exit).toBe(2)
    expect(run.stderr).toMatch(message)
  })
})

describe('kiq worker --with-scheduler', () => {
  it('sends and executes', async () => {
    project = new Project({ 'tasks.mjs': MODULE })
    const run = await project.worker(['--with-scheduler'], { processes: 2 })

    await project.told('quick', 5)
    run.signal('SIGTERM')

    expect(await run.exit).toBe(0)
    const leaders = run.log.filter(({ msg }) => msg === 'This scheduler leads now.')
    expect(leaders).toHaveLength(2)
    const times = project.events.map(({ at }) => at)
    const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0))
    // Twice as many, if both processes did.
    expect(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length).toBeGreaterThan(150)
  })
})

describe('kiq schedule', () => {
  it('lists, pauses, resumes, runs and removes', async () => {
    project = new Project({ 'tasks.mjs': MODULE, 'add.mjs': ADD })
    expect(await project.node('add.mjs').exit).toBe(0)

    const text = await output(project.kiq('schedule', 'list', 'tasks.mjs'))
    expect(text.split('\n')).toEqual([
      expect.stringMatching(/^ID +TASK +TRIGGER +NEXT +LAST +SOURCE$/),
      expect.stringMatching(/^often +quick +every 0.2s +20.* - +labels$/),
      expect.stringMatching(/^stored +quick +0 \* \* \* \* +20.*:00:00.000Z \(in \d+[smh]\) +- +sqlite:/),
      expect.stringMatching(/^quick:@yearly +quick +@yearly Europe\/Berlin +20..-12-31T23:00:00.000Z \(in \d+d\) /),
      '',
    ])

    expect(await output(project.kiq('schedule', 'pause', 'tasks.mjs', 'often'))).toBe('often is paused.\n')
    const json = JSON.parse(await output(project.kiq('schedule', 'list', 'tasks.mjs', '--json'))) as object[]
    expect(json).toContainEqual(
      expect.objectContaining({ scheduleId: 'often', isPaused: true, nextAt: null, intervalSeconds: 0.2 }),
    )
    expect(await output(project.kiq('schedule', 'next', 'tasks.mjs', '-n', '1'))).toMatch(/:00:00.000Z .* stored\n$/)
    expect(await output(project.kiq('schedule', 'resume', 'tasks.mjs', 'often'))).toBe('often fires again.\n')
    expect(await output(project.kiq('schedule', 'next', 'tasks.mjs', '--id', 'often', '--json'))).toContain('"often"')

    expect(await output(project.kiq('schedule', 'run', 'tasks.mjs', 'stored'))).toMatch(/^Sent as task \w{32}\.\n$/)
    await project.worker()
    await until(() => project.events.some(({ n }) => n === 3), SOON)
    expect(await output(project.kiq('schedule', 'remove', 'tasks.mjs', 'stored'))).toBe('stored is deleted.\n')
  })

  it('says what cannot be done', async () => {
    project = new Project({ 'tasks.mjs': MODULE })
    const unknown = project.kiq('schedule', 'run', 'tasks.mjs', 'nobody')
    const declared = project.kiq('schedule', 'remove', 'tasks.mjs', 'often')

    expect(await unknown.exit).toBe(1)
    expect(unknown.stderr).toBe(
      'kiq: KIQ_SCHEDULE_UNKNOWN: There is no schedule "nobody" in the sources of this scheduler. `kiq schedule list` shows all.\n',
    )
    expect(await declared.exit).toBe(1)
    expect(declared.stderr).toMatch(/from which nothing can be deleted\. Take it out of the code, or pause it\./)
  })
})
