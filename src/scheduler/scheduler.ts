import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { hostname } from 'node:os'

import { ConfigError, durationOption, ScheduleError } from '../contract/index.ts'
import type { Logger, Schedule, ScheduleLedger, ScheduleSource, ScheduleState } from '../contract/index.ts'
import type { Broker, SentTask } from '../core/index.ts'
import type { Duration } from '../util/duration.ts'
import { show } from '../util/show.ts'
import { Heap } from '../util/heap.ts'
import { messageFor } from './firing-sender.ts'
import { isWritable } from './is-writable.ts'
import { LabelScheduleSource } from './label-schedule-source.ts'
import { SourceRunner } from './source-runner.ts'
import type { RunSettings, SourceRunnerParts } from './source-runner.ts'
import type { Past } from './upcoming.ts'
import { nextTime } from './upcoming.ts'

/** How often a scheduler looks, and how it begins; at its construction, or for one run. */
export interface SchedulerRunOptions {
  /**
   * How often all schedules are read again, besides what sources tell of changes.
   *
   * @defaultValue `'60s'`, Taskiq's own; at least 100 ms
   */
  readonly updateInterval?: Duration | undefined
  /**
   * Does not fire intervals at once when they are first seen, but after their first time.
   *
   * @defaultValue `false`
   */
  readonly skipFirstRun?: boolean | undefined
}

export interface SchedulerOptions extends SchedulerRunOptions {
  /**
   * How long the lead among several schedulers lasts without being renewed: so soon another one takes over from one that
   * died.
   *
   * @defaultValue `'10s'`; at least 500 ms
   */
  readonly lease?: Duration | undefined
  /**
   * By how much a firing may be late and is sent all the same. Later ones count as missed; see `catchUp`.
   *
   * @defaultValue twice the lease; at least 100 ms
   */
  readonly misfireGrace?: Duration | undefined
  /**
   * Where it is kept who fires the schedules of sources without a ledger of their own, and what was fired.
   *
   * @defaultValue that of the first source that has one
   */
  readonly ledger?: ScheduleLedger | undefined
  /** @defaultValue the broker's */
  readonly logger?: Logger | undefined
}

/** A schedule with what is known of it. */
export interface ScheduleInfo {
  readonly schedule: Schedule
  /** Name of the source. */
  readonly source: string
  readonly isPaused: boolean
  /** Of the last firing, as planned. */
  readonly lastAt: Date | undefined
  /** `undefined`: paused, or over. */
  readonly nextAt: Date | undefined
}

/** A firing to come. */
export interface PlannedRun {
  readonly scheduleId: string
  readonly taskName: string
  readonly at: Date
}

export interface NextRunsOptions {
  /** @defaultValue now */
  readonly now?: Date | undefined
  /**
   * Most runs.
   *
   * @defaultValue 10
   */
  readonly count?: number | undefined
  /** Of this schedule alone. */
  readonly scheduleId?: string | undefined
}

interface Part {
  readonly source: ScheduleSource
  readonly scope: string
  readonly ledger: ScheduleLedger | undefined
  readonly group: string
  readonly runner: SourceRunner
}

const DEFAULT_LEASE_MS = 10_000
const MIN_LEASE_MS = 500
const DEFAULT_UPDATE_MS = 60_000
const MIN_UPDATE_MS = 100
/** Timers are always a little late. */
const MIN_GRACE_MS = 100
const DEFAULT_COUNT = 10
/** Of sources with a ledger of their own. */
const OWN_GROUP = 'schedules'

/**
 * Sends the tasks of schedules when they are due. Any number may run for one application, on any machines: one of them
 * fires, and another takes over when it ends or dies.
 *
 * @example
 * ```ts
 * const scheduler = new Scheduler(broker, [new LabelScheduleSource(broker), source])
 * await scheduler.run({ signal })
 * ```
 */
export class Scheduler {
  readonly broker: Broker
  readonly sources: readonly ScheduleSource[]
  readonly #parts: readonly Part[]
  readonly #logger: Logger | undefined
  readonly #settings: RunSettings
  #startedBroker = false
  #started: ScheduleSource[] | undefined
  #isRunning = false

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense. */
  constructor(broker: Broker, sources: readonly ScheduleSource[], options: SchedulerOptions = {}) {
    const leaseMs = durationOption('lease', options.lease, { fallbackMs: DEFAULT_LEASE_MS, minMs: MIN_LEASE_MS })
    const common = {
      broker,
      holder: `${hostname()}:${process.pid}:${randomUUID()}`,
      leaseMs,
      graceMs: durationOption('misfireGrace', options.misfireGrace, { fallbackMs: 2 * leaseMs, minMs: MIN_GRACE_MS }),
    }
    this.#settings = runSettings(options, { updateIntervalMs: DEFAULT_UPDATE_MS, skipsFirst: false })
    this.broker = broker
    this.sources = sources
    this.#logger = options.logger
    const shared = options.ledger ?? sources.find(({ ledger }) => ledger !== undefined)?.ledger
    const logger = lazyLogger(() => this.#log)
    this.#parts = sources.map((source, index) => {
      const place = placeOf(source, shared, broker.defaultQueue)
      const scope = source.name ?? String(index)
      const onChange = (): void => this.#tellOthers(source)
      const runner = new SourceRunner({ ...common, ...place, source, scope, logger, onChange })
      return { source, scope, ledger: place.ledger, group: place.group, runner }
    })
    const twice = this.#parts.find(({ source, scope }, i) => {
      return this.#parts.slice(0, i).some((other) => other.source === source || other.scope === scope)
    })
    if (twice === undefined) return
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `Two sources of the scheduler are called "${twice.scope}". Give each its own place, or leave one out.`,
    )
  }

  /** Those whose ledger is beside another source hear nothing of it by themselves. */
  #tellOthers(changed: ScheduleSource): void {
    for (const { source, ledger, runner } of this.#parts) {
      if (source !== changed && ledger !== undefined && ledger === changed.ledger) runner.lookAtLead()
    }
  }

  get #log(): Logger {
    return this.#logger ?? this.broker.parts.logger
  }

  /** Starts the broker, unless it is started, and the sources. Harmless when started already. */
  async startup(): Promise<void> {
    if (this.#started) return
    this.#started = []
    try {
      this.#startedBroker = !this.broker.isStarted
      if (this.#startedBroker) await this.broker.startup()
      for (const source of this.sources) {
        // That of the broker starts and stops with it.
        if (source === this.broker.parts.scheduleSource) continue
        await source.startup({ logger: this.#log })
        this.#started.push(source)
      }
    } catch (error) {
      await this.shutdown()
      throw error
    }
  }

  /** Stops the sources, and the broker if {@link Scheduler.startup} started it. */
  async shutdown(): Promise<void> {
    const started = this.#started ?? []
    this.#started = undefined
    const ends: Promise<void>[] = started.map((source) => source.shutdown())
    const settled = await Promise.allSettled(ends)
    if (this.#startedBroker) await this.broker.shutdown()
    this.#startedBroker = false
    const failed = settled.find((end) => end.status === 'rejected')
    if (failed) throw failed.reason
  }

  /**
   * Starts, fires schedules until `signal` aborts, and stops: what is being sent is sent, or left to the next scheduler.
   *
   * @throws whatever the start of the broker or of a source throws.
   */
  async run(options: SchedulerRunOptions & { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const settings = runSettings(options, this.#settings)
    if (this.#isRunning) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        'This scheduler is running already. Make another one, or wait for it.',
      )
    }
    const { signal } = options
    if (signal?.aborted) return
    this.#isRunning = true
    // One of its own: every send that is tried again listens to it.
    const stop = new AbortController()
    setMaxListeners(0, stop.signal)
    const end = (): void => stop.abort()
    signal?.addEventListener('abort', end, { once: true })
    try {
      await this.startup()
      await Promise.all(this.#parts.map(({ runner }) => runner.run(stop.signal, settings)))
    } finally {
      signal?.removeEventListener('abort', end)
      this.#isRunning = false
      await this.shutdown()
    }
  }

  /**
   * The next firings, the earliest first, as far as the schedules are known here: those of tasks are always, others once
   * the scheduler has read them. Without jitter, and as if no task were running.
   */
  nextRuns({ now = new Date(), count = DEFAULT_COUNT, scheduleId }: NextRunsOptions = {}): readonly PlannedRun[] {
    const walks = this.#parts.flatMap(({ source, runner, ledger }) => {
      const schedules = source instanceof LabelScheduleSource ? source.current() : runner.schedules
      return schedules
        .filter((schedule) => scheduleId === undefined || schedule.scheduleId === scheduleId)
        .filter((schedule) => runner.states.get(schedule.scheduleId)?.isPaused !== true)
        .map((schedule) => {
          const state = runner.states.get(schedule.scheduleId)
          return runsOf(schedule, pastOf(ledger, state, now.getTime()), now.getTime())
        })
    })
    return earliest(walks, count)
  }

  /**
   * The next firings as {@link Scheduler.nextRuns} gives them, of schedules that are read now. Needs `startup()`.
   *
   * @throws {ScheduleError} `KIQ_SCHEDULE_UNKNOWN` for an id that is not there.
   */
  async upcoming(options: NextRunsOptions = {}): Promise<readonly PlannedRun[]> {
    const { scheduleId } = options
    if (scheduleId !== undefined) await this.#find(scheduleId)
    await Promise.all(this.#parts.map(({ runner }) => runner.refresh()))
    return this.nextRuns(options)
  }

  /** Every schedule, in the order of their next firings, as the sources have them now. */
  async list(): Promise<readonly ScheduleInfo[]> {
    const now = Date.now()
    const all = await Promise.all(
      this.#parts.map(async ({ scope, ledger, runner }) => {
        await runner.refresh()
        return runner.schedules.map((schedule): ScheduleInfo => {
          const state = runner.states.get(schedule.scheduleId)
          const isPaused = state?.isPaused ?? false
          const [next] = isPaused ? [] : earliest([runsOf(schedule, pastOf(ledger, state, now), now)], 1)
          const lastAt = state?.firedAt === undefined ? undefined : new Date(state.firedAt)
          return { schedule, source: scope, isPaused, lastAt, nextAt: next?.at }
        })
      }),
    )
    return all.flat().sort((a, b) => (a.nextAt?.getTime() ?? Infinity) - (b.nextAt?.getTime() ?? Infinity))
  }

  /**
   * Sends the task of a schedule now, besides what the schedule says.
   *
   * @throws {ScheduleError} `KIQ_SCHEDULE_UNKNOWN`
   */
  async fire(scheduleId: string): Promise<SentTask> {
    const { schedule } = await this.#find(scheduleId)
    const taskId = this.broker.nextTaskId()
    await this.broker.send([messageFor(schedule, taskId)])
    return this.broker.sentTask(taskId)
  }

  /**
   * Stops a schedule from firing until {@link Scheduler.resume}, for all schedulers of ours. Python's know nothing of it.
   *
   * @throws {ScheduleError} `KIQ_SCHEDULE_UNKNOWN`, or `KIQ_UNSUPPORTED` where nothing can be kept.
   */
  async pause(scheduleId: string): Promise<void> {
    const { ledger, group } = await this.#ledgerOf(scheduleId)
    await ledger.pause(group, scheduleId)
  }

  /** Lets a schedule fire again. What fell into the pause is not made up for. */
  async resume(scheduleId: string): Promise<void> {
    const { ledger, group, schedule } = await this.#ledgerOf(scheduleId)
    // A single point in time that fell into the pause is still due.
    await ledger.resume(group, scheduleId, schedule.time === undefined ? Date.now() : undefined)
  }

  /**
   * Deletes a schedule from its source.
   *
   * @throws {ScheduleError} `KIQ_SCHEDULE_UNKNOWN`
   * @throws {ConfigError} `KIQ_UNSUPPORTED` for schedules that tasks declare: they are in the code.
   */
  async remove(scheduleId: string): Promise<void> {
    const { part } = await this.#find(scheduleId)
    if (isWritable(part.source)) {
      await part.source.deleteSchedule(scheduleId)
      return
    }
    throw new ConfigError(
      'KIQ_UNSUPPORTED',
      `Schedule "${scheduleId}" is in the source "${part.scope}", from which nothing can be deleted. Take it out of the ` +
        'code, or pause it.',
    )
  }

  async #ledgerOf(
    scheduleId: string,
  ): Promise<Part & { readonly ledger: ScheduleLedger; readonly schedule: Schedule }> {
    const { part, schedule } = await this.#find(scheduleId)
    const { ledger } = part
    if (ledger) return { ...part, ledger, schedule }
    throw new ConfigError(
      'KIQ_UNSUPPORTED',
      `Schedule "${scheduleId}" is in the source "${part.scope}", which cannot keep that it is paused. Give the scheduler ` +
        'a `ledger`, or a source that has one, such as SqliteScheduleSource.',
    )
  }

  async #find(scheduleId: string): Promise<{ readonly part: Part; readonly schedule: Schedule }> {
    for (const part of this.#parts) {
      const schedule = (await part.source.getSchedules()).find((one) => one.scheduleId === scheduleId)
      if (schedule) return { part, schedule }
    }
    throw new ScheduleError(
      'KIQ_SCHEDULE_UNKNOWN',
      `There is no schedule ${show(scheduleId)} in the sources of this scheduler. \`kiq schedule list\` shows all.`,
    )
  }
}

function runSettings({ updateInterval, skipFirstRun }: SchedulerRunOptions, fallback: RunSettings): RunSettings {
  return {
    updateIntervalMs: durationOption('updateInterval', updateInterval, {
      fallbackMs: fallback.updateIntervalMs,
      minMs: MIN_UPDATE_MS,
    }),
    skipsFirst: skipFirstRun ?? fallback.skipsFirst,
  }
}

type Place = Pick<SourceRunnerParts, 'ledger' | 'group' | 'leadName' | 'isGroupShared'>

/** Where it is kept who fires the schedules of a source, and what was fired. */
function placeOf(source: ScheduleSource, shared: ScheduleLedger | undefined, queue: string): Place {
  if (source.ledger) {
    return { ledger: source.ledger, group: OWN_GROUP, leadName: () => OWN_GROUP, isGroupShared: false }
  }
  if (source instanceof LabelScheduleSource) {
    const group = `labels:${queue}`
    // Those who declare other schedules, such as the next version of the application, lead these themselves; and whoever
    // leads a schedule goes on from what is known of it.
    return { ledger: shared, group, leadName: () => `${group}:${source.fingerprint}`, isGroupShared: true }
  }
  const { name } = source
  const group = `source:${name ?? ''}`
  // Without a name nobody knows whose schedules these are.
  return { ledger: name === undefined ? undefined : shared, group, leadName: () => group, isGroupShared: false }
}

/** The firings of a schedule after that time, one after the other. */
function* runsOf(schedule: Schedule, past: Past, now: number): Generator<PlannedRun> {
  const { scheduleId, taskName, time } = schedule
  // A single point in time is made up for, however long it has passed.
  const isDue = time !== undefined && time <= now && time > (past.firedAt ?? -Infinity)
  if (isDue) yield { scheduleId, taskName, at: new Date(time) }
  for (let at = nextTime(schedule, past, now); at !== undefined; at = nextTime(schedule, past, at)) {
    yield { scheduleId, taskName, at: new Date(at) }
  }
}

/** The first of several walks together. Of each no more is looked at than is needed. */
function earliest(walks: readonly Iterator<PlannedRun>[], count: number): readonly PlannedRun[] {
  const heap = new Heap<{ readonly run: PlannedRun; readonly order: number }>((a, b) => {
    const aheadMs = a.run.at.getTime() - b.run.at.getTime()
    return aheadMs < 0 || (aheadMs === 0 && a.order < b.order)
  })
  const push = (order: number): void => {
    const next = walks[order]?.next()
    if (next && next.done !== true) heap.push({ run: next.value, order })
  }
  for (const order of walks.keys()) push(order)
  const runs: PlannedRun[] = []
  while (runs.length < count) {
    const first = heap.pop()
    if (first === undefined) break
    runs.push(first.run)
    push(first.order)
  }
  return runs
}

function pastOf(ledger: ScheduleLedger | undefined, state: ScheduleState | undefined, now: number): Past {
  return { firedAt: state?.firedAt, seenAt: state?.seenAt ?? now, anchor: ledger === undefined ? 'epoch' : 'firing' }
}

/** The broker may get its logger after the scheduler was made. */
function lazyLogger(logger: () => Logger): Logger {
  return {
    debug: (...args) => logger().debug(...args),
    info: (...args) => logger().info(...args),
    warn: (...args) => logger().warn(...args),
    error: (...args) => logger().error(...args),
  }
}
