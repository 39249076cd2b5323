import { expect, it, onTestFinished } from 'vitest'

import { KiqError } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { sleep } from '../../src/util/abort.ts'
import { engineSuite } from '../support/engine-suite.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { redisEngine, startRedis } from '../support/redis-server.ts'
import type { LedgerLine } from './ledger.ts'
import { childrenOf, countBy, leftovers, moreThanOnce } from './ledger.ts'
import { canMeasureCpu, cpuMsOf, RedisProject, SOON } from './redis-project.ts'
import type { FaultClient } from './redis-project.ts'
import { messagesOf, startWorker } from './redis-workers.ts'

const EMPTY = { ready: 0, delayed: 0, running: 0, dead: 0 }
const OUTAGES_MS = [1_000, 2_000, 3_000]
const PATIENT_LANES = 8
const HASTY_LANES = 2

engineSuite('Redis that is killed and comes back', [redisEngine], () => {
  it.each([
    { kind: 'stream', outages: OUTAGES_MS },
    { kind: 'list', outages: OUTAGES_MS.slice(0, 1) },
  ] as const)(
    'with an append-only file loses nothing that was accepted: $kind',
    async ({ kind, outages }) => {
      const server = await startRedis({ appendonly: 'everysec' })
      onTestFinished(() => server.close())
      const project = new RedisProject({ kind, url: server.url })
      const supervisor = await project.workers(2, '--concurrency', '20')
      const patient = await project.client()
      const hasty = await project.client({ sendTimeout: 300 })
      const load = new Load(60_000)
      for (let lane = 0; lane < PATIENT_LANES; lane += 1) load.begin(patient)
      for (let lane = 0; lane < HASTY_LANES; lane += 1) load.begin(hasty)
      const pids = childrenOf(supervisor)

      const restarts: number[] = []
      for (const outageMs of outages) {
        await sleep(1_500)
        await everythingIsInTheFile(server)
        await server.kill()
        await sleep(outageMs)
        await server.start()
        restarts.push(Date.now())
      }
      await sleep(1_500)
      await load.end()
      const values = await Promise.all([...load.accepted.values()].map(({ outcome }) => outcome))

      await until(async () => JSON.stringify(await leftovers(patient.broker)) === JSON.stringify(EMPTY), SOON)
      const starts = project.told('start')
      const counts = countBy(starts)
      const lost = [...load.accepted.keys()].filter((n) => !counts.has(n))
      const twice = moreThanOnce(counts)
      const recovery = restarts.map((at) => firstAfter(starts, at) - at)
      console.log(
        `Redis, ${kind}, appendonly everysec, killed ${restarts.length} times, away for ${outages.join(', ')} ms: ` +
          `accepted ${load.accepted.size}, rejected ${load.rejected.length}, lost ${lost.length}, executed more than once ` +
          `${twice.length}, first task after ${recovery.join(', ')} ms`,
      )
      expect(values).toEqual([...load.accepted.keys()].map((n) => n * 2))
      expect(lost).toEqual([])
      expect(new Set(load.rejected)).toEqual(new Set(['KIQ_SEND_TIMED_OUT']))
      // Sent again, because the answer to the first time was lost.
      expect(twice.length).toBeLessThanOrEqual(outages.length * (PATIENT_LANES + HASTY_LANES))
      expect(Math.max(...recovery)).toBeLessThan(5_000)
      expect(childrenOf(supervisor)).toEqual(pids)
    },
    90_000,
  )

  it('without persistence loses what it held, and everything goes on by itself', async () => {
    const server = await startRedis()
    onTestFinished(() => server.close())
    const project = new RedisProject({ url: server.url })
    const supervisor = await project.workers(2, '--concurrency', '20')
    const patient = await project.client()
    const hasty = await project.client({ sendTimeout: 300 })
    // A worker in this process too, whose log shows what the others do.
    const local = await startWorker({ url: server.url }, { queues: ['other'] })
    const load = new Load(15_000)
    for (let lane = 0; lane < PATIENT_LANES; lane += 1) load.begin(patient)
    for (let lane = 0; lane < HASTY_LANES; lane += 1) load.begin(hasty)
    const pids = childrenOf(supervisor)

    const kills: number[] = []
    const restarts: number[] = []
    const cpu: number[] = []
    for (let outage = 0; outage < 2; outage += 1) {
      await sleep(1_000)
      await server.kill()
      kills.push(Date.now())
      await sleep(200)
      cpu.push(...(await cpuShares(pids, 3_000)))
      await server.start()
      restarts.push(Date.now())
    }
    await sleep(1_500)
    await load.end()

    const outcomes = await Promise.all(
      [...load.accepted].map(async ([n, { at, outcome }]) => ({ n, at, outcome: await outcome })),
    )
    const starts = project.told('start')
    const counts = countBy(starts)
    const lost = outcomes.filter(({ n }) => !counts.has(n))
    const lastKill = kills.at(-1) ?? 0
    const forgotten = outcomes.filter(({ n, outcome }) => counts.has(n) && outcome !== n * 2)
    const recovery = restarts.map((at) => firstAfter(starts, at) - at)
    console.log(
      `Redis without persistence, killed ${restarts.length} times: accepted ${load.accepted.size}, rejected ` +
        `${load.rejected.length}, lost ${lost.length}, executed but without a result ${forgotten.length}, executed more than ` +
        `once ${moreThanOnce(counts).length}, first task after ${recovery.join(', ')} ms; processor while it was away ${cpu.map((share) => `${share} %`).join(', ')}`,
    )
    // What was queued when Redis was killed, and nothing that was accepted after the last restart.
    expect(lost.filter(({ at }) => at > lastKill + 200)).toEqual([])
    // Of those that ran at that moment the outcome is lost, too: it was stored just before, or is refused afterwards.
    expect(forgotten.filter(({ at }) => at > lastKill + 200)).toEqual([])
    expect(new Set(load.rejected)).toEqual(new Set(['KIQ_SEND_TIMED_OUT']))
    expect(Math.max(...recovery)).toBeLessThan(5_000)
    expect(Math.max(...cpu)).toBeLessThan(30)
    expect(childrenOf(supervisor)).toEqual(pids)
    const flushes = supervisor.log.filter(({ msg }) => msg.startsWith('Redis lost the data of queue "taskiq"'))
    expect(new Set(flushes.map(({ role }) => role)).size).toBe(2)
    expect(messagesOf(local.log, 'warn').join()).toContain('Redis lost the data of queue "other"; going on')
    expect(supervisor.log.filter(({ msg }) => msg.includes('nobody handled'))).toEqual([])
  }, 90_000)
})

interface Accepted {
  /** `Date.now()` when `kiq()` resolved. */
  readonly at: number
  /** What the task returned, as told to somebody who waited all the time; the code when the wait failed. */
  readonly outcome: Promise<number | string>
}

/** Tasks that are sent all the time, one after the other in each lane, and waited for. */
class Load {
  readonly accepted = new Map<number, Accepted>()
  /** Codes. */
  readonly rejected: string[] = []
  readonly #waitMs: number
  readonly #lanes: Promise<void>[] = []
  #next = 0
  #isOver = false

  /** @param waitMs - Longest wait for a result. */
  constructor(waitMs: number) {
    this.#waitMs = waitMs
  }

  begin({ work }: Pick<FaultClient, 'work'>): void {
    this.#lanes.push(this.#run(work))
  }

  async end(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#lanes)
  }

  async #run(work: FaultClient['work']): Promise<void> {
    while (!this.#isOver) {
      const n = this.#next
      this.#next += 1
      try {
        const sent = await work.kiq(n, 20)
        const outcome = sent.result({ timeout: this.#waitMs }).then(({ value }) => value, codeOf)
        this.accepted.set(n, { at: Date.now(), outcome })
      } catch (error) {
        this.rejected.push(codeOf(error))
      }
      await sleep(5)
    }
  }
}

function codeOf(error: unknown): string {
  return KiqError.is(error) ? error.code : String(error)
}

/** While it syncs, Redis answers before it writes. */
async function everythingIsInTheFile(server: RedisServer): Promise<void> {
  await until(async () => String(await server.command('INFO', 'persistence')).includes('aof_pending_bio_fsync:0'), SOON)
}

/** Percent of a core that this process and those used in that time. */
async function cpuShares(pids: readonly number[], ms: number): Promise<readonly number[]> {
  const own = process.cpuUsage()
  const others = canMeasureCpu ? pids.map(cpuMsOf) : []
  await sleep(ms)
  const { user, system } = process.cpuUsage(own)
  const used = [(user + system) / 1_000, ...others.map((before, i) => cpuMsOf(pids[i] as number) - before)]
  return used.map((usedMs) => Math.round((usedMs / ms) * 100))
}

function firstAfter(starts: readonly LedgerLine[], at: number): number {
  return Math.min(...starts.map((line) => line.at).filter((one) => one >= at))
}
