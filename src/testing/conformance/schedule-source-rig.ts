import { expect } from 'vitest'

import { silentLogger } from '../../contract/index.ts'
import type {
  MaybePromise,
  Schedule,
  ScheduleLedger,
  ScheduleSource,
  WritableScheduleSource,
} from '../../contract/index.ts'
import { until } from '../until.ts'
import { deepFreeze } from './freeze.ts'
import type { Contract, Subject } from './suite.ts'

/** Milliseconds in which a watcher is told. */
const TOLD_WITHIN_MS = 1_000

/** How to exercise one schedule source; see {@link describeScheduleSource}. */
export interface ScheduleSourceSubject extends Subject {
  /**
   * Makes a fresh source that was not started. A writable one is empty, on names or files that no other case uses; one
   * that only reads has at least one schedule.
   */
  readonly create: () => MaybePromise<ScheduleSource>
  /** A second source on the same storage, not started, as another process would open it. */
  readonly peer?: ((first: ScheduleSource) => MaybePromise<ScheduleSource>) | undefined
}

/** Which cases to register: what the implementation has, and what the subject makes possible. */
export interface ScheduleCaseParts {
  readonly contract: Contract<ScheduleRig>
  readonly subject: ScheduleSourceSubject
  readonly source: ScheduleSource
}

export const PLAIN: Schedule = deepFreeze({
  scheduleId: 'plain',
  taskName: 'app:task',
  labels: {},
  args: [],
  kwargs: {},
  cron: '0 5 * * 1',
})

/** One case's sources, and shorthands. */
export class ScheduleRig {
  readonly source: ScheduleSource
  readonly #subject: ScheduleSourceSubject
  readonly #started: ScheduleSource[] = []
  readonly #watching: Watching[] = []

  private constructor(subject: ScheduleSourceSubject, source: ScheduleSource) {
    this.#subject = subject
    this.source = source
  }

  static async open(subject: ScheduleSourceSubject): Promise<ScheduleRig> {
    const rig = new ScheduleRig(subject, await subject.create())
    await rig.#start(rig.source)
    return rig
  }

  async close(): Promise<void> {
    for (const watching of this.#watching) watching.end()
    for (const source of this.#started) await source.shutdown()
  }

  get writable(): WritableScheduleSource {
    return isWritable(this.source) ? this.source : expect.fail('this case needs a writable source')
  }

  async peer(): Promise<ScheduleSource> {
    const { peer } = this.#subject
    if (peer === undefined) return expect.fail('this case needs `peer` and must not be registered without it')
    return await this.#start(await peer(this.source))
  }

  /** The ledger of a source. */
  ledger(of: ScheduleSource = this.source): ScheduleLedger {
    return of.ledger ?? expect.fail('this case needs a source with a `ledger`')
  }

  /** Watches a source until the end of the case. */
  watch(source: ScheduleSource = this.source): Watching {
    const watching = new Watching(
      (listener) => source.watch?.(listener) ?? expect.fail('this case needs a source with `watch`'),
    )
    this.#watching.push(watching)
    return watching
  }

  async ids(from: ScheduleSource = this.source): Promise<string[]> {
    return (await from.getSchedules()).map((schedule) => schedule.scheduleId).sort()
  }

  async #start(source: ScheduleSource): Promise<ScheduleSource> {
    this.#started.push(source)
    await source.startup({ logger: silentLogger })
    return source
  }
}

export function isWritable(source: ScheduleSource): source is WritableScheduleSource {
  return 'addSchedule' in source
}

/** A watch, and how often it told. */
export class Watching {
  readonly end: () => void
  #count = 0

  constructor(watch: (listener: () => void) => () => void) {
    this.end = watch(() => (this.#count += 1))
  }

  get count(): number {
    return this.#count
  }

  /** Acts, and expects to be told after that began. */
  async expectTold(act: () => Promise<unknown>): Promise<void> {
    const before = this.#count
    await act()
    await until(() => this.#count > before, { timeoutMs: TOLD_WITHIN_MS })
  }
}
