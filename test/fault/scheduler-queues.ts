import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { onTestFinished } from 'vitest'

import { ListRedisScheduleSource } from '../../src/adapters/redis/index.ts'
import { loadDriver } from '../../src/adapters/sqlite/client.ts'
import { SqliteScheduleSource } from '../../src/adapters/sqlite/index.ts'
import { silentLogger } from '../../src/index.ts'
import type { WritableScheduleSource } from '../../src/scheduler/index.ts'
import type { RedisOptions, RedisServer } from '../support/redis-server.ts'
import { startRedis } from '../support/redis-server.ts'
import type { Arrival } from './scheduler-firings.ts'

/** A queue that nobody serves, so that everything sent stays in it, and the source beside it. */
export interface FaultQueue {
  readonly engine: 'SQLite' | 'Redis'
  /** Options of the broker and the source. */
  readonly place: { readonly path: string } | { readonly url: string }
  /** Started. */
  readonly source: WritableScheduleSource
  /** All that has come into the queue so far, in that order. */
  arrivals(): Promise<readonly Arrival[]>
  /** Resolves the moment that a message of that task comes: who has sent it has not noted yet that it did. */
  caught(taskName: string): Promise<void>
}

export interface RedisFaultQueue extends FaultQueue {
  readonly server: RedisServer
}

interface MessageRow {
  readonly id: number
  readonly body: string | Uint8Array
}

type StreamEntry = readonly [id: string, fields: readonly string[]]

const LOOK_MS = 10
/** Something comes every second, unless the lead has just gone to another. */
const CATCH_MS = 2_000

/** Rows do not say when they came: somebody looks all the time. What that adds counts as lateness. */
export async function sqliteQueue(): Promise<FaultQueue> {
  const dir = mkdtempSync(join(tmpdir(), 'kiq-fault-queue-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const place = { path: join(dir, 'kiq.db') }
  const source = new SqliteScheduleSource(place)
  onTestFinished(() => source.shutdown())
  await source.startup()
  const { DatabaseSync } = loadDriver(silentLogger).driver
  const database = new DatabaseSync(place.path, { timeout: 5_000 })
  // Ids count up, and a transaction that gives a later one is a later one: there is one writer at a time.
  const select = database.prepare('SELECT id, body FROM messages WHERE id > ? ORDER BY id')
  const find = database.prepare('SELECT 1 FROM messages WHERE id > ? AND task_name = ? LIMIT 1')
  const arrivals: Arrival[] = []
  let lastId = 0
  const look = (): void => {
    for (const { id, body } of select.all(lastId) as MessageRow[]) {
      lastId = id
      arrivals.push({ ...read(Buffer.from(body).toString()), at: Date.now() })
    }
  }
  const timer = setInterval(look, LOOK_MS)
  onTestFinished(() => {
    clearInterval(timer)
    database.close()
  })
  return {
    engine: 'SQLite',
    place,
    source,
    arrivals: async () => {
      look()
      return arrivals
    },
    caught: async (taskName) => {
      look()
      const end = performance.now() + CATCH_MS
      // Without a pause, in which the moment would pass.
      while (find.get(lastId, taskName) === undefined && performance.now() < end);
    },
  }
}

/** The entries of a stream say when they came, by the clock of Redis, which is the one of this machine. */
export async function redisQueue(options: RedisOptions = {}): Promise<RedisFaultQueue> {
  const server = await startRedis(options)
  onTestFinished(() => server.close())
  const place = { url: server.url }
  const source = new ListRedisScheduleSource(place)
  onTestFinished(() => source.shutdown())
  await source.startup()
  return {
    engine: 'Redis',
    place,
    source,
    server,
    arrivals: async () => {
      const entries = (await server.command('XRANGE', 'taskiq', '-', '+')) as readonly StreamEntry[]
      return entries.map(([id, fields]) => ({
        ...read(fields[fields.indexOf('data') + 1] ?? ''),
        at: Number.parseInt(id, 10),
      }))
    },
    caught: async (taskName) => {
      let last = '$'
      for (let found: StreamEntry[] = []; !found.some(([, fields]) => fields.join().includes(`"${taskName}"`));) {
        const reply = await server.command(
          'XREAD',
          'COUNT',
          '100',
          'BLOCK',
          String(CATCH_MS),
          'STREAMS',
          'taskiq',
          last,
        )
        found = (reply as [string, StreamEntry[]][] | null)?.[0]?.[1] ?? []
        last = found.at(-1)?.[0] ?? last
      }
    },
  }
}

function read(body: string): Omit<Arrival, 'at'> {
  const message = JSON.parse(body) as { readonly task_id: string; readonly labels: { readonly schedule_id: string } }
  return { scheduleId: message.labels.schedule_id, taskId: message.task_id }
}
