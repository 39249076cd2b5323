import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import type { Broker, SentTask } from 'kiq'
import { describe, expect, it } from 'vitest'

import { startProject } from './project.ts'

const TASKS = 20_000
const KILLING_SECONDS = 60
const PROCESSES = 3
const CONCURRENCY = 20

interface LedgerLine {
  readonly at: number
  readonly event: 'start' | 'end'
  readonly n: number
  readonly pid: number
}

describe('workers that are killed at random', () => {
  it(
    'lose no task, and each has exactly one result',
    async () => {
      const project = await startProject(['--processes', String(PROCESSES), '--concurrency', String(CONCURRENCY)])
      const { broker, work, supervisor, dir } = project
      try {
        const sent: SentTask<number>[] = []
        for (let n = 0; n < TASKS; n += 1_000) {
          sent.push(...(await work.kiqMany(Array.from({ length: 1_000 }, (_, k) => [n + k, (n + k) % 240]))))
        }
        const results = Promise.all(sent.map((task) => task.result({ timeout: '4m' })))
        const kills = await killAtRandom(supervisor.pid as number, KILLING_SECONDS * 1000)

        const values = await results

        expect(values).toEqual(Array.from({ length: TASKS }, (_, n) => n * 2))
        const ledger = readLedger(dir)
        const ends = countBy(ledger.filter(({ event }) => event === 'end'))
        const starts = countBy(ledger.filter(({ event }) => event === 'start'))
        const lost = Array.from({ length: TASKS }, (_, n) => n).filter((n) => !ends.has(n))
        const twice = [...ends.values()].filter((count) => count > 1).length
        const redelivery = redeliveryTimes(ledger, kills)
        console.log(
          `killed ${kills.length} workers in ${KILLING_SECONDS} s: ${TASKS} tasks, lost ${lost.length}, started more than once ` +
            `${[...starts.values()].filter((count) => count > 1).length}, finished more than once ${twice}, redelivered ` +
            `${redelivery.length}, after p50 ${percentile(redelivery, 0.5)} ms, p90 ${percentile(redelivery, 0.9)} ms, ` +
            `max ${percentile(redelivery, 1)} ms`,
        )
        expect(lost).toEqual([])
        expect(kills.length).toBeGreaterThan(10)
        // What ran when its worker was killed, and only that, may have run to its end twice.
        expect(twice).toBeLessThanOrEqual(kills.length * CONCURRENCY)
        expect(percentile(redelivery, 0.9)).toBeLessThan(1_000)
        // A refused late outcome would leave its message; a doubled one a second row.
        expect(await leftovers(broker)).toEqual({ ready: 0, delayed: 0, running: 0, dead: 0 })
      } finally {
        await project.close()
      }
    },
    6 * 60_000,
  )
})

interface Kill {
  readonly at: number
  readonly pid: number
}

async function killAtRandom(supervisor: number, ms: number): Promise<Kill[]> {
  const kills: Kill[] = []
  const until = Date.now() + ms
  while (Date.now() < until) {
    await new Promise((wait) => setTimeout(wait, 200 + Math.random() * 1_800))
    const children = childrenOf(supervisor)
    const pid = children[Math.floor(Math.random() * children.length)]
    if (pid === undefined) continue
    kills.push({ at: Date.now(), pid })
    process.kill(pid, 'SIGKILL')
  }
  return kills
}

function childrenOf(pid: number): number[] {
  const text = execFileSync('ps', ['-o', 'pid=,ppid=', '-A'], { encoding: 'utf8' })
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === pid)
    .map(([child]) => child as number)
}

function readLedger(from: string): LedgerLine[] {
  return readdirSync(from)
    .filter((name) => name.startsWith('ledger-'))
    .flatMap((name) => readFileSync(join(from, name), 'utf8').trim().split('\n'))
    .map((line) => {
      const [at, event, n, pid] = line.split(' ')
      return { at: Number(at), event: event as LedgerLine['event'], n: Number(n), pid: Number(pid) }
    })
}

function countBy(lines: readonly LedgerLine[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const { n } of lines) counts.set(n, (counts.get(n) ?? 0) + 1)
  return counts
}

/** For each task that was running in a killed worker: milliseconds from the kill to its next start. */
function redeliveryTimes(ledger: readonly LedgerLine[], kills: readonly Kill[]): number[] {
  const byTask = new Map<number, LedgerLine[]>()
  for (const line of ledger) byTask.set(line.n, [...(byTask.get(line.n) ?? []), line])
  return kills.flatMap(({ at, pid }) => {
    const times: number[] = []
    for (const lines of byTask.values()) {
      const ran = lines.some((line) => line.pid === pid && line.event === 'start')
      const finished = lines.some((line) => line.pid === pid && line.event === 'end')
      if (!ran || finished) continue
      const next = lines.filter((line) => line.pid !== pid && line.event === 'start' && line.at >= at)
      if (next.length > 0) times.push(Math.min(...next.map((line) => line.at)) - at)
    }
    return times
  })
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}

async function leftovers(broker: Broker): Promise<object> {
  const total = { ready: 0, delayed: 0, running: 0, dead: 0 }
  for (const depth of (await broker.transport.inspect?.()) ?? []) {
    total.ready += depth.ready
    total.delayed += depth.delayed
    total.running += depth.running
    total.dead += depth.dead
  }
  return total
}
