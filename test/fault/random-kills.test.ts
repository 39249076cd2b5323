import type { SentTask } from 'kiq'
import { describe, expect, it } from 'vitest'

import type { Kill } from './ledger.ts'
import { childrenOf, countBy, leftovers, moreThanOnce, percentile, readLedger, redeliveryTimes } from './ledger.ts'
import { startProject } from './project.ts'

const TASKS = 20_000
const KILLING_SECONDS = 60
const PROCESSES = 3
const CONCURRENCY = 20

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
        const kills = await killAtRandom(supervisor, KILLING_SECONDS * 1000)

        const values = await results

        expect(values).toEqual(Array.from({ length: TASKS }, (_, n) => n * 2))
        const ledger = readLedger(dir)
        const ends = countBy(ledger.filter(({ event }) => event === 'end'))
        const starts = countBy(ledger.filter(({ event }) => event === 'start'))
        const lost = Array.from({ length: TASKS }, (_, n) => n).filter((n) => !ends.has(n))
        const twice = moreThanOnce(ends).length
        const redelivery = redeliveryTimes(ledger, kills)
        console.log(
          `killed ${kills.length} workers in ${KILLING_SECONDS} s: ${TASKS} tasks, lost ${lost.length}, started more than once ` +
            `${moreThanOnce(starts).length}, finished more than once ${twice}, redelivered ` +
            `${redelivery.length}, after p50 ${percentile(redelivery, 0.5)} ms, p90 ${percentile(redelivery, 0.9)} ms, ` +
            `max ${percentile(redelivery, 1)} ms`,
        )
        expect(lost).toEqual([])
        expect(kills.length).toBeGreaterThan(10)
        // What ran when its worker was killed, and only that, may have run to its end twice.
        expect(twice).toBeLessThanOrEqual(kills.length * CONCURRENCY)
        // The slow ones are those of a moment in which no process was alive, on a machine with other work.
        expect(percentile(redelivery, 0.5)).toBeLessThan(1_000)
        // A refused late outcome would leave its message; a doubled one a second row.
        expect(await leftovers(broker)).toEqual({ ready: 0, delayed: 0, running: 0, dead: 0 })
      } finally {
        await project.close()
      }
    },
    6 * 60_000,
  )
})

async function killAtRandom(supervisor: { readonly pid?: number | undefined }, ms: number): Promise<Kill[]> {
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
