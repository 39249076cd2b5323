/** `kiq worker` as a child of this process, as an operator would start it. */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const ROOT = join(import.meta.dirname, '..')
const ARGUMENTS = [
  join(ROOT, 'dist/cli/main.js'),
  ...['worker', 'demo/tasks.mjs:broker', '--processes', '2', '--concurrency', '4'],
  ...['--log-format', 'json', '--health-port', '0', '--wait-tasks-timeout', '3'],
]
const POLL_MS = 100
/** The command line kills its own children before. */
const STOP_TIMEOUT_MS = 15_000

/** @typedef {{ slot: number, state: string, pid: number | null }} WorkerProcess */

/** Two worker processes and their supervisor. */
export class Workers {
  /** What the supervisor last told of them. @type {readonly WorkerProcess[]} */
  processes = []
  /** Rejects when the supervisor ends before {@link Workers.stop}. @type {Promise<never>} */
  failed

  #child
  #logFile
  /** @type {Promise<number | null>} */
  #exit
  #isStopping = false

  /** @param {string} logFile */
  constructor(logFile) {
    this.#logFile = logFile
    const log = openSync(logFile, 'a')
    this.#child = spawn(process.execPath, ARGUMENTS, { cwd: ROOT, stdio: ['ignore', log, log] })
    closeSync(log)
    this.#exit = new Promise((resolve) => this.#child.once('exit', resolve))
    this.failed = this.#exit.then((code) => {
      if (this.#isStopping) return new Promise(() => {})
      throw new Error(`The worker ended by itself with exit code ${code}.`)
    })
    this.failed.catch(() => {})
  }
}
