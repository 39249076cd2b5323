import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'

import { MAX_TIMER_MS } from '../../util/abort.ts'
import type { ErrorReport } from '../error-report.ts'
import type { Deadlines } from './deadlines.ts'
import { killAfterMs } from './deadlines.ts'
import { deferred } from './deferred.ts'
import type { ChildSettings, FromChild, Heartbeat, Running, ToChild, WorkerFacts } from './messages.ts'
import { unwrapFromChild, wrap } from './messages.ts'
import type { ChildEnd } from './restart-policy.ts'
import { classifyEnd } from './restart-policy.ts'

const PROGRAM = new URL('./child.js', import.meta.url)

/** How a child ended. */
export interface ChildExit {
  readonly end: ChildEnd
  /** `exit code 1` or `signal SIGKILL`. */
  readonly how: string
  /** Why it could not start, in its own words. */
  readonly report: ErrorReport | undefined
  /** Set when it may have held messages: it did not hand them back itself. */
  readonly abandoned: string | undefined
  /** How long it was ready, in milliseconds. */
  readonly readyForMs: number
  /** Tasks it ended, as far as it told. */
  readonly processed: number
}

export interface ChildListener {
  /** A child handed back what a dead worker held, or could not. */
  readonly onReclaimed: (workerId: string, count: number, error: string | undefined) => void
  /** It is not ready, or has not stopped, in time, and is killed. */
  readonly onKill: (child: ChildHandle, afterMs: number) => void
}

/**
 * One worker process, seen from the supervisor.
 *
 * States: *starting* from the fork on, killed when it is not ready in time; *ready* once it said so; *stopping* after
 * {@link ChildHandle.stop}, killed when it does not end in time; *gone* when the process has ended. Every state but the
 * last can go straight to *gone*.
 */
export class ChildHandle {
  readonly role: string
  readonly #process: ChildProcess
  readonly #deadlines: Deadlines
  readonly #listener: ChildListener
  #state: 'starting' | 'ready' | 'stopping' | 'gone' = 'starting'
  readonly #ready = deferred<boolean>()
  readonly #gone = deferred<ChildExit>()
  #limit: NodeJS.Timeout | undefined
  #limitAt = Infinity
  #readyAt: number | undefined
  #workerId: string | undefined
  #facts: WorkerFacts | undefined
  #beat: Heartbeat | undefined
  #beatAt: number | undefined
  #failed: Extract<FromChild, { type: 'failed' }> | undefined
  #ended: Extract<FromChild, { type: 'ended' }> | undefined

  constructor(role: string, settings: ChildSettings, listener: ChildListener) {
    this.role = role
    this.#deadlines = settings.deadlines
    this.#listener = listener
    this.#process = fork(PROGRAM, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#process.on('message', (raw) => this.#receive(unwrapFromChild(raw)))
    this.#process.on('exit', (code, signal) =>
      this.#end(code, signal === null ? `exit code ${String(code)}` : `signal ${signal}`),
    )
    this.#process.on('error', (error) => {
      // Without a process there will be no `exit`.
      if (this.#process.pid === undefined) this.#end(null, error.message)
    })
    this.#killAfter(settings.deadlines.startMs)
    this.#send({ type: 'start', role, settings })
  }

  /** Whether it became ready. Resolves `false` when it ended before. */
  get ready(): Promise<boolean> {
    return this.#ready.promise
  }

  get gone(): Promise<ChildExit> {
    return this.#gone.promise
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  get state(): 'starting' | 'ready' | 'stopping' | 'gone' {
    return this.#state
  }

  get workerId(): string | undefined {
    return this.#workerId
  }

  /** Known once it was ready. */
  get facts(): WorkerFacts | undefined {
    return this.#facts
  }

  get heartbeat(): Heartbeat | undefined {
    return this.#beat
  }

  /** Milliseconds since the last heartbeat, or since it became ready; `undefined` before that. */
  get silentForMs(): number | undefined {
    const since = this.#beatAt ?? this.#readyAt
    return since === undefined ? undefined : performance.now() - since
  }

  get processed(): number {
    return this.#ended?.processed ?? this.#beat?.processed ?? 0
  }

  /** Also when it is stopping already: `abort` after `finish` shortens the deadline. */
  stop(running: Running): void {
    if (this.#state === 'gone') return
    // A child that is not ready runs nothing: there is nothing to wait for.
    this.#killAfter(killAfterMs(this.#deadlines, this.#state === 'starting' ? 'abort' : running))
    this.#state = 'stopping'
    this.#send({ type: 'stop', running })
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  reclaim(workerId: string): void {
    this.#send({ type: 'reclaim', workerId })
  }

  #receive(message: FromChild | undefined): void {
    switch (message?.type) {
      case 'loaded':
        this.#workerId = message.workerId
        return
      case 'ready':
        this.#facts = message.facts
        this.#readyAt = performance.now()
        if (this.#state !== 'starting') return
        this.#state = 'ready'
        this.#noLimit()
        this.#ready.resolve(true)
        return
      case 'heartbeat':
        this.#beat = message.beat
        this.#beatAt = performance.now()
        return
      case 'reclaimed':
        this.#listener.onReclaimed(message.workerId, message.count, message.error)
        return
      case 'failed':
        this.#failed = message
        return
      case 'ended':
        this.#ended = message
        // It ends by itself after its last task, and is stopping from now on.
        if (this.#state === 'ready') this.#state = 'stopping'
        this.#killAfter(killAfterMs(this.#deadlines, 'abort'))
        return
      case undefined:
    }
  }

  #end(code: number | null, how: string): void {
    if (this.#state === 'gone') return
    const wasStopped = this.#state === 'stopping'
    this.#state = 'gone'
    this.#noLimit()
    const readyForMs = this.#readyAt === undefined ? 0 : performance.now() - this.#readyAt
    const handedBack = this.#ended !== undefined && code === 0
    this.#ready.resolve(false)
    this.#gone.resolve({
      end: classifyEnd({ ended: this.#ended?.end, failedWith: this.#failed?.exitCode, wasStopped, code }),
      how,
      report: this.#failed?.report,
      abandoned: handedBack ? undefined : this.#workerId,
      readyForMs,
      processed: this.processed,
    })
  }

  /** An earlier limit stays. */
  #killAfter(ms: number): void {
    const at = performance.now() + ms
    if (this.#state !== 'starting' && at >= this.#limitAt) return
    clearTimeout(this.#limit)
    this.#limitAt = at
    this.#limit = setTimeout(
      () => {
        this.#listener.onKill(this, ms)
        this.kill()
      },
      Math.min(ms, MAX_TIMER_MS),
    )
  }

  #noLimit(): void {
    clearTimeout(this.#limit)
    this.#limitAt = Infinity
  }

  #send(message: ToChild): void {
    // A channel that closes meanwhile is no news: `exit` follows.
    if (this.#process.connected) this.#process.send(wrap(message), () => {})
  }
}
