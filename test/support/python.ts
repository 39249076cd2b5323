import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { until } from '../../src/testing/until.ts'
import { diesWithTests } from './dies-with-tests.ts'
import type { Engine } from './engine-suite.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** A virtual environment with Python's Taskiq, as `scripts/python-env.mjs` makes it. */
export interface PythonEnvironment {
  readonly name: 'newest' | 'older'
  /** The interpreter. */
  readonly python: string
  /** Version of Taskiq, such as `0.13.0`. */
  readonly taskiq: string
}

/** Those that are there and have what the requirements say now. */
export function pythonEnvironments(): readonly PythonEnvironment[] {
  return (['newest', 'older'] as const).flatMap((name) => {
    const folder = join(ROOT, '.venv', `taskiq-${name}`)
    const python = join(folder, 'bin/python')
    const requirements = readFileSync(join(ROOT, 'test/interop', `requirements-${name}.txt`), 'utf8')
    // Written after the installation was tried out, and asking Python again takes half a second.
    const installed = join(folder, 'requirements.txt')
    if (!existsSync(python) || !existsSync(installed) || readFileSync(installed, 'utf8') !== requirements) return []
    return [{ name, python, taskiq: /^taskiq==(.+)$/m.exec(requirements)?.[1] ?? '' }]
  })
}

/** Both environments: what works with one may not work with the other. */
export const pythonEngine: Engine = {
  missing:
    pythonEnvironments().length < 2 ? "Python's Taskiq is not installed (node scripts/python-env.mjs)" : undefined,
}

export interface PythonWorkerOptions {
  /** The interpreter of an environment. */
  readonly python: string
  /** Module and variable of the broker, `worker:broker` for `worker.py`. */
  readonly module: string
  /** Where the module is. */
  readonly directory: string
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Further arguments of `taskiq worker`, which win over those that are given anyway: one process, log level INFO. */
  readonly args?: readonly string[] | undefined
}

/** A `taskiq worker` with its processes. */
export interface PythonWorker {
  /** Of the process that manages the others. */
  readonly pid: number
  /** Everything that its processes have written so far. */
  readonly output: string
  /**
   * SIGTERM. Resolves when all its processes are gone, and tells whether they had to be killed.
   *
   * A worker of Taskiq notices a signal when its event loop wakes, so one that waits for messages may never. Modules
   * that let their loop wake ten times a second, as in python.test.ts, end within two seconds.
   *
   * @param options - How long it may take; 5 s without.
   */
  stop(options?: { readonly timeoutMs: number }): Promise<'stopped' | 'killed'>
  /** SIGKILL for all its processes. Resolves at once; right when only the end of a test is at stake. */
  kill(): Promise<void>
}

/** Longest wait for a worker; on a machine under load the imports of Python take long. */
const SOON = { timeoutMs: 30_000, everyMs: 20 }

/** Resolves when all its worker processes listen. */
export async function startPythonWorker(options: PythonWorkerOptions): Promise<PythonWorker> {
  const { python, module, directory, env, args = [] } = options
  // Not `bin/taskiq`, whose first line cannot name an interpreter in a folder with a space or a long name.
  const command = ['-m', 'taskiq', 'worker', module, '--workers', '1', '--log-level', 'INFO', ...args]
  const child = spawn(python, command, {
    cwd: directory,
    env: pythonEnv(env),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  diesWithTests(child, 'group')
  const worker = new Worker(child)
  try {
    await worker.listens()
  } catch (error) {
    await worker.kill()
    throw new Error(`The Python worker did not start: ${String(error)}\n${worker.output}`, { cause: error })
  }
  return worker
}

export interface RunPythonOptions {
  readonly cwd?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly args?: readonly string[] | undefined
  /** Its standard input. */
  readonly input?: string | Uint8Array | undefined
}

/**
 * Runs a program to its end, and resolves with its standard output.
 *
 * @throws {Error} with its standard error, when it fails or takes longer than a minute.
 */
export async function runPython(
  python: string,
  program: { readonly code: string } | { readonly file: string },
  { cwd, env, args = [], input = '' }: RunPythonOptions = {},
): Promise<string> {
  const what = 'code' in program ? ['-c', program.code] : [program.file]
  const child = spawn(python, [...what, ...args], { cwd, env: pythonEnv(env), timeout: 60_000, killSignal: 'SIGKILL' })
  diesWithTests(child)
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  // A program that reads nothing closes its input.
  child.stdin.on('error', () => {}).end(input)
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  if (code !== 0) throw new Error(`The Python program ended with ${code ?? signal}:\n${stderr()}`)
  return stdout()
}

class Worker implements PythonWorker {
  readonly pid: number
  readonly #process: ChildProcess
  readonly #closed: Promise<unknown>
  #isClosed = false
  #output = ''

  constructor(process: ChildProcess) {
    this.#process = process
    this.pid = process.pid ?? 0
    // Not `exit`: they all hold the output, so none lives when it is closed.
    this.#closed = once(process, 'close').finally(() => (this.#isClosed = true))
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text))
    }
  }

  get output(): string {
    return this.#output
  }

  async listens(): Promise<void> {
    const failed = /^\w+Error: .*|worker-\d+ is dead/m
    await until(() => {
      const count = Number(/Starting (\d+) worker process/.exec(this.#output)?.[1])
      if (this.#isClosed || /worker-\d+ is dead/.test(this.#output)) {
        throw new Error(failed.exec(this.#output)?.[0] ?? 'It has ended.')
      }
      return this.#output.split('Listening started').length - 1 >= count
    }, SOON)
  }

  async stop({ timeoutMs } = { timeoutMs: 5_000 }): Promise<'stopped' | 'killed'> {
    const isLate = new AbortController()
    this.#process.kill('SIGTERM')
    const outcome = await Promise.race([
      this.#closed.then(() => 'stopped' as const),
      delay(timeoutMs, 'killed' as const, { signal: isLate.signal }),
    ])
    isLate.abort()
    await this.kill()
    return outcome
  }

  async kill(): Promise<void> {
    // What it started is killed with it.
    this.#process.kill('SIGKILL')
    await this.#closed
  }
}

/** Without buffers, so that output comes in time, and without files beside the modules of the tests. */
function pythonEnv(env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return { ...process.env, PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1', ...env }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  return () => text
}
