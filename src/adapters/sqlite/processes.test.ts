import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it, onTestFinished } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import type { Delivery } from '../../contract/index.ts'
import { until } from '../../testing/until.ts'
import { loadDriver } from './client.ts'
import { SqliteResultBackend } from './result-backend.ts'
import { SqliteTransport } from './transport.ts'

const LEASE_MS = 1_000
const SOON = { timeoutMs: 20_000 }

/** What every child begins with; `tell` reports to the test, `told` waits for a word from it. */
const PRELUDE = `
import { SqliteTransport, SqliteResultBackend } from ${JSON.stringify(new URL('index.ts', import.meta.url).href)}
const path = process.env.KIQ_TEST_PATH
const tell = (fact) => new Promise((resolve) => process.send(fact, resolve))
const told = (word) => new Promise((resolve) => {
  process.on('message', function hear(message) { if (message === word) { process.off('message', hear); resolve() } })
})
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const transport = new SqliteTransport({ path, lease: ${LEASE_MS} })
const start = (role) => transport.start({
  role, workerId: 'child ' + process.pid, logger: silent, defaultQueue: 'q',
  onCancel() {}, onLeaseLost: (lost) => tell({ lost: lost.length }),
})
const take = async () => (await transport.receive({ queues: ['q'], max: 1, signal: new AbortController().signal }))[0]
const message = (taskId) => ({ taskId, taskName: 't', queue: 'q', body: taskId, labels: {} })
`

interface Child {
  readonly process: ChildProcess
  readonly facts: Record<string, unknown>[]
  /** Resolves with the first fact of that name. */
  readonly fact: (name: string) => Promise<unknown>
}

function run(path: string, code: string): Child {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', PRELUDE + code], {
    env: { ...process.env, KIQ_TEST_PATH: path },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const facts: Record<string, unknown>[] = []
  child.on('message', (fact) => facts.push(fact as Record<string, unknown>))
  const fact = async (name: string): Promise<unknown> =>
    (await until(() => facts.find((one) => name in one), SOON))[name]
  return { process: child, facts, fact }
}

async function exitOf({ process: child }: Child): Promise<number | NodeJS.Signals | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode ?? child.signalCode
}

function setup(): { path: string; directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'kiq-sqlite-processes-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return { path: join(directory, 'kiq.db'), directory }
}

async function openHere(path: string): Promise<SqliteTransport> {
  const transport = new SqliteTransport({ path, lease: LEASE_MS })
  await transport.start({
    role: 'worker',
    workerId: 'here',
    logger: silentLogger,
    defaultQueue: 'q',
    onCancel: () => undefined,
    onLeaseLost: () => undefined,
  })
  onTestFinished(() => transport.stop())
  return transport
}

const message = (taskId: string) => ({ taskId, taskName: 't', queue: 'q', body: taskId, labels: {} })

const take = async (transport: SqliteTransport, withinMs: number): Promise<Delivery | undefined> =>
  (await transport.receive({ queues: ['q'], max: 1, signal: AbortSignal.timeout(withinMs) }))[0]

describe('several processes', () => {
  it('open a fresh file at the same time', { timeout: 60_000 }, async () => {
    for (let round = 0; round < 3; round += 1) {
      const { path } = setup()
      const children = Array.from({ length: 6 }, () =>
        run(
          path,
          "await tell({ up: 1 }); await told('go'); await start('worker'); await transport.send([message('x')])\n" +
            'await transport.stop(); process.disconnect()',
        ),
      )
      await Promise.all(children.map((child) => child.fact('up')))
      for (const child of children) child.process.send('go')

      expect(await Promise.all(children.map(exitOf))).toEqual([0, 0, 0, 0, 0, 0])
      expect(await (await openHere(path)).inspect()).toMatchObject([{ ready: 6 }])
    }
  })

  it('keep a lease while the event loop of its holder is blocked for three leases', async () => {
    const { path } = setup()
    const here = await openHere(path)
    await here.send([message('a')])
    const child = run(
      path,
      `await start('worker'); const delivery = await take(); await tell({ taken: 1 })
      const end = Date.now() + ${3 * LEASE_MS}; while (Date.now() < end);
      await tell({ outcome: await transport.settle([{ kind: 'ack', delivery }]) })`,
    )
    await child.fact('taken')

    expect(await take(here, 3 * LEASE_MS - 200)).toBeUndefined()
    expect(await child.fact('outcome')).toEqual(['settled'])
    expect(child.facts.filter((fact) => 'lost' in fact)).toEqual([])
  })

  it('refuse the ack of a process that was frozen for longer than its lease', async () => {
    const { path } = setup()
    const here = await openHere(path)
    await here.send([message('a')])
    const child = run(
      path,
      `await start('worker'); const delivery = await take(); await tell({ taken: 1 }); await told('ack')
      await tell({ outcome: await transport.settle([{ kind: 'ack', delivery }]) })
      await tell({ next: (await take()).taskId })`,
    )
    await child.fact('taken')
    child.process.kill('SIGSTOP')
    const delivery = await take(here, 1.5 * LEASE_MS)
    expect(delivery?.attempt).toBe(2)

    child.process.send('ack')
    child.process.kill('SIGCONT')

    expect(await child.fact('outcome')).toEqual(['stale'])
    expect(delivery && (await here.settle([{ kind: 'ack', delivery }]))).toEqual(['settled'])
    await here.send([message('b')])
    expect(await child.fact('next')).toBe('b')
  })

  it('get the messages of one that was killed, before its lease is over', async () => {
    const { path } = setup()
    const here = await openHere(path)
    await here.send([message('a')])
    const child = run(path, "await start('worker'); await take(); await tell({ taken: 1 })")
    await child.fact('taken')
    child.process.kill('SIGKILL')
    await exitOf(child)

    expect((await take(here, LEASE_MS))?.attempt).toBe(2)
  })

  it('find every message of a killed producer that was accepted', async () => {
    const { path } = setup()
    const child = run(
      path,
      `await start('client')
      for (let n = 0; ; n += 10) {
        await transport.send(Array.from({ length: 10 }, (_, i) => message(String(n + i))))
        process.send({ accepted: n + 10 })
      }`,
    )
    await until(() => child.facts.length > 50, SOON)
    child.process.kill('SIGKILL')
    await exitOf(child)

    const accepted = child.facts.length * 10
    const [depth] = await (await openHere(path)).inspect()
    expect(depth?.ready).toBeGreaterThanOrEqual(accepted)
    const client = new (loadDriver(silentLogger).driver.DatabaseSync)(path, { timeout: 1_000 })
    expect(client.prepare('PRAGMA integrity_check').get()).toMatchObject({ integrity_check: 'ok' })
    client.close()
  })

  it('lose no task when workers are killed at any moment', { timeout: 60_000 }, async () => {
    const { path } = setup()
    const here = await openHere(path)
    const results = new SqliteResultBackend({ path })
    await results.start({ logger: silentLogger })
    onTestFinished(() => results.stop())
    const ids = Array.from({ length: 3_000 }, (_, i) => `task ${i}`)
    const done = new Set<string>()
    for (const taskId of ids) results.subscribe(taskId, () => done.add(taskId))
    await here.send(ids.map(message))
    const work = `await start('worker'); await tell({ up: 1 })
      for (;;) {
        const taken = await transport.receive({ queues: ['q'], max: 20, signal: new AbortController().signal })
        await new Promise((resolve) => setTimeout(resolve, 1))
        const result = (delivery) => ({ taskId: delivery.taskId, body: 'done', ttlMs: 60000 })
        await transport.settle(taken.map((delivery) => ({ kind: 'ack', delivery, result: result(delivery) })))
      }`
    for (let kill = 0; kill < 4; kill += 1) {
      const child = run(path, work)
      await child.fact('up')
      const enough = done.size + 300
      await until(() => done.size >= Math.min(enough, ids.length), { timeoutMs: 20_000, everyMs: 1 })
      child.process.kill('SIGKILL')
    }

    run(path, work)

    await until(() => done.size === ids.length, SOON)
    await until(async () => (await here.inspect()).length === 0, SOON)
  })

  it('end by themselves: the heartbeat keeps none alive', async () => {
    const { path } = setup()
    const stopped = run(path, "await start('worker'); await transport.stop(); process.disconnect()")
    const careless = run(path, "await start('worker'); process.disconnect()")

    expect(await exitOf(stopped)).toBe(0)
    expect(await exitOf(careless)).toBe(0)
  })
})

describe.skipIf(process.platform === 'win32')('a file that may not be written', () => {
  /** Root may write anything, so a child of root becomes nobody first. */
  const tryToOpen = `if (process.getuid() === 0) process.setuid(65534)
    await start('client').then(() => transport.send([message('x')])).then(
      () => tell({ error: 'none' }), (error) => tell({ error: error.code + ' ' + error.message }))`

  it('is refused with the remedy', async () => {
    const { path, directory } = setup()
    await (await openHere(path)).stop()
    chmodSync(path, 0o444)
    chmodSync(directory, 0o555)

    const error = await run(path, tryToOpen).fact('error')
    chmodSync(directory, 0o755)

    expect(error).toContain('KIQ_CONFIG_INVALID')
    expect(error).toContain('cannot be written')
  })

  it('is refused with the remedy when only the directory is closed', async () => {
    const { path, directory } = setup()
    chmodSync(directory, 0o555)

    const error = await run(path, tryToOpen).fact('error')
    chmodSync(directory, 0o755)

    expect(error).toContain('KIQ_CONFIG_INVALID')
    expect(error).toContain('directory')
  })
})
