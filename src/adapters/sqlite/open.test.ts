import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it, onTestFinished } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import { loadDriver } from './client.ts'
import { resolvePath } from './open.ts'
import { acquireDatabase } from './registry.ts'
import type { DatabaseLease, DatabaseRequest } from './registry.ts'
import { SqliteResultBackend } from './result-backend.ts'
import { SqliteTransport } from './transport.ts'

function setup(): { directory: string; file: (name: string) => string } {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'kiq-sqlite-open-')))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return { directory, file: (name) => join(directory, name) }
}

async function open(path: string, change: Partial<DatabaseRequest> = {}): Promise<DatabaseLease> {
  const lease = await acquireDatabase({
    path,
    synchronous: 'normal',
    busyTimeoutMs: 1_000,
    logger: silentLogger,
    connection: 'process',
    ...change,
  })
  onTestFinished(() => lease.release())
  return lease
}

/** Runs SQL on a file as another application would. */
function asOther(path: string, sql: string): void {
  const client = new (loadDriver(silentLogger).driver.DatabaseSync)(path, { timeout: 1_000 })
  client.exec(sql)
  client.close()
}

describe('opening a database', () => {
  it('creates the file and the directories above it', async () => {
    const path = setup().file('a/b/kiq.db')
    await open(path)

    expect(statSync(path).isFile()).toBe(true)
  })

  it('finds what an earlier process stored', async () => {
    const path = setup().file('kiq.db')
    const first = await open(path)
    await first.database.write(() => first.database.prepare("INSERT INTO schedules VALUES ('a', '{}')").run())
    await first.release()

    const { database } = await open(path)

    expect(database.prepare('SELECT count(*) AS n FROM schedules').get()).toMatchObject({ n: 1 })
  })

  it.each(['hello', 'x'.repeat(5_000)])('refuses a file that is no database: %.5s', async (text) => {
    const path = setup().file('notes.txt')
    writeFileSync(path, text)

    await expect(open(path)).rejects.toMatchObject({
      code: 'KIQ_CONFIG_INVALID',
      message: expect.stringContaining(`"${path}" is not a SQLite database`),
    })
  })

  it('refuses a directory', async () => {
    const path = setup().file('kiq.db')
    mkdirSync(path)

    await expect(open(path)).rejects.toMatchObject({
      code: 'KIQ_CONFIG_INVALID',
      message: expect.stringContaining('must name a file'),
    })
  })

  it('refuses a path below a file', async () => {
    const { file } = setup()
    writeFileSync(file('occupied'), '')

    await expect(open(file('occupied/kiq.db'))).rejects.toMatchObject({
      code: 'KIQ_CONFIG_INVALID',
      message: expect.stringContaining('cannot be created'),
    })
  })

  it("refuses another application's database, and leaves it alone", async () => {
    const path = setup().file('app.db')
    asOther(path, 'CREATE TABLE users (name TEXT)')

    await expect(open(path)).rejects.toMatchObject({
      code: 'KIQ_CONFIG_INVALID',
      message: expect.stringContaining('Give Kiq a file of its own'),
    })
  })

  it('refuses the schema of a newer version', async () => {
    const path = setup().file('kiq.db')
    await (await open(path)).release()
    asOther(path, 'PRAGMA user_version = 99')

    await expect(open(path)).rejects.toMatchObject({
      code: 'KIQ_CONFIG_INVALID',
      message: expect.stringContaining('schema version 99'),
    })
  })

  it('can be tried again after it failed', async () => {
    const path = setup().file('kiq.db')
    writeFileSync(path, 'x'.repeat(5_000))
    await expect(open(path)).rejects.toThrow()
    rmSync(path)

    expect((await open(path)).database.path).toBe(path)
  })
})

describe('acquireDatabase', () => {
  it('gives one connection to everybody on a file, until the last one releases it', async () => {
    const path = setup().file('kiq.db')
    const [one, two] = await Promise.all([open(path), open(path)])

    expect(two.database).toBe(one.database)
    await one.release()
    await one.release()
    expect(await two.database.read(() => 'still open')).toBe('still open')

    await two.release()
    await expect(two.database.read(() => 'open?')).rejects.toMatchObject({ code: 'KIQ_BROKER_NOT_STARTED' })
    expect((await open(path)).database).not.toBe(one.database)
  })

  it('keeps the stricter of two wishes for durability', async () => {
    const path = setup().file('kiq.db')
    const { database } = await open(path, { synchronous: 'full' })
    await open(path, { synchronous: 'normal' })

    expect(database.prepare('PRAGMA synchronous').get()).toMatchObject({ synchronous: 2 })
  })
})

describe('resolvePath', () => {
  it('gives one name to one file', () => {
    const { directory, file } = setup()
    mkdirSync(file('real'))
    symlinkSync(file('real'), file('link'))

    expect(resolvePath(file('link/new/../kiq.db'))).toBe(join(directory, 'real', 'kiq.db'))
  })

  it.each(['', ':memory:', 'file:kiq.db?mode=ro', 'a\0b', undefined, 7])('refuses %j', (path) => {
    expect(() => resolvePath(path)).toThrow(expect.objectContaining({ code: 'KIQ_CONFIG_INVALID' }))
  })
})

describe('SqliteTransport.joins', () => {
  it('is true for the backend on the same file only', () => {
    const { file } = setup()
    const transport = new SqliteTransport({ path: file('kiq.db') })

    expect(transport.joins(new SqliteResultBackend({ path: file('x/../kiq.db') }))).toBe(true)
    expect(transport.joins(new SqliteResultBackend({ path: file('other.db') }))).toBe(false)
  })
})
