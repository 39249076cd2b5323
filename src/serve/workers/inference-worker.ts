import type { KiqError } from '../../contract/index.ts'
import { toFailure } from '../../core/index.ts'
import { MAX_TIMER_MS } from '../../util/abort.ts'
import { messageOf } from '../../util/show.ts'
import { isPromiseLike } from '../../util/thenable.ts'
import type { BatchRun } from '../pipeline-host.ts'
import type { ItemOutcome } from '../run-pipeline.ts'
import type { Channel } from './channel.ts'
import { openChannel } from './channel.ts'
import { findUncloneable } from './cloneable.ts'
import type { RestartReason, WorkerSettings } from './options.ts'
import { isPoison } from './poison.ts'
import type { FromWorker, LogRecord, SentOutcome } from './protocol.ts'
import { CONSUMED_STEP, LOGGED_STEP } from './protocol.ts'
import { reviveError } from './revive.ts'
import { diedStarting, diedWorking, reloadedTooSlowly, startedTooSlowly, unsendable } from './worker-errors.ts'

/** How a batch ended in a worker. */
export type RunEnd<O> =
  | { readonly kind: 'done'; readonly outcomes: readonly ItemOutcome<O>[]; readonly isPoisoned: boolean }
  /** Its signal aborted, and the worker did not end it in time. */
  | { readonly kind: 'aborted' }
  /** The worker ended: by this batch, as far as can be known, or because another one had to be ended. */
  | { readonly kind: 'lost'; readonly error: KiqError; readonly blame: 'this' | 'other' }
  /** It has waited in the worker, and another one can run it sooner. */
  | { readonly kind: 'returned' }
  /** Nothing has run: the inputs at these positions cannot be cloned. */
  | { readonly kind: 'unsendable'; readonly errors: ReadonlyMap<number, KiqError> }

export interface WorkerEvents<I, O> {
  /** It has a free place, or none any more. */
  changed(): void
  gone(worker: InferenceWorker<I, O>, restart: RestartReason | undefined): void
}

interface Batch<O> {
  readonly id: number
  readonly size: number
  readonly run: BatchRun<O>
  /** Only the first call counts. */
  readonly end: (end: RunEnd<O>) => void
  /** When, by `performance.now()`; `undefined` while it waits for those before it. */
  begunAt: number | undefined
  /** Nobody waits for it here any more. */
  isOver: boolean
  /** Gives it back while it waits, or ends the worker. */
  timer: NodeJS.Timeout | undefined
  /** Outputs and progress values that were consumed since the worker was last told. */
  consumed: number
}

/** Milliseconds that `teardown` may take. */
const STOP_MS = 10_000
/** Of a worker whose start has failed, or that cannot be trusted. */
const DISCARD_MS = 2_000
const HEALTH_MS = 2_000
/** Of one with batches in work: probes have limits of their own, often of 1 s. */
const BUSY_HEALTH_MS = 250
/** Batches wait in a worker only when those before them are done in less, which is when it counts. */
const QUICK_MS = 50
/** Unanswered questions in a row, while it has nothing to do, after which it counts as hung. */
const MAX_SILENT = 3

/**
 * The host's side of one worker. States: *starting* until {@link InferenceWorker.ready}; *open*: takes batches; *leaving*:
 * takes nothing more and ends after its batches; *gone*.
 */
export class InferenceWorker<I, O> {
  readonly index: number
  /** Rejects with the worker's own error, or why it was given up. */
  readonly ready: Promise<void>
  readonly gone: Promise<void>
  /** Batches that were promised to it. */
  taken = 0
  /** When it last became free, in milliseconds of `performance.now()`. */
  freeSince = 0
  readonly #settings: WorkerSettings
  readonly #events: WorkerEvents<I, O>
  readonly #channel: Channel
  /** In the order in which the worker begins them; until it has answered. */
  readonly #batches = new Map<number, Batch<O>>()
  #nextBatch = 1
  /** Of the last batch; none waits behind the first one. */
  #lastMs = Infinity
  #state: 'starting' | 'open' | 'leaving' | 'gone' = 'starting'
  #hasBeenReady = false
  #canReload = false
  #isPaused = false
  #restart: RestartReason | undefined
  /** The end was asked for. */
  #isExpected = false
  #killTimer: NodeJS.Timeout | undefined
  #logged = 0
  #silent = 0
  #wasHealthy = true
  #onHealth: ((isHealthy: boolean | undefined) => void) | undefined
  #onReloaded: ((error: Error | undefined) => void) | undefined
  #onIdle: (() => void) | undefined
  #started: (error?: Error) => void = () => {}
  #isGone: () => void = () => {}

  constructor(settings: WorkerSettings, index: number, events: WorkerEvents<I, O>) {
    this.#settings = settings
    this.index = index
    this.#events = events
    this.gone = new Promise((resolve) => (this.#isGone = resolve))
    this.#channel = openChannel({
      kind: settings.kind,
      env: { ...settings.env, ...settings.envFor(index) },
      memoryMiB: settings.memoryMiB,
      onMessage: (message) => this.#receive(message),
      onGone: (how) => this.#gone(how),
    })
    this.ready = this.#start()
    this.ready.catch(() => {})
  }

  get id(): number | undefined {
    return this.#channel.id
  }

  get canReload(): boolean {
    return this.#canReload
  }

  /** It runs, or will, and takes batches then. */
  get isLive(): boolean {
    return this.#state === 'starting' || this.#state === 'open'
  }

  /** It is ready, and not about to end. */
  get isReady(): boolean {
    return this.#state === 'open'
  }

  /** It would begin a batch at once. */
  get isFree(): boolean {
    return this.hasPlace && this.taken < this.#settings.concurrency
  }

  /** It takes a batch, which may have to wait for one before it, though not for long. */
  get hasPlace(): boolean {
    const { concurrency, ahead } = this.#settings
    if (this.#state !== 'open' || this.#isPaused) return false
    return this.taken < concurrency || (this.taken < concurrency + ahead && this.#isQuick)
  }

  get #isQuick(): boolean {
    if (this.#lastMs > QUICK_MS) return false
    const longAgo = performance.now() - QUICK_MS
    for (const { begunAt } of this.#batches.values()) if (begunAt !== undefined && begunAt < longAgo) return false
    return true
  }

  /** Runs a batch. Never rejects; when the signal aborts it ends within the grace. */
  run(inputs: readonly I[], run: BatchRun<O>): Promise<RunEnd<O>> {
    return new Promise((resolve) => {
      if (run.signal.aborted) {
        resolve({ kind: 'aborted' })
        return
      }
      // It may have ended since it was chosen.
      if (this.#state !== 'open') {
        resolve({ kind: 'lost', error: this.#died('no answer', inputs.length), blame: 'other' })
        return
      }
      const id = this.#nextBatch++
      const abort = (): void => this.#abort(batch)
      const end = (how: RunEnd<O>): void => {
        batch.isOver = true
        run.signal.removeEventListener('abort', abort)
        resolve(how)
      }
      const state = { begunAt: undefined, isOver: false, timer: undefined, consumed: 0 }
      const batch: Batch<O> = { id, size: inputs.length, run, end, ...state }
      try {
        this.#channel.post({ type: 'run', batch: id, inputs, ...(run.followed ? { followed: run.followed } : {}) })
      } catch (error) {
        resolve({ kind: 'unsendable', errors: findUnsendable(inputs, error) })
        return
      }
      this.#batches.set(id, batch)
      run.signal.addEventListener('abort', abort, { once: true })
      this.#beginNext()
      if (batch.begunAt === undefined && this.#settings.maxWorkers > 1) {
        batch.timer = setTimeout(() => this.#giveBack(batch), QUICK_MS)
      }
    })
  }

  /** It waits for longer than it should. Should it begin at this very moment, it runs twice, and what comes of it here is nobody's. */
  #giveBack(batch: Batch<O>): void {
    if (batch.isOver) return
    this.#channel.post({ type: 'abort', batch: batch.id, reason: toFailure(new Error('It runs elsewhere.')) })
    batch.end({ kind: 'returned' })
  }

  /** A batch that was promised has ended. */
  release(): void {
    this.taken -= 1
    this.freeSince = performance.now()
    if (this.taken === 0) this.#idle()
    this.#events.changed()
  }

  /**
   * Whether its pipeline says that it can serve; `undefined` when it is gone. One that computes cannot answer: what it said
   * last counts then, as its batch is within its time.
   */
  async isHealthy(): Promise<boolean | undefined> {
    if (this.#state !== 'open') return undefined
    const isBusy = this.taken > 0 || this.#isPaused
    const answer = await new Promise<boolean | undefined | 'silent'>((resolve) => {
      const timer = setTimeout(() => resolve('silent'), isBusy ? BUSY_HEALTH_MS : HEALTH_MS)
      this.#onHealth = (isHealthy) => {
        clearTimeout(timer)
        resolve(isHealthy)
      }
      this.#channel.post({ type: 'ask-health' })
    })
    this.#onHealth = undefined
    if (answer !== 'silent') {
      this.#silent = 0
      return answer
    }
    if (isBusy || this.taken > 0) return this.#wasHealthy
    this.#silent += 1
    if (this.#silent >= MAX_SILENT) this.#discard('hung')
    return false
  }

  /** Takes over changed files, after its batches. One that fails is replaced. */
  async reload(): Promise<void> {
    this.#isPaused = true
    await this.#untilIdle()
    if (this.#state === 'open') {
      const error = await this.#askToReload()
      if (error !== undefined) {
        const { log, modelName } = this.#settings
        log.error({ err: error, model: modelName, worker: this.id }, 'A worker could not reload, and is replaced.')
        this.#discard('poisoned')
      }
    }
    this.#isPaused = false
    this.#events.changed()
  }

  /** Takes nothing more, and ends after its batches; killed when `teardown` takes longer than 10 s. */
  stop(): void {
    this.#isExpected = true
    if (this.#state === 'starting') this.#discard(undefined)
    else this.#leave(STOP_MS)
  }

  /** Ends it at once, unless it ends already. */
  kill(): void {
    this.#isExpected = true
    if (this.#killTimer === undefined) this.#discard(undefined)
  }

  async #start(): Promise<void> {
    const { module, modelName, pipelineName, context, niceness, kind, startTimeoutMs } = this.#settings
    const timer = setTimeout(
      () => {
        this.#started(startedTooSlowly({ kind, id: this.id, modelName }, startTimeoutMs))
        this.#discard(undefined)
      },
      Math.min(startTimeoutMs, MAX_TIMER_MS),
    )
    try {
      await new Promise<void>((resolve, reject) => {
        this.#started = (error) => (error === undefined ? resolve() : reject(error))
        const order = {
          module,
          modelName,
          pipelineName,
          context,
          concurrency: this.#settings.concurrency,
          niceness: kind === 'process' ? niceness : undefined,
        }
        this.#channel.post({ type: 'start', order })
      })
    } finally {
      clearTimeout(timer)
    }
  }

  /** The worker begins batches in their order: as many at once as it may. */
  #beginNext(): void {
    let first = 0
    for (const batch of this.#batches.values()) {
      first += 1
      if (first > this.#settings.concurrency) return
      if (batch.begunAt !== undefined) continue
      clearTimeout(batch.timer)
      batch.begunAt = performance.now()
      if (batch.isOver) this.#limit(batch)
      else batch.run.onBegin?.()
    }
  }

  /** One that waits in the worker ends at once; it stays known until the worker has come upon it. */
  #abort(batch: Batch<O>): void {
    this.#channel.post({ type: 'abort', batch: batch.id, reason: toFailure(batch.run.signal.reason) })
    if (batch.begunAt === undefined) batch.end({ kind: 'aborted' })
    else this.#limit(batch)
  }

  #limit(batch: Batch<O>): void {
    batch.timer = setTimeout(() => {
      batch.end({ kind: 'aborted' })
      this.#discard('hung')
    }, this.#settings.abortGraceMs)
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'ready':
        if (this.#state !== 'starting') return
        this.#canReload = message.canReload
        this.#state = 'open'
        this.#hasBeenReady = true
        this.freeSince = performance.now()
        this.#started()
        return
      case 'failed':
        this.#started(reviveError(message.error))
        this.#endWithin(DISCARD_MS)
        return
      case 'output':
        this.#tell(message.batch, ({ onOutput }) => onOutput?.(message.index, message.output as never))
        return
      case 'progress':
        this.#tell(message.batch, ({ onProgress }) => onProgress?.(message.index, message.value))
        return
      case 'done':
        this.#done(message.batch, message.outcomes)
        return
      case 'health':
        this.#wasHealthy = message.isHealthy
        this.#onHealth?.(message.isHealthy)
        return
      case 'reloaded':
        this.#onReloaded?.(message.error && reviveError(message.error))
        return
      case 'log':
        this.#log(message)
        return
      case 'stopped':
    }
  }

  /** Tells who follows. A promise that comes back holds the stream up until it is settled. */
  #tell(id: number, tell: (run: BatchRun<O>) => unknown): void {
    const batch = this.#batches.get(id)
    if (batch === undefined) return
    const consumed = (): void => {
      batch.consumed += 1
      if (batch.consumed < CONSUMED_STEP) return
      this.#channel.post({ type: 'consumed', batch: id, count: batch.consumed })
      batch.consumed = 0
    }
    try {
      const told = tell(batch.run)
      if (isPromiseLike(told)) {
        told.then(consumed, consumed)
        return
      }
    } catch (err) {
      const { log, modelName } = this.#settings
      log.error({ err, model: modelName }, 'Whoever follows a batch threw.')
    }
    consumed()
  }

  #done(id: number, sent: readonly SentOutcome[]): void {
    const batch = this.#batches.get(id)
    if (batch === undefined) return
    clearTimeout(batch.timer)
    this.#batches.delete(id)
    if (batch.begunAt !== undefined) this.#lastMs = performance.now() - batch.begunAt
    this.#beginNext()
    const outcomes = sent.map((outcome) =>
      'output' in outcome ? (outcome as ItemOutcome<O>) : { error: reviveError(outcome.failure) },
    )
    const { poison } = this.#settings
    const isPoisoned = outcomes.some((outcome) => 'error' in outcome && isPoison(outcome.error, poison))
    if (isPoisoned) {
      this.#restart ??= 'poisoned'
      this.#state = 'leaving'
    }
    batch.end({ kind: 'done', outcomes, isPoisoned })
  }

  #log({ level, fields, errors, message }: LogRecord): void {
    const { log, modelName } = this.#settings
    const revived = Object.fromEntries(Object.entries(errors).map(([key, failure]) => [key, reviveError(failure)]))
    log[level]({ ...fields, ...revived, model: modelName, worker: this.id }, message)
    this.#logged += 1
    if (this.#logged < LOGGED_STEP) return
    this.#channel.post({ type: 'logged', count: this.#logged })
    this.#logged = 0
  }

  async #askToReload(): Promise<Error | undefined> {
    const { startTimeoutMs, kind, modelName } = this.#settings
    return await new Promise<Error | undefined>((resolve) => {
      const timer = setTimeout(
        () => this.#onReloaded?.(reloadedTooSlowly({ kind, id: this.id, modelName }, startTimeoutMs)),
        Math.min(startTimeoutMs, MAX_TIMER_MS),
      )
      this.#onReloaded = (error) => {
        clearTimeout(timer)
        this.#onReloaded = undefined
        resolve(error)
      }
      this.#channel.post({ type: 'reload' })
    })
  }

  async #untilIdle(): Promise<void> {
    if (this.taken === 0 || this.#state === 'gone') return
    await new Promise<void>((resolve) => (this.#onIdle = resolve))
  }

  #idle(): void {
    this.#onIdle?.()
    this.#onIdle = undefined
    if (this.#state === 'leaving') this.#endWithin(this.#restart === 'poisoned' ? DISCARD_MS : STOP_MS)
  }

  #leave(limitMs: number): void {
    if (this.#state === 'gone') return
    this.#state = 'leaving'
    if (this.taken === 0) this.#endWithin(limitMs)
  }

  /** Lets it tear down, for that many milliseconds. */
  #endWithin(ms: number): void {
    if (this.#state === 'gone' || this.#killTimer !== undefined) return
    this.#state = 'leaving'
    this.#channel.post({ type: 'stop' })
    this.#killTimer = setTimeout(() => this.#channel.kill(), ms)
  }

  #discard(restart: RestartReason | undefined): void {
    if (this.#state === 'gone') return
    this.#restart ??= restart
    this.#state = 'leaving'
    this.#channel.kill()
    this.#events.changed()
  }

  #gone(how: string): void {
    const { kind, modelName } = this.#settings
    clearTimeout(this.#killTimer)
    this.#state = 'gone'
    this.#started(diedStarting({ kind, id: this.id, modelName }, how))
    const isInnocent = this.#restart === 'hung' || this.#isExpected
    for (const { timer, run, size, begunAt, end } of this.#batches.values()) {
      clearTimeout(timer)
      const blame = isInnocent || begunAt === undefined ? 'other' : 'this'
      end(run.signal.aborted ? { kind: 'aborted' } : { kind: 'lost', error: this.#died(how, size), blame })
    }
    this.#batches.clear()
    this.#onHealth?.(undefined)
    this.#onReloaded?.(undefined)
    this.#onIdle?.()
    this.#isGone()
    const restart = this.#isExpected ? undefined : (this.#restart ?? 'died')
    this.#events.gone(this, this.#hasBeenReady ? restart : undefined)
  }

  #died(how: string, size: number): KiqError {
    const { kind, modelName } = this.#settings
    return diedWorking({ kind, id: this.id, modelName }, how, size)
  }
}

function findUnsendable(inputs: readonly unknown[], error: unknown): ReadonlyMap<number, KiqError> {
  const errors = new Map<number, KiqError>()
  for (const [position, input] of inputs.entries()) {
    const found = findUncloneable(input, 'input')
    if (found) errors.set(position, unsendable(position, found.path, found.reason))
  }
  if (errors.size > 0) return errors
  return new Map(inputs.map((_, position) => [position, unsendable(position, 'input', messageOf(error))]))
}
