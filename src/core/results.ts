import { ConfigError, KiqError, ResultError } from '../contract/index.ts'
import type { Body, Progress, ResultBackend, ResultRecord, Serializer, TaskResult } from '../contract/index.ts'
import { MAX_TIMER_MS, sleep } from '../util/abort.ts'
import type { Duration } from '../util/duration.ts'
import { durationMs } from './duration.ts'
import { Wait } from './wait.ts'
import type { WaitKeeper } from './wait.ts'
import { decodeProgress, decodeResult, encodeProgress, encodeResult } from './result-codec.ts'

export interface WaitOptions {
  /**
   * Longest wait; 0 looks once.
   *
   * @defaultValue `'24h'`, as long as results are kept by default
   */
  readonly timeout?: Duration | undefined
  /** Ends the wait; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

const DEFAULT_WAIT_MS = 24 * 60 * 60 * 1000
const FIRST_POLL_MS = 10
const LAST_POLL_MS = 1_000
/** Longest wait for the answer to a look that has no time of its own. */
const LAST_LOOK_MS = 1_000
const SWEEP_MS = 60_000

export interface EncodeOptions {
  /** Milliseconds the record is kept; the default of the backend or the broker when absent. */
  readonly ttlMs?: number | undefined
  /** The message that is answered. */
  readonly request?: Body | undefined
}

/** A result ⇄ what a backend stores. The default is Taskiq's record in the backend's serializer. */
export interface ResultCodec {
  /** @throws {MessageError} `KIQ_RESULT_UNSERIALIZABLE` */
  encode(result: TaskResult): Body
  decode(body: Body): TaskResult
}

/** The result backend as the core uses it: results and progress instead of bytes. */
export class Results {
  readonly #backend: () => ResultBackend | undefined
  readonly #serializer: () => Serializer
  readonly #codec: () => ResultCodec | undefined
  readonly #defaultTtlMs: number
  readonly #bounded = new BoundedWaits()
  readonly #early = new Set<Wait>()
  readonly #bySignal = new WeakMap<AbortSignal, Set<Wait>>()
  #closing = new AbortController()

  constructor(
    backend: () => ResultBackend | undefined,
    serializer: () => Serializer,
    codec: () => ResultCodec | undefined,
    defaultTtlMs: number,
  ) {
    this.#backend = backend
    this.#serializer = serializer
    this.#codec = codec
    this.#defaultTtlMs = defaultTtlMs
  }

  get #format(): Serializer {
    return this.#backend()?.serializer ?? this.#serializer()
  }

  #formatFor(request: Body | undefined): Serializer {
    const backend = this.#backend()
    return (request === undefined ? undefined : backend?.serializerFor?.(request)) ?? this.#format
  }

  /** How long results are kept that say nothing else, in milliseconds. */
  get ttlMs(): number {
    return this.#backend()?.defaultTtlMs ?? this.#defaultTtlMs
  }

  /** @throws {MessageError} `KIQ_RESULT_UNSERIALIZABLE` */
  encode(taskId: string, result: TaskResult, { ttlMs = this.ttlMs, request }: EncodeOptions = {}): ResultRecord {
    return { taskId, body: this.#codec()?.encode(result) ?? encodeResult(result, this.#formatFor(request)), ttlMs }
  }

  async save(record: ResultRecord): Promise<void> {
    await this.#require().save([record])
  }

  async has(taskId: string): Promise<boolean> {
    const backend = this.#require()
    if (backend.has === undefined) return (await this.get(taskId)) !== undefined
    const [isThere = false] = await backend.has([taskId])
    return isThere
  }

  async get(taskId: string): Promise<TaskResult | undefined> {
    const [body] = await this.#require().get([taskId])
    return body === undefined ? undefined : this.#decode(body, taskId)
  }

  #decode(body: Body, taskId: string): TaskResult {
    return this.#codec()?.decode(body) ?? decodeResult(body, this.#format, taskId)
  }

  /**
   * Waits for a result. One promise per wait where the backend notifies.
   *
   * @param map - What the wait resolves to; what it throws rejects the wait.
   */
  wait<T>(taskId: string, options: WaitOptions | undefined, map: (result: TaskResult) => T): Promise<T> {
    const backend = this.#require()
    const timeoutMs = options?.timeout === undefined ? undefined : durationMs('timeout', options.timeout)
    const signal = options?.signal
    signal?.throwIfAborted()
    if (backend.subscribe === undefined || timeoutMs === 0) {
      return this.#poll(backend, taskId, timeoutMs ?? DEFAULT_WAIT_MS, signal).then((body) =>
        map(this.#decode(body, taskId)),
      )
    }
    return new Promise((resolve, reject) => {
      const deliver = (body: Body): void => {
        try {
          resolve(map(this.#decode(body, taskId)))
        } catch (error) {
          reject(error)
        }
      }
      const ms = timeoutMs ?? DEFAULT_WAIT_MS
      const wait = new Wait({ taskId, resolve: deliver, reject }, performance.now() + ms)
      const unsubscribe = (backend.subscribe as NonNullable<ResultBackend['subscribe']>)(taskId, (body) =>
        wait.succeed(body),
      )
      if (timeoutMs === undefined && signal === undefined) wait.begin(this.#bounded.add(wait), unsubscribe)
      else wait.begin(this.#endEarly(wait, ms, signal), unsubscribe)
    })
  }

  async setProgress(taskId: string, progress: Progress, request: Body): Promise<void> {
    const body = encodeProgress(progress, this.#formatFor(request))
    await this.#require().setProgress({ taskId, body, ttlMs: this.ttlMs })
  }

  async getProgress(taskId: string): Promise<Progress | undefined> {
    const body = await this.#require().getProgress(taskId)
    return body === undefined ? undefined : decodeProgress(body, this.#format, taskId)
  }

  #require(): ResultBackend {
    const backend = this.#backend()
    if (backend) return backend
    throw new ConfigError(
      'KIQ_NO_RESULT_BACKEND',
      'This broker keeps no results. Give it a result backend: `broker.withResultBackend(…)`.',
    )
  }

  /** Ends a wait by its own timer or signal. */
  #endEarly(wait: Wait, timeoutMs: number, signal: AbortSignal | undefined): WaitKeeper {
    const timer = setTimeout(() => void this.#lastLook(wait, timeoutMs), Math.min(timeoutMs, MAX_TIMER_MS))
    const others = signal && this.#waitsOf(signal)
    others?.add(wait)
    this.#early.add(wait)
    return {
      forget: () => {
        clearTimeout(timer)
        others?.delete(wait)
        this.#early.delete(wait)
      },
    }
  }

  /** One listener per signal, however many waits share it: Node warns of more than ten. */
  #waitsOf(signal: AbortSignal): Set<Wait> {
    const known = this.#bySignal.get(signal)
    if (known) return known
    const waits = new Set<Wait>()
    this.#bySignal.set(signal, waits)
    signal.addEventListener(
      'abort',
      () => {
        for (const wait of [...waits]) wait.fail(abortReason(signal))
      },
      { once: true },
    )
    return waits
  }

  /** A busy process may see its timer before the notification of a result that is there. */
  async #lastLook(wait: Wait, timeoutMs: number): Promise<void> {
    try {
      const [body] = (await within(LAST_LOOK_MS, undefined, this.#require().get([wait.taskId]))) ?? []
      if (body === undefined) wait.fail(timedOut(wait.taskId, timeoutMs))
      else wait.succeed(body)
    } catch (error) {
      wait.fail(error)
    }
  }

  /** Ends every wait: the broker is shut down, and nobody would tell them any more. */
  close(): void {
    this.#closing.abort(closed())
    this.#closing = new AbortController()
    this.#bounded.close()
    for (const wait of [...this.#early]) wait.fail(closed())
  }

  /** For backends that cannot notify: asks with growing intervals, and survives failures of the engine. */
  async #poll(
    backend: ResultBackend,
    taskId: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Body> {
    const deadline = performance.now() + timeoutMs
    const closing = this.#closing.signal
    const over = signal ? AbortSignal.any([signal, closing]) : closing
    let intervalMs = FIRST_POLL_MS
    for (;;) {
      const withinMs = Math.max(deadline - performance.now(), timeoutMs === 0 ? LAST_LOOK_MS : 0)
      const look = await within(withinMs, over, readOnce(backend, taskId))
      if (look?.body !== undefined) return look.body
      if (over.aborted) throw abortReason(over)
      const left = deadline - performance.now()
      // One failed look does not end a wait; the last one is the answer.
      if (left <= 0) throw look?.error ?? timedOut(taskId, timeoutMs)
      await sleep(Math.min(intervalMs, left), over)
      intervalMs = Math.min(intervalMs * 1.5, LAST_POLL_MS)
    }
  }
}

function closed(): ConfigError {
  return new ConfigError(
    'KIQ_BROKER_NOT_STARTED',
    'The broker was shut down while somebody waited for a result. Wait for the results first, or wait again later with ' +
      'broker.sentTask(taskId).',
  )
}

/** Waits with the default bound share one timer: a timer each would cost more than the wait itself. */
class BoundedWaits implements WaitKeeper {
  readonly #waits = new Set<Wait>()
  #timer: NodeJS.Timeout | undefined

  add(wait: Wait): WaitKeeper {
    this.#waits.add(wait)
    // Keeps the process alive while somebody waits.
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS)
    if (this.#waits.size === 1) this.#timer.ref()
    return this
  }

  forget(wait: Wait): void {
    this.#waits.delete(wait)
    if (this.#waits.size === 0) this.#timer?.unref()
  }

  #sweep(): void {
    // In the order of their deadlines, as all have the same length.
    for (const wait of this.#waits) {
      if (wait.deadline > performance.now()) return
      wait.fail(timedOut(wait.taskId, DEFAULT_WAIT_MS))
    }
  }

  close(): void {
    for (const wait of [...this.#waits]) wait.fail(closed())
  }
}

/** A look of a backend that does not answer ends all the same: with `undefined`, as one that found nothing. */
async function within<T>(ms: number, signal: AbortSignal | undefined, look: Promise<T>): Promise<T | undefined> {
  const answered = new AbortController()
  // Whoever loses the race may still reject.
  look.catch(() => undefined)
  try {
    const over = signal ? AbortSignal.any([signal, answered.signal]) : answered.signal
    return await Promise.race([look, sleep(ms, over).then(() => undefined)])
  } finally {
    answered.abort()
  }
}

interface Look {
  readonly body?: Body | undefined
  /** The engine could not be asked; it may answer the next time. */
  readonly error?: KiqError | undefined
}

/** @throws what no second look mends. */
async function readOnce(backend: ResultBackend, taskId: string): Promise<Look> {
  try {
    const [body] = await backend.get([taskId])
    return { body }
  } catch (error) {
    if (KiqError.is(error, 'KIQ_RESULT_BACKEND_FAILED')) return { error }
    throw error
  }
}

function timedOut(taskId: string, timeoutMs: number): ResultError {
  return new ResultError(
    'KIQ_RESULT_TIMED_OUT',
    `Task ${taskId} has no result after ${timeoutMs} ms. It may still be queued or running: is a worker started for ` +
      'its queue? Wait longer with `timeout`, or look later with isReady().',
  )
}

function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason
  return reason instanceof Error ? reason : new ResultError('KIQ_RESULT_TIMED_OUT', `The wait ended: ${String(reason)}`)
}
