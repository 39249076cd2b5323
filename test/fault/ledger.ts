import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import type { Transport } from '../../src/contract/index.ts'
import { isAlive } from '../cli/kit.ts'

export interface LedgerLine {
  readonly at: number
  /** `start`, `end` or `aborted:` and a code. */
  readonly event: string
  readonly n: number
  readonly pid: number
  readonly attempt: number
}

export interface Kill {
  readonly at: number
  readonly pid: number
}

/** What executions have left in the folder: a line for each event, of every process. */
export function readLedger(dir: string): readonly LedgerLine[] {
  return readdirSync(dir)
    .filter((name) => name.startsWith('ledger-'))
    .flatMap((name) => readFileSync(join(dir, name), 'utf8').trim().split('\n'))
    .map((line) => {
      const [at, event = '', n, pid, attempt] = line.split(' ')
      return { at: Number(at), event, n: Number(n), pid: Number(pid), attempt: Number(attempt) }
    })
}

/** The processes of a supervisor that live now. */
export function childrenOf({ pid }: { readonly pid?: number | undefined }): readonly number[] {
  const text = execFileSync('ps', ['-o', 'pid=,ppid=', '-A'], { encoding: 'utf8' })
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === pid)
    .map(([child]) => child as number)
    .filter(isAlive)
}

export function countBy(lines: readonly LedgerLine[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>()
  for (const { n } of lines) counts.set(n, (counts.get(n) ?? 0) + 1)
  return counts
}

export function moreThanOnce(counts: ReadonlyMap<number, number>): readonly number[] {
  return [...counts].filter(([, count]) => count > 1).map(([n]) => n)
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}

/** For each task that was running in a killed worker: milliseconds from the kill to its next start. */
export function redeliveryTimes(ledger: readonly LedgerLine[], kills: readonly Kill[]): readonly number[] {
  const byTask = new Map<number, LedgerLine[]>()
  for (const line of ledger) {
    const known = byTask.get(line.n)
    if (known) known.push(line)
    else byTask.set(line.n, [line])
  }
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

/** Everything that is anywhere in the queues. */
export async function leftovers({ transport }: { readonly transport: Pick<Transport, 'inspect'> }): Promise<object> {
  const total = { ready: 0, delayed: 0, running: 0, dead: 0 }
  for (const depth of (await transport.inspect?.()) ?? []) {
    total.ready += depth.ready
    total.delayed += depth.delayed
    total.running += depth.running
    total.dead += depth.dead
  }
  return total
}
