import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import { Broker, silentLogger } from 'kiq'
import { MemoryTransport } from 'kiq/memory'
import { ListRedisScheduleSource } from 'kiq/redis'
import { InMemoryScheduleSource, Scheduler } from 'kiq/scheduler'
import { SqliteScheduleSource } from 'kiq/sqlite'

import { percentile } from './measure.mjs'
import { redisVersion, startServer } from './redis/server.mjs'

/** @typedef {import('kiq/scheduler').WritableScheduleSource} Source */
/** @typedef {{ readonly schedules: number, readonly idleSeconds: number }} Size */

/**
 * What many schedules cost while nothing is due, and how late they fire when all are due at once.
 *
 * @param {Size} size
 */
export async function benchScheduler(size) {
  const rows = [await idle('memory', new InMemoryScheduleSource(), size)]
  const dir = mkdtempSync(join(tmpdir(), 'kiq-bench-'))
  try {
    rows.push(await idle('sqlite', new SqliteScheduleSource({ path: join(dir, 'kiq.db') }), size))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
  if (redisVersion() !== undefined) {
    const server = await startServer()
    try {
      rows.push(await idle('redis', new ListRedisScheduleSource({ url: server.url }), size))
    } finally {
      await server.stop()
    }
  }
  rows.push(await burst(size))
  return rows
}

/**
 * @param {string} name
 * @param {Source} source
 * @param {Size} size
 */
async function idle(name, source, { schedules, idleSeconds }) {
  await source.startup()
  for (let n = 0; n < schedules; n += 500) {
    await Promise.all(Array.from({ length: Math.min(500, schedules - n) }, (_, k) => source.addSchedule(yearly(n + k))))
  }
  const { broker } = target()
  const scheduler = new Scheduler(broker, [source], { logger: silentLogger })
  const end = new AbortController()
  const running = scheduler.run({ signal: end.signal })
  while (scheduler.nextRuns({ count: 1 }).length === 0) await pause(50)
  await pause(2_000)
  const cpu = process.cpuUsage()
  await pause(idleSeconds * 1_000)
  const { user, system } = process.cpuUsage(cpu)
  end.abort()
  await running
  const share = (user + system) / 1e6 / idleSeconds
  return {
    suite: 'scheduler',
    what: `${count(schedules)} cron schedules in ${name}, nothing due`,
    against: `${(share * 100).toFixed(2)} % of a core (aim: under 2 %)`,
  }
}

/** @param {Size} size */
async function burst({ schedules }) {
  const source = new InMemoryScheduleSource()
  const { broker, late } = target()
  const time = Date.now() + 2_000
  for (let n = 0; n < schedules; n += 1) await source.addSchedule({ ...plain(n), labels: { time }, time })
  const end = new AbortController()
  const running = new Scheduler(broker, [source], { logger: silentLogger }).run({ signal: end.signal })
  while (late.length < schedules) await pause(20)
  end.abort()
  await running
  return {
    suite: 'scheduler',
    what: `${count(schedules)} schedules due at once: how late they are sent`,
    p50: percentile(late, 0.5),
    p99: percentile(late, 0.99),
  }
}

/** A broker that notes how late each firing of a `time` is sent. */
function target() {
  /** @type {number[]} */
  const late = []
  const transport = new MemoryTransport({ maxMessages: 1_000_000 })
  const broker = new Broker(transport, { logger: silentLogger })
  broker.task('noop', () => {})
  broker.withMiddlewares({
    postSend: ({ labels }) => void late.push(Date.now() - Number(labels['time'] ?? Date.now())),
  })
  return { broker, late }
}

/**
 * Due on the first of January alone, at one of many times.
 *
 * @param {number} n
 */
function yearly(n) {
  return { ...plain(n), cron: `${n % 60} ${Math.floor(n / 60) % 24} 1 1 *`, timeZone: ZONES[n % ZONES.length] }
}

const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Sydney']

/** @param {number} n */
function plain(n) {
  return { scheduleId: `bench-${n}`, taskName: 'noop', labels: {}, args: [n], kwargs: {} }
}

/** @param {number} number */
function count(number) {
  return number.toLocaleString('en-US')
}
