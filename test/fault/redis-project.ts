import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { onTestFinished } from 'vitest'

import type { RedisStreamBrokerOptions } from '../../src/adapters/redis/index.ts'
import { RedisListBroker, RedisStreamBroker } from '../../src/adapters/redis/index.ts'
import type { Broker, Sendable } from '../../src/index.ts'
import { silentLogger } from '../../src/index.ts'
import { until } from '../../src/testing/until.ts'
import { kill, Run } from '../cli/kit.ts'
import { diesWithTests } from '../support/dies-with-tests.ts'
import type { LedgerLine } from './ledger.ts'
import { readLedger } from './ledger.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const TASKS = fileURLToPath(new URL('./redis-tasks.mjs', import.meta.url))

/** Longest wait for anything that should happen soon; a machine under load may need long to start a process. */
export const SOON = { timeoutMs: 20_000 }

export interface FaultBroker extends Pick<RedisStreamBrokerOptions, 'connectTimeout' | 'lease' | 'sendTimeout'> {
  readonly url: string
  /** @defaultValue `'stream'` */
  readonly kind?: 'stream' | 'list' | undefined
}

/** What `work`, `listen` and `block` of `redis-tasks.mjs` return. */
export interface Done {
  readonly value: number
  /** Of the process whose result was stored. */
  readonly pid: number
}

type Timed = Sendable<[n: number, ms: number], Done>

/** A broker in the process of the test, and the tasks that the workers of the project know. */
export interface FaultClient {
  readonly broker: Broker
  readonly work: Timed
  /** Notes when its signal aborts, and goes on. */
  readonly listen: Timed
  /** Blocks the event loop. */
  readonly block: Timed
  readonly killer: Sendable<[n: number], void>
}

/** A user's project in a directory of its own, with workers by the built command. All ends with the test. */
export class RedisProject {
  readonly dir: string = mkdtempSync(join(tmpdir(), 'kiq-fault-'))
  readonly #broker: FaultBroker
  readonly #runs: Run[] = []
  readonly #living = new Set<Run>()

  constructor(broker: FaultBroker) {
    this.#broker = broker
    copyFileSync(TASKS, join(this.dir, 'tasks.mjs'))
    mkdirSync(join(this.dir, 'node_modules'))
    symlinkSync(ROOT, join(this.dir, 'node_modules/kiq'))
    onTestFinished(async () => {
      for (const run of this.#runs) await this.kill(run)
      rmSync(this.dir, { recursive: true, force: true })
    })
  }

  /** A supervisor, whose processes are in a group of their own. Resolves when they are ready. */
  async workers(processes: number, ...flags: readonly string[]): Promise<Run> {
    const run = this.supervisor('-w', String(processes), ...flags)
    await run.becameReady(processes)
    return run
  }

  /** A supervisor, of whose processes none is ready yet. */
  supervisor(...flags: readonly string[]): Run {
    const args = [join(ROOT, 'dist/cli/main.js'), 'worker', 'tasks.mjs:broker', '--log-format', 'json', ...flags]
    const child = spawn(process.execPath, args, {
      cwd: this.dir,
      env: { ...process.env, KIQ_FAULT_BROKER: JSON.stringify(this.#broker) },
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

  /** Kills a supervisor and all that it started at once; resolves when nobody holds its output any more. */
  async kill(run: Run): Promise<void> {
    // Not later: the system gives the number to others.
    if (this.#living.has(run)) kill(-run.pid)
    await run.exit
  }

  async client(more: Omit<Partial<FaultBroker>, 'kind'> = {}): Promise<FaultClient> {
    return await startClient({ ...this.#broker, ...more })
  }

  get ledger(): readonly LedgerLine[] {
    return readLedger(this.dir)
  }

  /** The lines of that event, of one task or of all, in the order of time. */
  told(event: string, n?: number): readonly LedgerLine[] {
    return this.ledger
      .filter((line) => line.event === event && (n === undefined || line.n === n))
      .sort((a, b) => a.at - b.at)
  }

  /** Waits until a task was told of so often. */
  async heard(event: string, n: number, count = 1): Promise<readonly [LedgerLine, ...LedgerLine[]]> {
    return await until(() => {
      const [first, ...others] = this.told(event, n)
      return first !== undefined && others.length + 1 >= count ? ([first, ...others] as const) : undefined
    }, SOON)
  }

  /** Messages at the level `error` of all supervisors and their children. */
  get errors(): readonly string[] {
    return this.#runs.flatMap((run) => run.log.filter(({ level }) => level === 'error').map(({ msg }) => msg))
  }
}

/** A started broker that is shut down after the test. */
async function startClient({ kind, ...options }: FaultBroker): Promise<FaultClient> {
  const all = { logger: silentLogger, ...options }
  const broker = kind === 'list' ? new RedisListBroker(all) : new RedisStreamBroker(all)
  onTestFinished(() => broker.shutdown())
  await broker.startup()
  return {
    broker,
    work: broker.externalTask('work'),
    listen: broker.externalTask('listen'),
    block: broker.externalTask('block'),
    killer: broker.externalTask('killer'),
  }
}

/** Milliseconds of a processor that a process and its threads have used; Linux only. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name, in parentheses, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

export const canMeasureCpu: boolean = existsSync('/proc/self/stat')
