import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import { diesWithTests } from '../support/dies-with-tests.ts'

/** What a Python client sends. */
export interface PythonCall {
  readonly task: string
  /** As Python writes it: `(1, 'two', name=[3])`. */
  readonly call: string
  /** As Python writes it: `{'timeout': 5}`. */
  readonly labels?: string | undefined
}

/** An exception as Python sees it. */
export interface PythonError {
  readonly type: string
  /** Python's `repr` of its arguments. */
  readonly args: string
  readonly cause: PythonError | null
  readonly context: PythonError | null
  readonly suppress: boolean
}

/** What a Python client sees of a result. Values, labels and progress are Python's `repr` of them. */
export interface PythonOutcome {
  readonly taskId: string
  /** Instead of everything else: why the result could not be read. */
  readonly failed?: string
  readonly isErr: boolean
  readonly value: string
  readonly labels: string
  readonly error: PythonError | null
  readonly progress: string
}

export interface PythonReply {
  /** Ids of all tasks. */
  readonly sent: readonly string[]
  readonly outcomes: readonly PythonOutcome[]
}

interface Asked {
  readonly resolve: (reply: PythonReply) => void
  readonly reject: (error: Error) => void
}

/** A process with `python/client.py`. */
export class PythonClient {
  readonly #process: ChildProcessWithoutNullStreams
  readonly #closed: Promise<unknown>
  readonly #asked = new Map<number, Asked>()
  #stderr = ''
  #count = 0

  constructor(python: string, directory: string) {
    const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' }
    const child = spawn(python, ['client.py'], { cwd: directory, env })
    diesWithTests(child)
    this.#process = child
    this.#closed = once(child, 'close').then(() => this.#fail())
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    child.stdin.on('error', () => {})
    createInterface(child.stdout).on('line', (line) => this.#hear(line))
  }

  async ask(job: object): Promise<PythonReply> {
    this.#count += 1
    const id = this.#count
    const reply = new Promise<PythonReply>((resolve, reject) => this.#asked.set(id, { resolve, reject }))
    this.#process.stdin.write(`${JSON.stringify({ ...job, id })}\n`)
    return await reply
  }

  async close(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#closed
  }

  #hear(line: string): void {
    const { id, error, ...reply } = JSON.parse(line) as PythonReply & { id: number; error?: string }
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    if (error === undefined) asked?.resolve(reply)
    else asked?.reject(new Error(`The Python client failed: ${error}`))
  }

  #fail(): void {
    for (const { reject } of this.#asked.values()) reject(new Error(`The Python client ended:\n${this.#stderr}`))
    this.#asked.clear()
  }
}
