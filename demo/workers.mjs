/** The worker processes of the demo, started through the command line like everywhere else. */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const ROOT = join(import.meta.dirname, '..')
const COMMAND = [
  join(ROOT, 'dist/cli/main.js'),
  ...['worker', 'demo/tasks.mjs:broker', '--processes', '2', '--concurrency', '4'],
  ...['--log-format', 'json', '--health-port', '0', '--wait-tasks-timeout', '3'],
]
const POLL_MS = 50
/** Longer than `kiq worker` gives its own children. */
const STOP_TIMEOUT_MS = 15_000
/** Of the log, when something went wrong. */
const LAST_LINES = 15

/** @typedef {{ slot: number, pid: number | null, isReady: boolean }} WorkerProcess - As `GET /ready` tells. */

/** `kiq worker` with two processes. */
export class Workers {
  /** Resolves with how the command ended. */
  ended
  /** @type {readonly WorkerProcess[]} */
  processes = []

  #child
  #logFile
  /** @type {string | undefined} */
  #healthUrl
  /** @type {NodeJS.Timeout | undefined} */
  #polling

  /** @param {string} logFile - Gets everything that is printed. */
  constructor(logFile) {
    this.#logFile = logFile
    const log = openSync(logFile, 'a')
    this.#child = spawn(process.execPath, COMMAND, { cwd: ROOT, stdio: ['ignore', log, log] })
    closeSync(log)
    this.ended = new Promise((/** @type {(how: string) => void} */ resolve) => {
      this.#child.once('error', (error) => resolve(error.message))
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
    })
    // Should this process crash.
    process.once('exit', () => this.#child.kill('SIGTERM'))
  }

  /** Of those that take tasks. */
  get pids() {
    return this.processes.flatMap(({ isReady, pid }) => (isReady && pid !== null ? pid : []))
  }

  /**
   * Waits until every process takes tasks; from then on `processes` is kept up to date.
   *
   * @param {AbortSignal} signal
   */
  async ready(signal) {
    while (!(await this.#look())) {
      signal.throwIfAborted()
      await sleep(POLL_MS)
    }
    this.#polling = setInterval(() => void this.#look(), POLL_MS)
  }

  /** Stops gracefully and waits for the end; harmless when ended already. Returns how it ended. */
  async stop() {
    clearInterval(this.#polling)
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    const end = await this.ended
    clearTimeout(timer)
    return end
  }

  get lastLines() {
    return this.#logLines().slice(-LAST_LINES).join('\n')
  }

  /** @returns Whether every process takes tasks. */
  async #look() {
    try {
      this.#healthUrl ??= JSON.parse(this.#logLines().find((line) => line.includes('"url"')) ?? '{}').url
      const response = await fetch(`${this.#healthUrl}/ready`)
      this.processes = /** @type {any} */ (await response.json()).children
      return response.ok
    } catch {
      // Not there yet, or not any more; which, `ended` tells.
      return false
    }
  }

  #logLines() {
    return readFileSync(this.#logFile, 'utf8').trimEnd().split('\n')
  }
}
