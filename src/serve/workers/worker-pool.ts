import { MAX_TIMER_MS } from '../../util/abort.ts'
import { backoffMs } from '../../util/backoff.ts'
import type { Turn } from './batch-attempts.ts'
import { InferenceWorker } from './inference-worker.ts'
import type { WorkerEvents } from './inference-worker.ts'
import type { RestartReason, WorkerSettings } from './options.ts'
import { cannotStart } from './worker-errors.ts'

interface Waiter<I, O> {
  readonly give: (worker: InferenceWorker<I, O>) => void
  readonly fail: (error: unknown) => void
}

const BACKOFF = { baseMs: 100, maxMs: 15_000 }

/** Workers in a row that may die before they have done a batch until new ones have to wait. */
const EARLY_DEATHS = 8

/**
 * The workers of one model: as many as are needed, within the limits. What has a process or thread counts, until it is
 * gone.
 *
 * States: *made*; *running* after {@link WorkerPool.start}; *closing* after {@link WorkerPool.close}.
 */
export class WorkerPool<I, O> {
  readonly #settings: WorkerSettings
  readonly #workers = new Set<InferenceWorker<I, O>>()
  /** Longest first; bounded by how many batches the caller has at once. */
  #waiting: Waiter<I, O>[] = []
  readonly #events: WorkerEvents<I, O>
  #state: 'made' | 'running' | 'closing' = 'made'
  /** In a row. */
  #failedStarts = 0
  #earlyDeaths = 0
  #startError: unknown
  #backoff: NodeJS.Timeout | undefined
  #idleTimer: NodeJS.Timeout | undefined

  constructor(settings: WorkerSettings) {
    this.#settings = settings
    this.#events = {
      changed: () => this.#balance(),
      gone: (worker, restart) => this.#gone(worker, restart),
    }
  }

  get size(): number {
    return this.#workers.size
  }

  get workers(): readonly InferenceWorker<I, O>[] {
    return [...this.#workers]
  }

  /** Whether workers can be had as far as is known: one is ready, or none is kept and one may be started at once. */
  get canServe(): boolean {
    if (this.#state !== 'running') return false
    if (this.workers.some(({ isReady }) => isReady)) return true
    return this.#settings.minWorkers === 0 && this.#backoff === undefined
  }

  /** Resolves when `minWorkers` are ready. A failed start leaves none behind. */
  async start(): Promise<void> {
    const { minWorkers } = this.#settings
    const first = Array.from({ length: minWorkers }, () => this.#startOne())
    try {
      await Promise.all(first.map(async ({ ready }) => await ready))
    } catch (error) {
      await this.#killAll()
      throw error
    }
    if (this.#state === 'made') this.#state = 'running'
    this.#balance()
  }

  /**
   * Resolves with a worker that has a place, which is then taken: {@link InferenceWorker.release} gives it back.
   *
   * @throws the reason of the signal, or a KiqError when no worker can be started.
   */
  async acquire(signal: AbortSignal, turn: Turn = 'first'): Promise<InferenceWorker<I, O>> {
    signal.throwIfAborted()
    return await new Promise((resolve, reject) => {
      const end = (): void => {
        signal.removeEventListener('abort', abort)
        this.#waiting = this.#waiting.filter((one) => one !== waiter)
      }
      const abort = (): void => {
        end()
        reject(signal.reason as Error)
      }
      const waiter = {
        give: (worker: InferenceWorker<I, O>) => {
          end()
          worker.taken += 1
          resolve(worker)
        },
        fail: (error: unknown) => {
          end()
          reject(error)
        },
      }
      signal.addEventListener('abort', abort, { once: true })
      if (turn === 'again') this.#waiting.unshift(waiter)
      else this.#waiting.push(waiter)
      this.#balance()
    })
  }

  /** A batch was done. */
  noteBatch(): void {
    this.#earlyDeaths = 0
  }

  /** Ends all workers after their batches; resolves when they are gone. */
  async close(): Promise<void> {
    this.#state = 'closing'
    clearTimeout(this.#backoff)
    clearTimeout(this.#idleTimer)
    const workers = this.workers
    for (const worker of workers) worker.stop()
    await Promise.all(workers.map(async ({ gone }) => await gone))
  }

  /** Gives places to those that wait, starts what is missing, and ends what is not needed. */
  #balance(): void {
    if (this.#state !== 'running') return
    for (const waiter of this.#waiting) {
      const worker = this.#pick()
      if (worker === undefined) break
      waiter.give(worker)
    }
    const { maxWorkers, spare } = this.#settings
    const wanted = this.#wanted(Math.ceil(this.#waiting.length / this.#settings.concurrency))
    while (this.#backoff === undefined && this.#live < wanted && this.size < maxWorkers + spare) this.#startOne()
    this.#endIdle()
  }

  /** The one with most room, and of these the one that was used last; a batch waits in one only when no other can be had. */
  #pick(): InferenceWorker<I, O> | undefined {
    const mayBegin = this.#inUse < this.#settings.maxWorkers
    let best: InferenceWorker<I, O> | undefined
    for (const worker of this.#workers) {
      if (!(mayBegin ? worker.isFree : worker.hasPlace && worker.taken > 0)) continue
      const isBetter =
        best === undefined ||
        worker.taken < best.taken ||
        (worker.taken === best.taken && worker.freeSince > best.freeSince)
      if (isBetter) best = worker
    }
    return best
  }

  /** @param more - Workers that those that wait would fill. */
  #wanted(more: number): number {
    const { minWorkers, maxWorkers, spare } = this.#settings
    const used = Math.max(minWorkers, Math.min(this.#inUse + more, maxWorkers))
    return used === 0 ? 0 : used + spare
  }

  get #inUse(): number {
    return this.workers.filter(({ taken }) => taken > 0).length
  }

  get #live(): number {
    return this.workers.filter(({ isLive }) => isLive).length
  }

  #startOne(): InferenceWorker<I, O> {
    const indexes = new Set(this.workers.map(({ index }) => index))
    let index = 0
    while (indexes.has(index)) index += 1
    const worker = new InferenceWorker<I, O>(this.#settings, index, this.#events)
    this.#workers.add(worker)
    worker.ready.then(
      () => {
        this.#failedStarts = 0
        this.#balance()
      },
      (error: unknown) => this.#startFailed(worker, error),
    )
    return worker
  }

  #startFailed(worker: InferenceWorker<I, O>, error: unknown): void {
    if (this.#state !== 'running') return
    const { log, modelName, maxWorkers } = this.#settings
    this.#failedStarts += 1
    this.#startError = error
    log.error({ err: error, model: modelName, worker: worker.id }, 'A worker of a model could not be started.')
    if (this.#failedStarts >= maxWorkers + 2) {
      const failure = cannotStart(modelName, this.#failedStarts, this.#startError)
      for (const waiter of this.#waiting) waiter.fail(failure)
    }
    this.#waitBefore(this.#failedStarts)
  }

  #gone(worker: InferenceWorker<I, O>, restart: RestartReason | undefined): void {
    this.#workers.delete(worker)
    if (restart !== undefined) {
      const { log, modelName, onRestart } = this.#settings
      log.warn({ model: modelName, worker: worker.id, reason: restart }, 'A worker of a model has to be replaced.')
      onRestart(restart)
      this.#earlyDeaths += 1
      if (this.#earlyDeaths > EARLY_DEATHS) this.#waitBefore(this.#earlyDeaths - EARLY_DEATHS)
    }
    this.#balance()
  }

  #waitBefore(attempt: number): void {
    clearTimeout(this.#backoff)
    this.#backoff = setTimeout(
      () => {
        this.#backoff = undefined
        this.#balance()
      },
      backoffMs(attempt, BACKOFF),
    )
  }

  /** Ends those that have been free for too long and are not needed, longest first, and looks again at the next. */
  #endIdle(): void {
    clearTimeout(this.#idleTimer)
    let surplus = this.#live - this.#wanted(this.#waiting.length)
    if (surplus <= 0) return
    const now = performance.now()
    const free = this.workers.filter(({ isReady, taken }) => isReady && taken === 0)
    for (const worker of free.sort((a, b) => a.freeSince - b.freeSince)) {
      if (surplus <= 0) return
      const leftMs = worker.freeSince + this.#settings.idleTimeoutMs - now
      if (leftMs > 0) {
        this.#idleTimer = setTimeout(() => this.#balance(), Math.min(Math.ceil(leftMs), MAX_TIMER_MS)).unref()
        return
      }
      surplus -= 1
      worker.stop()
    }
  }

  async #killAll(): Promise<void> {
    const workers = this.workers
    for (const worker of workers) worker.kill()
    await Promise.all(workers.map(async ({ gone }) => await gone))
  }
}
