import { afterEach, describe, expect, it } from 'vitest'

import { until } from '../../src/testing/until.ts'
import { depth, Project } from './kit.ts'

let project: Project

afterEach(async () => {
  await project.end()
})

interface ReadyBody {
  readonly children?: readonly { readonly isReady: boolean; readonly receiving: string }[]
}

describe('kiq worker --health-port', () => {
  it('answers while children are ready, and says which one is not', async () => {
    project = new Project()
    const client = await project.client()
    const run = await project.worker(['--health-port', '0', '--wait-tasks-timeout', '200ms'], { processes: 2 })
    const { url } = await run.logged('Health checks')
    const get = async (path: string) => {
      const response = await fetch(url + path)
      return { status: response.status, body: (await response.json()) as ReadyBody }
    }

    expect(new URL(url as string).hostname).toBe('127.0.0.1')
    expect(await get('/live')).toEqual({ status: 200, body: { status: 'live', state: 'running' } })
    const ready = await until(
      async () => {
        const answer = await get('/ready')
        return answer.body.children?.every((child) => child.receiving === 'waiting') ? answer : undefined
      },
      { timeoutMs: 5_000 },
    )
    expect(ready).toMatchObject({
      status: 200,
      body: { status: 'ready', children: [0, 1].map((slot) => ({ slot, isReady: true, reason: null, running: 0 })) },
    })
    expect((await get('/metrics')).status).toBe(404)

    await client.externalTask<[number]>('deaf').kiq(1)
    const [{ pid } = { pid: 0 }] = await project.told('start')
    const blocked = await until(
      async () => {
        const answer = await get('/ready')
        return answer.status === 503 ? answer.body.children?.find((child) => !child.isReady) : undefined
      },
      { timeoutMs: 10_000 },
    )
    expect(blocked).toMatchObject({
      pid,
      reason: expect.stringMatching(/^Its event loop has been blocked for \d s\.$/),
    })
    expect((await get('/live')).status).toBe(200)
  })

  it('refuses a port that is taken', async () => {
    project = new Project()
    const first = await project.worker(['--health-port', '0'])
    const { port } = new URL((await first.logged('Health checks')).url as string)

    const second = project.kiq('worker', 'tasks.mjs', '--health-port', port)

    expect(await second.exit).toBe(2)
    expect(second.stderr).toContain(`The health server cannot listen on 127.0.0.1:${port}`)
  })
})

describe('kiq worker --log-format', () => {
  it('writes one object per line as json', async () => {
    project = new Project()
    const client = await project.client()
    const run = await project.worker(['--log-format', 'json'])
    await client.externalTask<[number]>('unheard').kiq(1)
    await run.logged('Dead letter')

    run.signal('SIGTERM')
    expect(await run.exit).toBe(0)

    const lines = run.stdout.trimEnd().split('\n')
    expect(lines.map((line) => Object.keys(JSON.parse(line)))).toEqual(
      lines.map(() => expect.arrayContaining(['level', 'time', 'pid', 'role', 'msg'])),
    )
    expect(run.log[0]).toMatchObject({
      level: 'info',
      role: 'supervisor',
      broker: 'SqliteBroker',
      transport: 'sqlite',
      queues: ['taskiq'],
      taskCount: 7,
      tasks: ['quick', 'gate', 'deaf', 'slow', 'forget'],
    })
  })

  it('writes for people as pretty', async () => {
    project = new Project()
    const run = project.kiq('worker', 'tasks.mjs', '-w', '1', '--log-format', 'pretty')
    await until(() => run.stdout.includes('worker-0 is ready'), { timeoutMs: 15_000 })

    run.signal('SIGTERM')
    expect(await run.exit).toBe(0)

    expect(run.stdout).toMatch(/INFO: supervisor \(\d+\): broker {3}SqliteBroker on sqlite\n/)
    expect(run.stdout).toMatch(/tasks {4}7: quick, gate, deaf, slow, forget, … 2 more\n/)
    expect(run.stdout).toMatch(/Stopped after 0 task\(s\) in \d+ s\./)
  })
})

const DECLARATIONS = `
import { SqliteBroker } from 'kiq/sqlite'
import { rejectTask } from 'kiq'
export const broker = new SqliteBroker({ path: 'kiq.db' })
broker.task('add', (a, b) => a + b)
broker.task({ name: 'train', queue: 'gpu', timeout: '1h30m', ackType: 'manual', isolate: 'process', run: () => {} })
broker.task('refuse', (n) => { throw rejectTask('no ' + n + ', '.repeat(20)) })
`

describe('kiq info', () => {
  it('shows tasks and queues', async () => {
    project = new Project({ 'tasks.mjs': DECLARATIONS })
    const client = await project.client()
    await client.externalTask<[number, number]>('add').kiqMany([
      [1, 2],
      [3, 4],
    ])
    await client.externalTask('train').kicker().withQueue('gpu').withDelay('1h').kiq()

    const [text, json] = [project.kiq('info', 'tasks.mjs'), project.kiq('info', 'tasks.mjs', '--json')]

    expect([await text.exit, await json.exit]).toEqual([0, 0])
    expect(text.stdout).toBe(
      [
        'SqliteBroker on sqlite, default queue taskiq',
        '',
        'TASK    STYLE       QUEUE   TIMEOUT  ACK     ISOLATE',
        'add     positional  taskiq  -        -       -',
        'train   record      gpu     5400s    manual  process',
        'refuse  positional  taskiq  -        -       -',
        '',
        'QUEUE   READY  DELAYED  RUNNING  DEAD',
        'gpu     0      1        0        0',
        'taskiq  2      0        0        0',
        '',
      ].join('\n'),
    )
    expect(JSON.parse(json.stdout)).toMatchObject({
      transport: 'sqlite',
      tasks: [{ name: 'add' }, { name: 'train', timeoutSeconds: 5400 }, { name: 'refuse' }],
      queues: [
        { queue: 'gpu', delayed: 1 },
        { queue: 'taskiq', ready: 2 },
      ],
    })
  })

  it('refuses a module without a broker', async () => {
    project = new Project({ 'tasks.mjs': 'export const a = 1' })

    const run = project.kiq('info', 'tasks.mjs')

    expect(await run.exit).toBe(2)
    expect(run.stderr).toContain('KIQ_MODULE_INVALID: tasks.mjs exports no broker (exports: a).')
  })
})

describe('kiq dead', () => {
  it('lists, retries and drops', async () => {
    project = new Project({ 'tasks.mjs': DECLARATIONS })
    const client = await project.client()
    const worker = await project.worker()
    const sent = await client.externalTask<[number]>('refuse').kiqMany([[1], [2], [3]])
    await Promise.all(sent.map((one) => one.waitResult({ timeout: '10s' })))
    worker.signal('SIGTERM')
    await worker.exit
    const kiq = async (...args: string[]) => {
      const run = project.kiq('dead', ...args)
      return { code: await run.exit, stdout: run.stdout, stderr: run.stderr }
    }

    const text = await kiq('list', 'tasks.mjs')
    expect(text.stdout).toMatch(/^ID +TASK +QUEUE +ATTEMPTS +AGE +REASON\n/)
    expect(text.stdout.match(/refuse +taskiq +1 +\d+s +no \d, /g)).toHaveLength(3)

    const listed = JSON.parse((await kiq('list', 'tasks.mjs', '--json', '--limit', '2')).stdout)
    expect(listed).toMatchObject([
      { taskName: 'refuse', queue: 'taskiq', attempt: 1, body: expect.stringContaining('"refuse"') },
      { taskName: 'refuse' },
    ])

    const unsure = await kiq('drop', 'tasks.mjs')
    expect(unsure.code).toBe(2)
    expect(unsure.stderr).toContain('Use --id <id>, --queue <queue> or --all')

    expect((await kiq('retry', 'tasks.mjs', '--id', listed[0].id)).stdout).toBe('1 put back on their queues.\n')
    expect(JSON.parse((await kiq('drop', 'tasks.mjs', '--all', '--json')).stdout)).toEqual({ dropped: 2 })
    expect(await depth(client)).toMatchObject({ ready: 1, dead: 0 })
    expect((await kiq('list', 'tasks.mjs')).stdout).toBe('No dead letters.\n')
  })

  it('says so when the transport keeps none', async () => {
    project = new Project({
      'tasks.mjs': `import { Broker } from 'kiq'
        const nothing = async () => {}
        const transport = { name: 'void', capabilities: {}, start: nothing, stop: nothing, send: nothing, receive: nothing }
        export const broker = new Broker(transport)`,
    })

    const run = project.kiq('dead', 'list', 'tasks.mjs')

    expect(await run.exit).toBe(1)
    expect(run.stderr).toContain('KIQ_UNSUPPORTED: The transport "void" keeps no dead letters.')
  })
})
