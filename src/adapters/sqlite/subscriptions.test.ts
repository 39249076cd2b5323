import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, it, onTestFinished } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import { until } from '../../testing/until.ts'
import { SqliteResultBackend } from './result-backend.ts'

async function setup(): Promise<{ waiter: SqliteResultBackend; saver: SqliteResultBackend }> {
  const directory = mkdtempSync(join(tmpdir(), 'kiq-sqlite-subscriptions-'))
  const path = join(directory, 'kiq.db')
  const waiter = new SqliteResultBackend({ path })
  const saver = new SqliteResultBackend({ path }, { connection: 'own' })
  await waiter.start({ logger: silentLogger })
  await saver.start({ logger: silentLogger })
  onTestFinished(async () => {
    await waiter.stop()
    await saver.stop()
    rmSync(directory, { recursive: true, force: true })
  })
  return { waiter, saver }
}

/** Milliseconds until `count` waiting subscribers were told of results that another connection saves. */
async function timeToTell(count: number): Promise<number> {
  const { waiter, saver } = await setup()
  const ids = Array.from({ length: count }, () => randomUUID())
  const told = new Map<string, unknown>()
  for (const taskId of ids) waiter.subscribe(taskId, (body) => told.set(taskId, body))
  const since = performance.now()
  for (let from = 0; from < count; from += 500) {
    await saver.save(ids.slice(from, from + 500).map((taskId) => ({ taskId, body: `of ${taskId}` })))
  }
  await until(() => told.size === count, { timeoutMs: 30_000, everyMs: 2 })
  expect(ids.every((taskId) => told.get(taskId) === `of ${taskId}`)).toBe(true)
  return performance.now() - since
}

describe('Subscriptions', () => {
  it('costs the same for each of many waiters', async () => {
    await timeToTell(1_000)
    const fewMs = (await timeToTell(5_000)) / 5_000
    const manyMs = (await timeToTell(50_000)) / 50_000

    expect(manyMs).toBeLessThan(Math.max(4 * fewMs, 0.2))
  })

  it('finds the few that are wanted among many that are not', async () => {
    const { waiter, saver } = await setup()
    const told: string[] = []
    waiter.subscribe('wanted', () => told.push('wanted'))
    const others = (): { taskId: string; body: string }[] =>
      Array.from({ length: 1_500 }, () => ({ taskId: randomUUID(), body: 'x' }))
    await saver.save(others())
    await saver.save([...others(), { taskId: 'wanted', body: 'y' }, ...others()])

    await until(() => told.length > 0, { timeoutMs: 5_000 })
    expect(told).toEqual(['wanted'])
  })

  it('tells a listener that subscribes while another one is told', async () => {
    const { waiter, saver } = await setup()
    const told: string[] = []
    waiter.subscribe('a', () => {
      told.push('a')
      waiter.subscribe('b', () => told.push('b'))
    })
    await saver.save([
      { taskId: 'a', body: '1' },
      { taskId: 'b', body: '2' },
    ])

    await until(() => told.length === 2, { timeoutMs: 5_000 })
    expect(told).toEqual(['a', 'b'])
  })

  it('ends with a stop that a listener asks for', async () => {
    const { waiter, saver } = await setup()
    const told: string[] = []
    waiter.subscribe('a', () => {
      told.push('a')
      void waiter.stop()
    })
    waiter.subscribe('b', () => told.push('b'))
    await saver.save([
      { taskId: 'a', body: '1' },
      { taskId: 'b', body: '2' },
    ])
    await until(() => told.length > 0, { timeoutMs: 5_000 })
    await new Promise((resolve) => setTimeout(resolve, 100))

    expect(told).toEqual(['a'])
  })
})
