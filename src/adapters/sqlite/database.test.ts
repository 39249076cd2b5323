import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { describe, expect, it, onTestFinished } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import { loadDriver } from './client.ts'
import type { SqliteClient } from './client.ts'
import { Database } from './database.ts'
import { Purger } from './purger.ts'
import { acquireDatabase } from './registry.ts'
import { SqliteResultBackend } from './result-backend.ts'
import { SqliteTransport } from './transport.ts'

function freshPath(): string {
  const directory = mkdtempSync(join(tmpdir(), 'kiq-sqlite-database-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'kiq.db')
}

async function setup(busyTimeoutMs = 5_000): Promise<{ database: Database; other: SqliteClient }> {
  const path = freshPath()
  const database = await Database.open({ path, busyTimeoutMs, logger: silentLogger })
  const other = new (loadDriver(silentLogger).driver.DatabaseSync)(path, { timeout: 0 })
  onTestFinished(async () => {
    other.close()
    await database.close()
  })
  return { database, other }
}

const addSchedule = (database: Database, id: string) => (): void => {
  database.prepare("INSERT INTO schedules VALUES (?, '{}')").run(id)
}

const ids = (database: Database): unknown[] =>
  database
    .prepare('SELECT schedule_id AS id FROM schedules ORDER BY rowid')
    .all()
    .map((row) => (row as { id: string }).id)

describe('Database.write', () => {
  it('waits for the lock of another process without stopping the event loop', async () => {
    const { database, other } = await setup()
    other.exec('BEGIN IMMEDIATE')
    let turns = 0
    const timer = setInterval(() => (turns += 1), 5)

    const written = database.write(addSchedule(database, 'a'))
    await delay(200)
    expect(ids(database)).toEqual([])
    other.exec('COMMIT')
    await written

    clearInterval(timer)
    expect(ids(database)).toEqual(['a'])
    expect(turns).toBeGreaterThan(20)
  })

  it('gives up after the busy timeout, and works again when the lock is free', async () => {
    const { database, other } = await setup(100)
    other.exec('BEGIN IMMEDIATE')

    await expect(database.write(addSchedule(database, 'a'))).rejects.toMatchObject({
      code: 'KIQ_TRANSPORT_FAILED',
      message: expect.stringContaining('locked by another process'),
    })

    other.exec('COMMIT')
    await database.write(addSchedule(database, 'b'))
    expect(ids(database)).toEqual(['b'])
  })

  it('gives up when the signal aborts', async () => {
    const { database, other } = await setup()
    other.exec('BEGIN IMMEDIATE')

    const written = database.write(addSchedule(database, 'a'), { signal: AbortSignal.timeout(30) })

    await expect(written).rejects.toMatchObject({ code: 'KIQ_TRANSPORT_FAILED', cause: { name: 'TimeoutError' } })
    other.exec('COMMIT')
    expect(ids(database)).toEqual([])
  })

  it('handles writes in the order in which they were asked for, also when the first had to wait', async () => {
    const { database, other } = await setup()
    other.exec('BEGIN IMMEDIATE')
    const writes = ['a', 'b', 'c'].map((id) => database.write(addSchedule(database, id)))
    await delay(20)
    other.exec('COMMIT')
    await Promise.all(writes)

    expect(ids(database)).toEqual(['a', 'b', 'c'])
  })

  it('undoes everything when the body throws, and goes on', async () => {
    const { database } = await setup()
    const failing = database.write(() => {
      addSchedule(database, 'a')()
      addSchedule(database, 'a')()
    })

    await expect(failing).rejects.toMatchObject({ code: 'KIQ_TRANSPORT_FAILED' })
    await database.write(addSchedule(database, 'b'))
    expect(ids(database)).toEqual(['b'])
  })

  it('gives the event loop its turns between many writes', async () => {
    const { database } = await setup()
    let longest = 0
    let last = performance.now()
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 1)

    await Promise.all(Array.from({ length: 3_000 }, (_, i) => database.write(addSchedule(database, `${i}`))))

    clearInterval(timer)
    expect(ids(database)).toHaveLength(3_000)
    expect(longest).toBeLessThan(150)
  })

  it('finishes what was asked for before it closes', async () => {
    const { database, other } = await setup()
    other.exec('BEGIN IMMEDIATE')
    const written = database.write(addSchedule(database, 'a'))
    const closed = database.close()
    other.exec('COMMIT')

    await Promise.all([written, closed])
    expect(other.prepare('SELECT count(*) AS n FROM schedules').get()).toMatchObject({ n: 1 })
    await expect(database.write(addSchedule(database, 'b'))).rejects.toMatchObject({ code: 'KIQ_BROKER_NOT_STARTED' })
  })
})

describe('a full disk', () => {
  it('is a clear error that loses nothing, for producer, worker and results, and is over when space returns', async () => {
    const path = freshPath()
    const transport = new SqliteTransport({ path })
    const backend = new SqliteResultBackend({ path })
    const { database, release } = await startAll(transport, backend)
    const message = (taskId: string, bytes: number) => ({
      ...{ taskId, taskName: 't', queue: 'q', labels: {} },
      body: 'x'.repeat(bytes),
    })
    await transport.send([message('kept', 10)])
    const [delivery] = await transport.receive({ queues: ['q'], max: 1, signal: AbortSignal.timeout(1_000) })
    if (delivery === undefined) return expect.fail('nothing was received')
    limitPages(database, 40)

    await expect(transport.send([message('small', 10), message('big', 500_000)])).rejects.toMatchObject({
      code: 'KIQ_TRANSPORT_FAILED',
      message: expect.stringContaining('the disk is full'),
    })
    const result = { taskId: 'kept', body: 'y'.repeat(500_000) }
    await expect(transport.settle([{ kind: 'ack', delivery, result }])).rejects.toThrow('the disk is full')
    await expect(backend.save([result])).rejects.toMatchObject({ code: 'KIQ_RESULT_BACKEND_FAILED' })
    expect(await transport.inspect()).toMatchObject([{ ready: 0, running: 1 }])
    await transport.send([message('still fits', 10)])

    limitPages(database, 1_000_000)
    await transport.send([message('big', 500_000)])
    expect(await transport.settle([{ kind: 'ack', delivery, result }])).toEqual(['settled'])
    expect(await backend.get(['kept'])).toEqual([result.body])
    expect(await transport.inspect()).toMatchObject([{ ready: 2, running: 0 }])
    await release()
  })
})

async function startAll(
  transport: SqliteTransport,
  backend: SqliteResultBackend,
): Promise<{ database: Pick<Database, 'prepare'>; release: () => Promise<void> }> {
  await transport.start({
    role: 'worker',
    workerId: 'w',
    logger: silentLogger,
    defaultQueue: 'q',
    onCancel: () => undefined,
    onLeaseLost: () => undefined,
  })
  await backend.start({ logger: silentLogger })
  const shared = { path: transport.path, synchronous: 'normal', busyTimeoutMs: 1_000, logger: silentLogger } as const
  const { database, release } = await acquireDatabase({ ...shared, connection: 'process' })
  onTestFinished(async () => {
    await backend.stop()
    await transport.stop()
  })
  return { database, release }
}

function limitPages(database: Pick<Database, 'prepare'>, count: number): void {
  database.prepare(`PRAGMA max_page_count = ${count}`).get()
}

describe('Purger', () => {
  it('deletes what has expired, and only that', async () => {
    const { database } = await setup()
    const now = Date.now()
    await database.write(() => {
      const insert = database.prepare("INSERT INTO results (task_id, body, expires_at) VALUES (?, 'b', ?)")
      for (let i = 0; i < 1_200; i += 1) insert.run(`old ${i}`, now - 1)
      insert.run('young', now + 60_000)
      insert.run('eternal', null)
      database.prepare("INSERT INTO progress VALUES ('old', 'b', ?)").run(now - 1)
      database.prepare("INSERT INTO cancellations (task_id, expires_at) VALUES ('old', ?)").run(now - 1)
      database
        .prepare(
          `INSERT INTO dead_letters (queue, priority, task_id, task_name, body, attempt, reason, died_at, expires_at)
        VALUES ('q', 0, 'old', 't', 'b', 1, 'r', 0, ?)`,
        )
        .run(now - 1)
    })

    await new Purger(database, silentLogger).purge()

    expect(database.prepare('SELECT task_id FROM results ORDER BY seq').all()).toEqual([
      expect.objectContaining({ task_id: 'young' }),
      expect.objectContaining({ task_id: 'eternal' }),
    ])
    const others = 'SELECT (SELECT count(*) FROM progress) + (SELECT count(*) FROM cancellations)'
    expect(database.prepare(`${others} + (SELECT count(*) FROM dead_letters) AS n`).get()).toMatchObject({ n: 0 })
  })
})
