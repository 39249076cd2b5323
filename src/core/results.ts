import { ConfigError, KiqError, ResultError } from '../contract/index.ts'
import type { Body, Progress, ResultBackend, ResultRecord, Serializer, TaskResult } from '../contract/index.ts'
import { sleep } from '../util/abort.ts'
import type { Duration } from '../util/duration.ts'
import { durationMs } from './duration.ts'
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

/** The result backend as the core uses it: results and progress instead of bytes. */
export class Results {
  readonly #backend: () => ResultBackend | undefined
  readonly #serializer: () => Serializer
  readonly #defaultTtlMs: number

  constructor(backend: () => ResultBackend | undefined, serializer: () => Serializer, defaultTtlMs: number) {
    this.#backend = backend
    this.#serializer = serializer
    this.#defaultTtlMs = defaultTtlMs
  }

  get #format(): Serializer {
    return this.#backend()?.serializer ?? this.#serializer()
  }

  /** @throws {MessageError} `KIQ_RESULT_UNSERIALIZABLE` */
  encode(taskId: string, result: TaskResult, ttlMs: number = this.#defaultTtlMs): ResultRecord {
    return { taskId, body: encodeResult(result, this.#format), ttlMs }
  }

  async save(record: ResultRecord): Promise<void> {
    await this.#require().save([record])
  }

  async get(taskId: string): Promise<TaskResult | undefined> {
    const [body] = await this.#require().get([taskId])
    return body === undefined ? undefined : decodeResult(body, this.#format, taskId)
  }

  async wait(taskId: string, options: WaitOptions = {}): Promise<TaskResult> {
    const backend = this.#require()
    const timeoutMs = options.timeout === undefined ? DEFAULT_WAIT_MS : durationMs('timeout', options.timeout)
    options.signal?.throwIfAborted()
    const body =
      backend.subscribe === undefined || timeoutMs === 0
        ? await this.#poll(backend, taskId, timeoutMs, options.signal)
        : await this.#subscribe(backend.subscribe.bind(backend), taskId, timeoutMs, options.signal)
    return decodeResult(body, this.#format, taskId)
  }

  async setProgress(taskId: string, progress: Progress): Promise<void> {
    const body = encodeProgress(progress, this.#format)
    await this.#require().setProgress({ taskId, body, ttlMs: this.#defaultTtlMs })
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

  #subscribe(
    subscribe: NonNullable<ResultBackend['subscribe']>,
    taskId: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Body> {
    return new Promise((resolve, reject) => {
      const unsubscribe = subscribe(taskId, (body) => {
        end()
        resolve(body)
      })
      const end = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', aborted)
        unsubscribe()
      }
      const timer = setTimeout(() => {
        end()
        reject(timedOut(taskId, timeoutMs))
      }, timeoutMs)
      const aborted = (): void => {
        end()
        reject(abortReason(signal))
      }
      signal?.addEventListener('abort', aborted, { once: true })
    })
  }

  /** For backends that cannot notify: asks with growing intervals, and survives failures of the engine. */
  async #poll(
    backend: ResultBackend,
    taskId: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Body> {
    const deadline = performance.now() + timeoutMs
    let intervalMs = FIRST_POLL_MS
    for (;;) {
      const body = await readOnce(backend, taskId, deadline)
      if (body !== undefined) return body
      const left = deadline - performance.now()
      if (left <= 0) throw timedOut(taskId, timeoutMs)
      await sleep(Math.min(intervalMs, left), signal)
      if (signal?.aborted) throw abortReason(signal)
      intervalMs = Math.min(intervalMs * 1.5, LAST_POLL_MS)
    }
  }
}

/** One failed look does not end a wait; only when the time is over its error is the answer. */
async function readOnce(backend: ResultBackend, taskId: string, deadline: number): Promise<Body | undefined> {
  try {
    const [body] = await backend.get([taskId])
    return body
  } catch (error) {
    const transient = KiqError.is(error, 'KIQ_RESULT_BACKEND_FAILED')
    if (transient && performance.now() < deadline) return undefined
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
