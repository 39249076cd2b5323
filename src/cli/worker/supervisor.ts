import type { Logger } from '../../contract/index.ts'
import type { ErrorReport } from '../error-report.ts'
import type { ExitCode } from '../exit-codes.ts'
import { EXIT } from '../exit-codes.ts'
import { ChildHandle } from './child-handle.ts'
import type { ChildExit } from './child-handle.ts'
import { deferred } from './deferred.ts'
import type { ChildSettings, Running, WorkerFacts } from './messages.ts'
import { Reclaims } from './reclaims.ts'
import { signalMeaning } from './restart-policy.ts'
import { Slot } from './slot.ts'
import type { SlotPart } from './slot.ts'

export interface SupervisorParts {
  readonly processes: number
  readonly child: ChildSettings
  /** Failures of children before everything is stopped; -1 = no limit. */
  readonly maxFails: number
  /** Number of the signal that kills. */
  readonly hardkillCount: number
  /** What a rolling restart does after a replacement took its place: wait until the old child is gone, or not. */
  readonly retire: 'wait' | 'go-on'
  readonly log: Logger
  /** Why the modules cannot be used. */
  readonly onUnusable: (report: ErrorReport) => void
  /** The first child is ready. */
  readonly onFirstReady: (facts: WorkerFacts) => void
}

/**
 * Keeps worker processes running.
 *
 * - *starting*: children were forked and none has been ready yet. One that says it can never start with these modules
 *   ends everything: trying again would fail again. Leaves to *running* with the first ready child.
 * - *running*: children that end are replaced, see {@link Slot}; what they held is handed back. A rolling restart goes on
 *   inside this state. Leaves to *stopping* by a signal, or by the last of `maxFails`.
 * - *stopping*: every child was told to stop and none is started. Each has a deadline after which it is killed, so this
 *   state ends. Further signals shorten it.
 * - *ended*: no child is left; {@link Supervisor.run} has resolved.
 */
export class Supervisor {
  readonly #parts: SupervisorParts
  readonly #log: Logger
  readonly #slots: readonly Slot[]
  readonly #reclaims: Reclaims
  readonly #ended = deferred<ExitCode>()
  #state: 'starting' | 'running' | 'stopping' | 'ended' = 'starting'
  #exitCode: ExitCode = EXIT.OK
  #signals = 0
  #failures = 0
  #processed = 0
  #restartWanted: string | undefined
  #restarting = false

  constructor(parts: SupervisorParts) {
    this.#parts = parts
    this.#log = parts.log
    this.#reclaims = new Reclaims(parts.log)
    this.#slots = Array.from({ length: parts.processes }, (_, index) => this.#createSlot(index))
  }

  get state(): 'starting' | 'running' | 'stopping' | 'ended' {
    return this.#state
  }

  get slots(): readonly Slot[] {
    return this.#slots
  }

  /** Tasks ended by all children so far. */
  get processed(): number {
    return this.#children().reduce((sum, child) => sum + child.processed, this.#processed)
  }

  /** Resolves with the exit code when the last child is gone. */
  async run(): Promise<ExitCode> {
    for (const slot of this.#slots) slot.start()
    return await this.#ended.promise
  }

  /** SIGINT or SIGTERM: the first stops gracefully, further ones abort running tasks, the last one kills. */
  signal(name: string): void {
    this.#signals += 1
    const meaning = signalMeaning(this.#signals, this.#parts.hardkillCount)
    if (meaning === 'kill') {
      this.#log.warn({ signal: name }, `${name}: killing all worker processes.`)
      this.#exitCode = EXIT.KILLED
      this.#kill()
    } else {
      const what = meaning === 'finish' ? 'stopping; running tasks may finish' : 'aborting running tasks'
      const next = signalMeaning(this.#signals + 1, this.#parts.hardkillCount)
      this.#log.info({ signal: name }, `${name}: ${what}. Signal again to ${next}.`)
      this.#stop(meaning)
    }
  }

  /** Replaces every child by a fresh one, one after the other, each old one working until its replacement is ready. */
  restart(reason: string): void {
    if (this.#state === 'stopping' || this.#state === 'ended') return
    this.#restartWanted = reason
    if (this.#state === 'running' && !this.#restarting) void this.#restartAll()
  }

  async #restartAll(): Promise<void> {
    this.#restarting = true
    while (this.#restartWanted !== undefined && this.#isRunning()) {
      this.#log.info({ reason: this.#restartWanted }, `${this.#restartWanted}: restarting the worker processes.`)
      this.#restartWanted = undefined
      await this.#restartOnce()
    }
    this.#restarting = false
  }

  async #restartOnce(): Promise<void> {
    for (const slot of this.#slots) {
      if (!this.#isRunning()) return
      const { outcome, retired } = await slot.replace()
      if (!this.#isRunning()) return
      if (outcome === 'kept') {
        this.#log.error({ slot: slot.index }, 'The new worker process did not start; the old ones go on.')
        return
      }
      if (this.#parts.retire === 'wait') await retired?.gone
    }
    if (this.#isRunning()) this.#log.info({}, 'The worker processes were restarted.')
  }

  #stop(running: Running): void {
    if (this.#state === 'ended') return
    this.#state = 'stopping'
    for (const slot of this.#slots) slot.stop(running)
    this.#endWhenEmpty()
  }

  #kill(): void {
    this.#state = 'stopping'
    for (const slot of this.#slots) slot.kill()
    this.#endWhenEmpty()
  }

  #createSlot(index: number): Slot {
    return new Slot(index, {
      spawn: () =>
        new ChildHandle(`worker-${index}`, this.#parts.child, {
          onReclaimed: (workerId, count, error) => this.#reclaims.onReclaimed(workerId, count, error),
          onKill: ({ role, pid, state }, afterMs) => {
            const what = state === 'starting' ? 'not ready' : 'still there'
            this.#log.error({ child: role, childPid: pid }, `${role} is ${what} after ${afterMs / 1000} s; killing it.`)
          },
        }),
      onReady: (child) => this.#onReady(child),
      onGone: (child, exit, part) => this.#onGone(child, exit, part),
      onRestart: (delayMs) =>
        this.#log.info({ child: `worker-${index}` }, `Starting worker-${index} in ${delayMs} ms.`),
    })
  }

  #onReady(child: ChildHandle): void {
    if (this.#state === 'starting') {
      this.#state = 'running'
      if (child.facts) this.#parts.onFirstReady(child.facts)
      if (this.#restartWanted !== undefined) void this.#restartAll()
    }
    this.#log.info(
      { child: child.role, childPid: child.pid, workerId: child.workerId },
      `${child.role} is ready (pid ${String(child.pid)}).`,
    )
    this.#reclaims.onReady(child)
  }

  #onGone(child: ChildHandle, exit: ChildExit, part: SlotPart): void {
    const { role, pid } = child
    this.#processed += exit.processed
    if (exit.abandoned !== undefined) {
      this.#reclaims.add(
        exit.abandoned,
        this.#children().filter(({ state }) => state === 'ready' || state === 'stopping'),
      )
    }
    const fields = { child: role, childPid: pid, processed: exit.processed }
    switch (exit.end) {
      case 'recycled':
        this.#log.info(fields, `${role} ended after its last task (--max-tasks-per-child).`)
        break
      case 'stopped':
        this.#log.info(fields, `${role} stopped.`)
        break
      case 'unusable':
      case 'died':
        this.#onFailure(child, exit, part)
    }
    this.#endWhenEmpty()
  }

  #onFailure({ role, pid }: ChildHandle, exit: ChildExit, part: SlotPart): void {
    if (exit.end === 'unusable' && this.#state === 'starting') {
      if (exit.report) this.#parts.onUnusable(exit.report)
      this.#exitCode = EXIT.USAGE
      this.#kill()
      return
    }
    if (this.#state === 'stopping' && this.#exitCode !== EXIT.OK) return
    const { code, message, location } = exit.report ?? {}
    const why = message === undefined ? '' : `: ${message}${location === undefined ? '' : ` (at ${location})`}`
    const fields = { child: role, childPid: pid, ...(code === undefined ? {} : { code }) }
    const when = exit.readyForMs === 0 && message === undefined ? ' before it was ready' : ''
    this.#log.error(fields, `${role} ended with ${exit.how}${when}${why}`)
    if (this.#state === 'stopping') this.#exitCode = EXIT.FAILED
    else if (part === 'current') this.#countFailure()
  }

  #countFailure(): void {
    this.#failures += 1
    const { maxFails } = this.#parts
    if (maxFails === -1 || this.#failures < maxFails) return
    this.#log.error(
      { failures: this.#failures },
      `Worker processes failed ${this.#failures} time(s) (--max-fails); stopping.`,
    )
    this.#exitCode = EXIT.FAILED
    this.#stop('finish')
  }

  #endWhenEmpty(): void {
    if (this.#state !== 'stopping' || this.#children().length > 0) return
    this.#state = 'ended'
    this.#ended.resolve(this.#exitCode)
  }

  #children(): readonly ChildHandle[] {
    return this.#slots.flatMap((slot) => [...slot.children])
  }

  /** Asked after an `await`, when it may have changed. */
  #isRunning(): boolean {
    return this.#state === 'running'
  }
}
