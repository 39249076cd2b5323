import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

import type * as Sqlite from '../../src/adapters/sqlite/index.ts'
import { until } from '../../src/testing/until.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const MAIN = join(ROOT, 'dist/cli/main.js')

/** Longest wait for anything that should happen soon; a machine under load may need long to start a process. */
const SOON = { timeoutMs: 15_000 }

/** Tasks that tell what they do in `events.jsonl`, and wait for files where a test decides. */
export const TASKS = `
import { appendFileSync, existsSync } from 'node:fs'
import { context } from 'kiq'
import { SqliteBroker } from 'kiq/sqlite'

export const broker = new SqliteBroker({ path: 'kiq.db' })

const note = (event, n) => appendFileSync('events.jsonl', JSON.stringify({ event, n, pid: process.pid, at: Date.now() }) + '\\n')

broker.task('quick', (n) => { note('quick', n); return n })

// Runs until the test opens the gate, or until it is aborted.
broker.task('gate', async (n) => {
  const { signal } = context()
  note('start', n)
  while (!existsSync('gate-' + n)) {
    if (signal.aborted) { note('aborted', n); throw signal.reason }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  note('end', n)
  return n
})

// Deaf: only a kill ends it before its gate is open.
broker.task('deaf', (n) => { note('start', n); while (!existsSync('gate-' + n)); note('end', n) })

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
broker.task('slow', async (n) => { note('slow start', n); await sleep(600); note('slow end', n) })

broker.task('forget', () => void Promise.reject(new Error('forgotten')))
broker.task('throwLater', async () => { setTimeout(() => { throw new Error('too late') }, 10); await sleep(60_000) })

broker.task('crash', (n) => { note('crash', n); process.exit(3) })
`

/** What the tasks above tell. */
export interface TaskEvent {
  readonly event: string
  readonly n: number
  readonly pid: number
  readonly at: number
}

export interface LogRecord {
  readonly level: string
  readonly role: string
  readonly msg: string
  readonly child?: string
  readonly childPid?: number
  readonly url?: string
  readonly [field: string]: unknown
}

/** A folder with modules of a user, in which the built `kiq` is installed. */
export class Project {
  readonly dir = mkdtempSync(join(tmpdir(), 'kiq-cli-'))
  readonly #runs: Run[] = []
  readonly #clients: Sqlite.SqliteBroker[] = []

  constructor(files: Readonly<Record<string, string>> = { 'tasks.mjs': TASKS }) {
    this.write({ 'package.json': '{ "type": "module" }', ...files })
    mkdirSync(join(this.dir, 'node_modules'))
    symlinkSync(ROOT, join(this.dir, 'node_modules/kiq'))
    symlinkSync(join(ROOT, 'node_modules/tsx'), join(this.dir, 'node_modules/tsx'))
  }

  write(files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.dir, name)), { recursive: true })
      writeFileSync(join(this.dir, name), text)
    }
  }

  /** Starts `kiq …` in the folder. */
  kiq(...args: string[]): Run {
    return this.#spawn([MAIN, ...args])
  }

  /** Runs a program of the folder. */
  node(...args: string[]): Run {
    return this.#spawn(args)
  }

  /** Starts workers and waits until that many processes are ready. */
  async worker(args: readonly string[] = [], options: { readonly processes?: number } = {}): Promise<Run> {
    const { processes = 1 } = options
    const run = this.kiq('worker', 'tasks.mjs', '-w', String(processes), '--log-format', 'json', ...args)
    await run.becameReady(processes)
    return run
  }

  /** A broker in the process of the test, for sending to the workers. */
  async client(): Promise<Sqlite.SqliteBroker> {
    // Loaded by Node and not by vitest: the built package, as a program of the user has it.
    const { SqliteBroker } = createRequire(import.meta.url)(
      join(ROOT, 'dist/adapters/sqlite/index.js'),
    ) as typeof Sqlite
    const broker = new SqliteBroker({ path: join(this.dir, 'kiq.db') })
    this.#clients.push(broker)
    await broker.startup()
    return broker
  }

  openGate(n: number): void {
    this.write({ [`gate-${n}`]: '' })
  }

  get events(): readonly TaskEvent[] {
    const file = join(this.dir, 'events.jsonl')
    return existsSync(file) ? parseLines<TaskEvent>(readFileSync(file, 'utf8')) : []
  }

  /** Waits until tasks told that so often. */
  async told(event: string, count = 1): Promise<readonly TaskEvent[]> {
    return await until(() => {
      const told = this.events.filter((one) => one.event === event)
      return told.length >= count ? told : undefined
    }, SOON)
  }

  async end(): Promise<void> {
    for (const run of this.#runs) await run.end()
    for (const client of this.#clients) await client.shutdown()
    rmSync(this.dir, { recursive: true, force: true })
  }

  #spawn(args: readonly string[]): Run {
    const run = new Run(spawn(process.execPath, args, { cwd: this.dir, stdio: ['ignore', 'pipe', 'pipe'] }))
    this.#runs.push(run)
    return run
  }
}

/** A process that a test started. */
export class Run {
  readonly #process: ChildProcess
  /** Exit code, or 128 and more after a signal; resolves when nobody holds its output any more, so with all its children. */
  readonly exit: Promise<number>
  /** Resolves when the process itself has ended. */
  readonly gone: Promise<void>
  stdout = ''
  stderr = ''
  #isClosed = false

  constructor(process: ChildProcess) {
    this.#process = process
    process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.gone = new Promise((resolve) => process.once('exit', () => resolve()))
    this.exit = new Promise((resolve) =>
      process.once('close', (code, signal) => {
        this.#isClosed = true
        resolve(signal === 'SIGKILL' ? 137 : (code ?? -1))
      }),
    )
  }

  get pid(): number {
    return this.#process.pid as number
  }

  get log(): readonly LogRecord[] {
    return parseLines<LogRecord>(this.stdout)
  }

  /** The worker processes that became ready, in that order; also those that ended since. */
  get ready(): readonly number[] {
    return this.log.filter(({ msg }) => msg.includes(' is ready')).map(({ childPid }) => childPid as number)
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name)
  }

  /** Waits for a line of the log. */
  async logged(text: string, count = 1): Promise<LogRecord> {
    return await this.#until(() => this.log.filter(({ msg }) => msg.includes(text))[count - 1])
  }

  /** Waits until that many processes in all have become ready. */
  async becameReady(count: number): Promise<readonly number[]> {
    return await this.#until(() => (this.ready.length >= count ? this.ready : undefined))
  }

  /** Resolves when none of the worker processes that became ready lives. */
  async childrenGone(): Promise<void> {
    // A process closes its output a moment before it is gone.
    await until(() => this.ready.length > 0 && !this.ready.some(isAlive), SOON)
  }

  /** Waits for what the output should tell; what it tells instead is part of the failure. */
  async #until<T>(condition: () => T | undefined): Promise<NonNullable<T>> {
    try {
      return await until(() => {
        const found = condition()
        if (found === undefined && this.#isClosed) throw new Error('The process has ended.')
        return found
      }, SOON)
    } catch (error) {
      throw new Error(`${String(error)}\n${this.stdout}${this.stderr}`)
    }
  }

  async end(): Promise<void> {
    if (this.#isClosed) return
    for (const pid of [this.pid, ...this.ready]) kill(pid)
    await this.exit
  }
}

/** What is in the default queue. */
export async function depth(client: Sqlite.SqliteBroker) {
  const depths = (await client.transport.inspect?.()) ?? []
  return depths[0] ?? { ready: 0, running: 0, dead: 0 }
}

export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It is gone.
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return !isZombie(pid)
}

/** An orphan that has ended stays as a zombie where nobody collects it, as in many containers. */
function isZombie(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    // It is gone since, or this is no Linux.
    return false
  }
}

/** The lines that are complete and JSON. */
function parseLines<T>(text: string): T[] {
  const complete = text.slice(0, text.lastIndexOf('\n') + 1)
  return complete
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as T)
}
