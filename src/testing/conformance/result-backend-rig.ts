import { randomUUID } from 'node:crypto'

import { expect } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import type { MaybePromise, ResultBackend, ResultBackendCapabilities } from '../../contract/index.ts'
import { textOf } from './bytes.ts'
import type { Contract, Subject } from './suite.ts'

/** How to exercise one result backend; see {@link describeResultBackend}. */
export interface ResultBackendSubject extends Subject {
  /**
   * Makes a fresh, unstarted backend on names or files that no other case uses. One with a limit must keep at least
   * 1,000 results.
   */
  readonly create: () => MaybePromise<ResultBackend>
  /** A second, unstarted backend on the same storage, as another process would open it. */
  readonly peer?: ((first: ResultBackend) => MaybePromise<ResultBackend>) | undefined
}

/** Milliseconds in which whatever should happen does happen, if it ever does. */
export const PATIENCE_MS = 10_000
/** Milliseconds after which a listener that was not called is taken not to be called. */
export const QUIET_MS = 200

/** Which cases to register: what the implementation claims, and what the subject makes possible. */
export interface CaseParts {
  readonly contract: Contract<ResultRig>
  readonly subject: ResultBackendSubject
  readonly capabilities: ResultBackendCapabilities
}

/** One case's backends and shorthands. */
export class ResultRig {
  readonly backend: ResultBackend
  readonly taskId: string = randomUUID()
  readonly #subject: ResultBackendSubject
  readonly #started: ResultBackend[] = []

  private constructor(subject: ResultBackendSubject, backend: ResultBackend) {
    this.#subject = subject
    this.backend = backend
  }

  static async open(subject: ResultBackendSubject): Promise<ResultRig> {
    const rig = new ResultRig(subject, await subject.create())
    await rig.#start(rig.backend)
    return rig
  }

  async close(): Promise<void> {
    for (const backend of this.#started) await backend.stop()
  }

  async peer(): Promise<ResultBackend> {
    const { peer } = this.#subject
    if (peer === undefined) return expect.fail('this case needs `peer` and must not be registered without it')
    return await this.#start(await peer(this.backend))
  }

  async save(text: string, taskId: string = this.taskId): Promise<void> {
    await this.backend.save([{ taskId, body: text }])
  }

  async read(from: ResultBackend = this.backend): Promise<string | undefined> {
    const [body] = await from.get([this.taskId])
    return body === undefined ? undefined : textOf(body)
  }

  /** Subscribes, and collects what the listener gets. */
  listen(from: ResultBackend = this.backend): { readonly told: string[]; readonly unsubscribe: () => void } {
    const told: string[] = []
    if (from.subscribe === undefined) return expect.fail('`capabilities.notifies` is true, but `subscribe` is missing')
    const unsubscribe = from.subscribe(this.taskId, (body) => told.push(textOf(body)))
    expect(told, 'the listener must not be called before subscribe has returned').toEqual([])
    return { told, unsubscribe }
  }

  async #start(backend: ResultBackend): Promise<ResultBackend> {
    this.#started.push(backend)
    await backend.start({ logger: silentLogger })
    return backend
  }
}
