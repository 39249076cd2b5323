import { afterEach, describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { Project, TASKS } from './kit.ts'

let project: Project

afterEach(async () => {
  await project.end()
})

const BROKER = `import { SqliteBroker } from 'kiq/sqlite'
export const broker = new SqliteBroker({ path: 'kiq.db' })
`

/** Contract program 03, word for word. */
const EMBEDDED = {
  'tasks.ts': `import { context } from 'kiq'
import { SqliteBroker } from 'kiq/sqlite'

// One file, no server. Producers and workers are separate processes that open the same file.
export const broker = new SqliteBroker({ path: process.env.KIQ_DB ?? '.kiq/kiq.db' })

export const add = broker.task('add', async (a: number, b: number) => a + b)

export const slow = broker.task('slow', async (steps: number) => {
  const { progress, signal } = context()
  for (let step = 1; step <= steps; step += 1) {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 20))
    await progress.set('RUNNING', { step, steps })
  }
  return steps
}, { timeout: '10s' })

export const whoami = broker.task('whoami', () => process.pid)
`,
  'main.ts': `import { add, broker, slow, whoami } from './tasks.ts'

await broker.startup()
const sums = await add.kiqMany(Array.from({ length: 100 }, (_, i): [number, number] => [i, i]))
const results = await Promise.all(sums.map((sum) => sum.result({ timeout: '30s' })))
console.log(results.length, results[99])

const job = await slow.kiq(5)
console.log(await job.result({ timeout: '30s' }), (await job.getProgress())?.meta)

console.log((await (await whoami.kiq()).result({ timeout: '30s' })) !== process.pid)
await broker.shutdown()
`,
}

describe('kiq worker, given a module', () => {
  it('runs the tasks of a TypeScript program in two processes', async () => {
    project = new Project(EMBEDDED)

    const run = project.kiq('worker', './tasks.ts:broker', '--processes', '2', '--log-format', 'json')
    const program = project.node('--import', 'tsx', 'main.ts')

    expect(await program.exit).toBe(0)
    expect(program.stdout).toBe('100 198\n5 { step: 5, steps: 5 }\ntrue\n')
    await run.becameReady(2)
    run.signal('SIGTERM')
    expect(await run.exit).toBe(0)
    expect(run.log.at(-1)).toMatchObject({ processed: 102 })
  })

  it.each([
    ['nope.mjs', 'KIQ_MODULE_INVALID: There is no module nope.mjs'],
    ['none.mjs', 'none.mjs exports no broker (exports: add, queue)'],
    ['two.mjs', 'two.mjs exports 2 brokers: first, second. Name the one to use: two.mjs:first.'],
    ['two.mjs:third', 'two.mjs exports nothing named "third"'],
    ['none.mjs:queue', 'The export "queue" of none.mjs is a string.'],
    ['factory.mjs:failing', 'failing() of factory.mjs failed: no such engine\n    at '],
    ['factory.mjs:wrong', 'wrong() of factory.mjs returned a number, not a broker.'],
    ['syntax.mjs', 'The module syntax.mjs cannot be loaded: Unexpected end of input'],
    ['syntax.ts', 'The module syntax.ts cannot be loaded: '],
    ['throws.mjs', 'The module throws.mjs cannot be loaded: Cannot read properties of null'],
    ['imports.mjs', "The module imports.mjs cannot be loaded: Cannot find module '"],
    ['database.mjs', 'KIQ_CONFIG_INVALID: '],
  ])('refuses %s with exit code 2, once and at once', async (target, message) => {
    project = new Project({
      'none.mjs': `export const queue = 'a'\nexport const add = () => 1`,
      'two.mjs':
        BROKER.replace('broker', 'first') +
        `export const second = new SqliteBroker({ path: 'b.db' })\nexport default first`,
      'factory.mjs': `export const failing = () => { throw new Error('no such engine') }\nexport const wrong = () => 1`,
      'syntax.mjs': 'export const broker = {',
      'syntax.ts': 'export const broker = {\n',
      'throws.mjs': 'null.x',
      'imports.mjs': `import './missing.mjs'`,
      'database.mjs': BROKER.replace('kiq.db', 'database.mjs'),
    })

    const run = project.kiq('worker', target, '--log-format', 'json')

    expect(await run.exit).toBe(2)
    expect(run.stderr).toContain(message)
    expect(run.stderr.match(/kiq: KIQ_/g)).toHaveLength(1)
    expect(run.stderr).not.toMatch(/\bat .*node:internal/)
    expect(run.log).toEqual([])
  })

  it('shows the stack with --log-level debug', async () => {
    project = new Project({ 'throws.mjs': 'null.x' })

    const run = project.kiq('worker', 'throws.mjs', '--log-level', 'DEBUG')

    expect(await run.exit).toBe(2)
    expect(run.stderr).toContain('Caused by: TypeError')
  })

  it('goes on when the engine cannot be reached yet', async () => {
    project = new Project({
      'tasks.mjs':
        TASKS +
        `
import { BrokerError } from 'kiq'
broker.on('workerStartup', () => {
  if (!existsSync('engine')) throw new BrokerError('KIQ_TRANSPORT_FAILED', 'Connection refused.')
})`,
    })
    const run = project.kiq('worker', 'tasks.mjs', '-w', '1', '--log-format', 'json')
    await run.logged('worker-0 ended with exit code 1: Connection refused.', 2)

    project.write({ engine: '' })
    await run.becameReady(1)
  })

  it('calls a factory, and resolves modules from --app-dir', async () => {
    project = new Project({
      'app/broker.mjs': BROKER.replace('export const broker =', 'export const createBroker = async () =>'),
    })

    const run = project.kiq('worker', 'broker.mjs:createBroker', '--app-dir', 'app', '-w', '1', '--log-format', 'json')
    await run.becameReady(1)

    expect(run.log[0]).toMatchObject({ broker: 'SqliteBroker', transport: 'sqlite', processes: 1, concurrency: 100 })
  })

  it('imports the modules that are named and those that --fs-discover finds', async () => {
    const declare = (name: string): string =>
      `import { broker } from 'BASE/broker.mjs'\nbroker.task('${name}', () => '${name}')`
    project = new Project({
      'broker.mjs': BROKER,
      'named.mjs': declare('named').replace('BASE', '.'),
      'app/tasks.mjs': declare('found').replace('BASE', '..'),
      'app/deep/tasks.js': declare('deep').replace('BASE', '../..'),
      'app/other.mjs': declare('other').replace('BASE', '..'),
      'dist/tasks.js': declare('built').replace('BASE', '..'),
      'app/node_modules/x/tasks.js': declare('installed').replace('BASE', '../../..'),
    })

    const run = project.kiq('worker', 'broker.mjs', 'named.mjs', '-fsd', '--workers=1', '--log-format', 'json')
    await run.becameReady(1)
    const other = project.kiq('info', 'broker.mjs', '--fs-discover', '-tp', 'app/o*.mjs', '--json')

    expect(run.log[0]?.['tasks']).toEqual(['named', 'deep', 'found'])
    expect(await other.exit).toBe(0)
    expect(JSON.parse(other.stdout).tasks).toMatchObject([{ name: 'other' }])
  })
})

describe('kiq', () => {
  it.each([
    [['worker', 'tasks.mjs', '--processes', '0'], "argument '0' is invalid. Use a whole number ≥ 1."],
    [['worker', 'tasks.mjs', '--concurrency', 'many'], "argument 'many' is invalid. Use a whole number ≥ 1."],
    [['worker', 'tasks.mjs', '--wait-tasks-timeout', '5x'], "argument '5x' is invalid. Use seconds, or a duration"],
    [['worker', 'tasks.mjs', '--ack-type', 'later'], 'Use one of: when_received, when_executed, when_saved, manual.'],
    [['worker', 'tasks.mjs', '--health-port', '70000'], 'Use a whole number from 0 to 65535.'],
    [['worker', 'tasks.mjs', '--procesess', '1'], "unknown option '--procesess'"],
    [['worker'], "missing required argument 'module[:broker]'"],
    [['wroker'], "unknown command 'wroker'"],
    [[], 'Usage: kiq'],
  ])('refuses %j with exit code 2', async (args, message) => {
    project = new Project({})

    const run = project.kiq(...args)

    expect(await run.exit).toBe(2)
    expect(run.stderr).toContain(message)
  })

  it('tells its version and its commands', async () => {
    project = new Project({})

    const [version, help] = [project.kiq('--version'), project.kiq('help')]

    expect([await version.exit, await help.exit]).toEqual([0, 0])
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    await until(() => help.stdout.includes('worker [options]'), { timeoutMs: 1_000 })
  })
})
