import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import { atExit, killGroup } from './cleanup.mjs'

/**
 * A process of a contender, in any language: commands go in and answers come out as lines of JSON. Both programs,
 * `redis-worker.mjs` and `taskiq_child.py`, speak it.
 */
export class Child {
  /** @type {any[]} */
  #answers = []
  #errors = ''
  /** @type {(() => void) | undefined} */
  #wake
  #process
  #ended
  #forget
  #name

  /**
   * @param {string} name
   * @param {readonly string[]} command
   * @param {Record<string, string>} [env]
   */
  constructor(name, [file = '', ...args], env = {}) {
    this.#name = name
    this.#process = spawn(file, args, {
      // A group of its own, so that the supervisor of `taskiq worker` and its worker are killed together.
      detached: true,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#ended = once(this.#process, 'close').finally(() => this.#wake?.())
    this.#ended.catch((/** @type {Error} */ error) => (this.#errors += error.message))
    this.#forget = atExit(() => killGroup(this.#process))
    this.#process.stdin.on('error', () => {})
    this.#process.stderr.setEncoding('utf8').on('data', (text) => (this.#errors = (this.#errors + text).slice(-2_000)))
    createInterface(this.#process.stdout).on('line', (line) => {
      if (!line.startsWith('{')) return
      this.#answers.push(JSON.parse(line))
      this.#wake?.()
    })
  }

  get isRunning() {
    return this.#process.exitCode === null && this.#process.signalCode === null && this.#process.pid !== undefined
  }

  /**
   * @param {object} command
   * @param {number} limitMs
   */
  async ask(command, limitMs) {
    this.#process.stdin.write(`${JSON.stringify(command)}\n`)
    return await this.next(limitMs)
  }

  /**
   * The next answer.
   *
   * @param {number} limitMs
   * @param {object} [otherwise] the answer when there is none in time; else that is an error
   */
  async next(limitMs, otherwise) {
    const giveUpAt = performance.now() + limitMs
    while (this.#answers.length === 0) {
      const leftMs = giveUpAt - performance.now()
      if (leftMs <= 0 && otherwise !== undefined) return otherwise
      if (leftMs <= 0) throw new Error(`${this.#name} did not answer within ${limitMs} ms. ${this.#errors}`)
      if (!this.isRunning) throw new Error(`${this.#name} ended. ${this.#errors}`)
      await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
        const timer = setTimeout(resolve, leftMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    const answer = this.#answers.shift()
    if (answer.error !== undefined) throw new Error(`${this.#name}: ${answer.error}`)
    return answer
  }

  /** Throws when the process has ended. */
  check() {
    if (!this.isRunning) throw new Error(`${this.#name} ended. ${this.#errors}`)
  }

  async kill() {
    killGroup(this.#process)
    await this.#ended.catch(() => {})
    this.#forget()
  }
}
