import { spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { onTestFinished } from 'vitest'

import type { AppSettings, PartialSettings, WorkersOptions } from '../../src/serve/index.ts'
import { until } from '../../src/testing/until.ts'
import { isAlive, kill, Run } from '../cli/kit.ts'
import { diesWithTests } from '../support/dies-with-tests.ts'
import { childrenOf } from './ledger.ts'

const ROOT = resolve(import.meta.dirname, '../..')
/** Files of a project, by the names that they have here. */
const FILES = {
  'serve-app.mjs': 'service.mjs',
  'serve-main.mjs': 'main.mjs',
  'serve-without-jobs.mjs': 'without-jobs.mjs',
  'serve-jobs.mjs': 'jobs.mjs',
}

/** Longest wait for anything that should happen soon; a machine under load may need long to start a process. */
export const SOON = { timeoutMs: 30_000 }

export interface ServeSetting {
  readonly settings?: PartialSettings<AppSettings>
  /** Without them the pipeline runs in the process of the server. */
  readonly workers?: Omit<WorkersOptions, 'poison' | 'module'>
}

/** What the pipeline has done. */
export interface ServeEvent {
  readonly event: 'start' | 'end' | 'abort'
  readonly texts: readonly string[]
  /** Of the process in which it ran. */
  readonly pid: number
}

export interface QueuedMessage {
  readonly job_id: string
  readonly status: string
  readonly shout?: string
}

/** The fields of a job that tests look at. */
export interface FaultJob {
  readonly job_id: string
  readonly state: string
  readonly attempt: number
  readonly queue: { readonly state: string } | null
  readonly webhook: { readonly state: string; readonly attempts: number } | null
}

export interface ServeAnswer {
  readonly status: number
  readonly body: unknown
}

/** A user's project in a directory of its own, with servers in processes of their own. All ends with the test. */
export class ServeProject {
  readonly dir: string = mkdtempSync(join(tmpdir(), 'kiq-serve-'))
  readonly #setting: ServeSetting
  readonly #runs: Run[] = []

  constructor(setting: ServeSetting = {}) {
    this.#setting = setting
    writeFileSync(join(this.dir, 'package.json'), '{ "type": "module" }')
    for (const [from, to] of Object.entries(FILES)) copyFileSync(join(import.meta.dirname, from), join(this.dir, to))
    mkdirSync(join(this.dir, 'node_modules'))
    for (const [name, at] of [
      ['kiq', ROOT],
      ['zod', join(ROOT, 'node_modules/zod')],
    ] as const) {
      symlinkSync(at, join(this.dir, 'node_modules', name))
    }
    onTestFinished(async () => {
      for (const run of this.#runs) kill(-run.pid)
      for (const run of this.#runs) await run.exit
      rmSync(this.dir, { recursive: true, force: true })
    })
  }

  /** A server that listens. */
  async server(program: 'main.mjs' | 'without-jobs.mjs' = 'main.mjs'): Promise<FaultServer> {
    return await this.listening(this.begin(program))
  }

  /** Resolves when that server listens. */
  async listening(run: FaultRun): Promise<FaultServer> {
    const { url } = await until(() => {
      if (run.isGone) throw new Error(`The server has ended.\n${run.stderr}`)
      return run.log.find(({ msg }) => msg === 'listens')
    }, SOON)
    return new FaultServer(run, String(url))
  }

  /** A server that may end before it listens. */
  begin(program: 'main.mjs' | 'without-jobs.mjs' = 'main.mjs'): FaultRun {
    return this.#spawn([program])
  }

  /** `kiq worker` for the jobs, with one process that is ready. */
  async worker(): Promise<Run> {
    const run = this.#spawn([
      join(ROOT, 'dist/cli/main.js'),
      'worker',
      'jobs.mjs:broker',
      '-w',
      '1',
      '--log-format',
      'json',
    ])
    await run.becameReady(1)
    return run
  }

  open(gate: string): void {
    writeFileSync(join(this.dir, gate), '')
  }

  /** Of every process, in no order. */
  get events(): readonly ServeEvent[] {
    const ledgers = readdirSync(this.dir).filter((name) => name.startsWith('ledger-'))
    return ledgers.flatMap((name) => linesOf<ServeEvent>(join(this.dir, name)))
  }

  /** Events of batches with that text. */
  told(event: ServeEvent['event'], text: string): readonly ServeEvent[] {
    return this.events.filter((one) => one.event === event && one.texts.includes(text))
  }

  /** Resolves with the first such event. */
  async heard(event: ServeEvent['event'], text: string): Promise<ServeEvent> {
    return await until(() => this.told(event, text)[0], SOON)
  }

  queue(name: string): readonly QueuedMessage[] {
    return linesOf<QueuedMessage>(join(this.dir, `queue-${name}`))
  }

  #spawn(args: readonly string[]): FaultRun {
    const child = spawn(process.execPath, args, {
      cwd: this.dir,
      env: { ...process.env, KIQ_FAULT_DIR: this.dir, KIQ_FAULT_SERVE: JSON.stringify(this.#setting) },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, so that all of it can be killed.
      detached: true,
    })
    diesWithTests(child, 'group')
    const run = new FaultRun(child)
    this.#runs.push(run)
    return run
  }
}

/** A process of a project. */
export class FaultRun extends Run {
  isGone = false

  constructor(...parts: ConstructorParameters<typeof Run>) {
    super(...parts)
    void this.gone.then(() => (this.isGone = true))
  }
}

/** A server in a process of its own. */
export class FaultServer {
  readonly run: Run
  readonly url: string

  constructor(run: Run, url: string) {
    this.run = run
    this.url = url
  }

  /** Processes that it has now. */
  get workers(): readonly number[] {
    return childrenOf(this.run)
  }

  async post(path: string, body: unknown, init: RequestInit = {}): Promise<ServeAnswer> {
    return await this.#answer(path, {
      ...init,
      method: 'POST',
      headers: { 'content-type': 'application/json', ...init.headers },
      body: JSON.stringify(body),
    })
  }

  async get(path: string): Promise<ServeAnswer> {
    return await this.#answer(path, {})
  }

  /** The outcome for one text, at once. */
  async predict(text: string, init?: RequestInit): Promise<ServeAnswer> {
    return await this.post('/predict_sync', { text }, init)
  }

  /** Resolves with the id of a job that was accepted. */
  async submit(text: string, further: object = {}): Promise<string> {
    const { status, body } = await this.post('/predict_async', { message: { text }, success_queue: 'done', ...further })
    if (status !== 202) throw new Error(`The job was answered ${status}: ${JSON.stringify(body)}`)
    return (body as FaultJob).job_id
  }

  async job(id: string): Promise<FaultJob> {
    return (await this.get(`/jobs/${id}`)).body as FaultJob
  }

  /** Resolves when the job has that state. */
  async inState(id: string, state: string): Promise<FaultJob> {
    return await until(async () => {
      const job = await this.job(id)
      return job.state === state ? job : undefined
    }, SOON)
  }

  /**
   * The sum of a metric, over its labels.
   *
   * @param label - As it is written, such as `queue="s"`, for those that have it.
   */
  async metric(name: string, label = ''): Promise<number> {
    const lines = String((await this.get('/metrics')).body).split('\n')
    const own = lines.filter((line) => /^[^{ ]*/.exec(line)?.[0] === name && line.includes(label))
    return own.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  /** SIGKILL, for it alone. Resolves when the process is gone. */
  async kill(): Promise<void> {
    this.run.signal('SIGKILL')
    await this.run.gone
  }

  async #answer(path: string, init: RequestInit): Promise<ServeAnswer> {
    const response = await fetch(`${this.url}${path}`, init)
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, body: isJson ? (JSON.parse(text) as unknown) : text }
  }
}

/** Resolves when none of the processes runs. */
export async function areGone(pids: readonly number[]): Promise<void> {
  await until(() => !pids.some((pid) => isAlive(pid)), SOON)
}

/** Whole lines: the last one may be half written. */
function linesOf<T>(path: string): readonly T[] {
  if (!existsSync(path)) return []
  const text = readFileSync(path, 'utf8')
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}
