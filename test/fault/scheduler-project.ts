import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { onTestFinished } from 'vitest'

import type { SchedulerOptions } from '../../src/scheduler/index.ts'
import { until } from '../../src/testing/until.ts'
import { isAlive, kill, Run } from '../cli/kit.ts'
import { diesWithTests } from '../support/dies-with-tests.ts'
import { percentile } from './ledger.ts'
import { SOON } from './redis-project.ts'
import type { Arrival, FiringReport } from './scheduler-firings.ts'
import { examine } from './scheduler-firings.ts'
import type { FaultQueue } from './scheduler-queues.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const APP = fileURLToPath(new URL('./scheduler-app.mjs', import.meta.url))

export const LEASE_MS = 1_500
/** Schedules of one second each: in the source, and declared by a task. */
export const STORED = 50
export const DECLARED = 10
/** Each is led by itself: the source, and what tasks declare. */
export const SOURCES = 2

/** How long schedulers are disturbed. */
export const DISTURBED_MS: number = Number(process.env['KIQ_TEST_SCHEDULER_SECONDS'] ?? 25) * 1_000

/** A scheduler began to lead the schedules of a source. */
export interface Lead {
  readonly at: number
  readonly pid: number
  readonly source: string
}

/** Something was done to a scheduler that led these sources. */
export interface Blow {
  readonly at: number
  readonly pid: number
  readonly sources: readonly string[]
}

/** An execution of a task by a worker. */
export interface Execution extends Arrival {
  readonly attempt: number
}

/** A user's project in a directory of its own, with schedulers by the built command. All ends with the test. */
export class SchedulerProject {
  readonly dir: string = mkdtempSync(join(tmpdir(), 'kiq-fault-'))
  readonly queue: FaultQueue
  readonly #options: SchedulerOptions
  readonly #runs: Run[] = []
  readonly #living = new Set<Run>()

  constructor(queue: FaultQueue, options: SchedulerOptions = { lease: LEASE_MS }) {
    this.queue = queue
    this.#options = options
    copyFileSync(APP, join(this.dir, 'app.mjs'))
    mkdirSync(join(this.dir, 'node_modules'))
    symlinkSync(ROOT, join(this.dir, 'node_modules/kiq'))
    onTestFinished(async () => {
      for (const run of this.#living) kill(-run.pid)
      for (const run of this.#runs) await run.exit
      rmSync(this.dir, { recursive: true, force: true })
    })
  }

  /** Adds the schedules of the source; those of the task are there. */
  async addSchedules(): Promise<void> {
    for (let n = 0; n < STORED; n += 1) {
      const what = { taskName: 'tick', labels: {}, args: [], kwargs: {}, intervalMs: 1_000 }
      await this.queue.source.addSchedule({ scheduleId: `tick-${n}`, ...what })
    }
  }

  /** Another scheduler. */
  scheduler(...flags: readonly string[]): Run {
    return this.#spawn('scheduler', 'app.mjs', ...flags)
  }

  /** Resolves when all sources are led. */
  async schedulers(count: number): Promise<readonly Run[]> {
    const runs = Array.from({ length: count }, () => this.scheduler())
    await this.becameLed()
    return runs
  }

  worker(...flags: readonly string[]): Run {
    return this.#spawn('worker', 'app.mjs:broker', ...flags)
  }

  async becameLed(): Promise<void> {
    await until(() => this.sources.length === SOURCES && this.sources.every((source) => this.leaderOf(source)), SOON)
  }

  /** Who led, in the order of time. */
  get leads(): readonly Lead[] {
    return this.#runs
      .flatMap((run) => run.log.filter(({ msg }) => msg === 'This scheduler leads now.'))
      .map(({ time, pid, source }) => ({ at: Number(time), pid: Number(pid), source: String(source) }))
      .sort((a, b) => a.at - b.at)
  }

  get sources(): readonly string[] {
    return [...new Set(this.leads.map(({ source }) => source))]
  }

  /** The process that leads a source, unless it has ended. */
  leaderOf(source: string): number | undefined {
    const pid = this.leads.findLast((lead) => lead.source === source)?.pid
    return pid !== undefined && isAlive(pid) ? pid : undefined
  }

  /** The sources that a process leads. */
  ledBy(pid: number): readonly string[] {
    return this.sources.filter((source) => this.leaderOf(source) === pid)
  }

  /** Any of the sources, and the process that leads it. */
  async anyLeader(): Promise<{ readonly source: string; readonly pid: number }> {
    await this.becameLed()
    const source = this.sources[Math.floor(Math.random() * SOURCES)] ?? ''
    return { source, pid: await until(() => this.leaderOf(source), SOON) }
  }

  /** The process of a scheduler. */
  runOf(pid: number): Run {
    const run = this.#runs.find((one) => one.pid === pid)
    if (run) return run
    throw new Error(`No scheduler has the process ${pid}.`)
  }

  get living(): readonly Run[] {
    return [...this.#living]
  }

  /** Milliseconds until somebody led again, for each source that it led. */
  takeovers(blows: readonly Blow[]): readonly number[] {
    const { leads } = this
    return blows.flatMap(({ at, sources }) =>
      sources.flatMap((source) => {
        const next = leads.find((lead) => lead.source === source && lead.at >= at)
        return next ? [next.at - at] : []
      }),
    )
  }

  async examine(): Promise<FiringReport> {
    return this.#examine(await this.queue.arrivals())
  }

  /**
   * Waits until every schedule has fired for a time that is later than now.
   *
   * @returns The planned time up to which all have.
   */
  async firesOn(): Promise<number> {
    const now = Date.now()
    const covered = async (): Promise<number | undefined> => {
      const { schedules, coveredUntil } = await this.examine()
      return schedules >= STORED + DECLARED && coveredUntil > now ? coveredUntil : undefined
    }
    return await until(covered, { ...SOON, everyMs: 200 })
  }

  /** Stops all schedulers as an operator does, and looks at what they have sent. */
  async stopAll(): Promise<FiringReport> {
    const codes = await Promise.all(
      this.living.map(async (run) => {
        run.signal('SIGTERM')
        return await run.exit
      }),
    )
    if (codes.some((code) => code !== 0)) throw new Error(`Schedulers ended with ${codes.join(', ')}.`)
    return await this.examine()
  }

  /** What workers have executed, in the order of time. */
  get executions(): readonly Execution[] {
    return readdirSync(this.dir)
      .filter((name) => name.startsWith('ledger-'))
      .flatMap((name) => readFileSync(join(this.dir, name), 'utf8').split('\n'))
      .filter((line) => line !== '')
      .map((line) => {
        const [at, scheduleId = '', taskId = '', attempt] = line.split(' ')
        return { at: Number(at), scheduleId, taskId, attempt: Number(attempt) }
      })
      .sort((a, b) => a.at - b.at)
  }

  examineExecutions(executions: readonly Execution[]): FiringReport {
    return this.#examine(executions)
  }

  #examine(arrivals: readonly Arrival[]): FiringReport {
    const scope = this.queue.source.name ?? '0'
    return examine(arrivals, (scheduleId) => (scheduleId.startsWith('beat-') ? 'labels' : scope))
  }

  #spawn(...args: readonly string[]): Run {
    const settings = { place: this.queue.place, declared: DECLARED, options: this.#options }
    const child = spawn(process.execPath, [join(ROOT, 'dist/cli/main.js'), ...args, '--log-format', 'json'], {
      cwd: this.dir,
      env: { ...process.env, KIQ_FAULT_SCHEDULER: JSON.stringify(settings) },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    diesWithTests(child, 'group')
    const run = new Run(child)
    this.#runs.push(run)
    this.#living.add(run)
    void run.gone.then(() => this.#living.delete(run))
    return run
  }
}

/** `1620 firings, doubled 0, …`: what every test of schedulers reports. */
export function describeFirings({ firings, doubled, missed, lateMs }: FiringReport): string {
  return (
    `${firings} firings, doubled ${doubled.length}, missed ${missed.length}, late by p50 ${percentile(lateMs, 0.5)} ms, ` +
    `p99 ${percentile(lateMs, 0.99)} ms, max ${Math.max(...lateMs)} ms`
  )
}

export function describeTimes(times: readonly number[]): string {
  return `p50 ${percentile(times, 0.5)} ms, max ${Math.max(...times)} ms`
}
