import { KiqError } from '../../contract/index.ts'
import type { Broker } from '../../core/index.ts'
import { sleep } from '../../util/abort.ts'
import { isEnded } from './job.ts'
import type { Job, JobEvent } from './job.ts'
import type { LiveEvent, LiveRuns } from './live-runs.ts'

/** Outputs that may wait for a follower that does not read. */
export const MAX_WAITING_OUTPUTS = 10_000
/** Milliseconds between looks at a job that runs elsewhere. */
const LOOK_EVERY_MS = 1_000

export interface FollowParts {
  readonly broker: Broker
  readonly live: LiveRuns
  /** Rejects when the job is not known. */
  readonly look: () => Promise<Job>
}

/**
 * The events of a job until its end: its state at once and after each change, progress, and outputs of an execution in this
 * process from now on. Of progress that is not read in time the newest is kept.
 *
 * @throws {KiqError} `KIQ_SERVE_JOB_UNKNOWN`; `KIQ_SERVE_BUSY` when {@link MAX_WAITING_OUTPUTS} outputs are not read.
 */
export async function* followJob(
  jobId: string,
  { broker, live, look }: FollowParts,
  signal: AbortSignal | undefined,
): AsyncGenerator<JobEvent, void, undefined> {
  const over = new AbortController()
  const isOver = (): boolean => over.signal.aborted
  const end = (): void => over.abort()
  signal?.addEventListener('abort', end, { once: true })
  if (signal?.aborted) end()
  const events = new LiveEvents(jobId)
  const unlisten = live.listen(jobId, (event) => events.push(event))
  /** Without it the next look comes later; so failures do not matter. */
  const awaitResult = (): void => {
    broker.waitResult(jobId, { signal: over.signal }).then(
      () => events.push({ type: 'changed' }),
      () => undefined,
    )
  }
  try {
    let job = await look()
    let told = JSON.stringify(job.progress)
    yield { type: 'state', job }
    if (isEnded(job)) return
    awaitResult()
    while (!isOver()) {
      await events.wait(LOOK_EVERY_MS, over.signal)
      let mustLook = !live.has(jobId)
      for (let event = events.take(); event !== undefined; event = events.take()) {
        if (event.type === 'changed') {
          mustLook = true
          // What comes after it belongs to the next state.
          break
        }
        if (event.type === 'progress') told = JSON.stringify(event.value)
        yield event
      }
      if (!mustLook || isOver()) continue
      const before = job
      job = await look()
      const progress = JSON.stringify(job.progress)
      if (progress !== told && !live.has(jobId)) {
        told = progress
        yield { type: 'progress', value: job.progress }
      }
      for (let event = isEnded(job) ? events.take() : undefined; event !== undefined; event = events.take()) {
        if (event.type !== 'changed') yield event
      }
      if (job.state !== before.state || job.attempt !== before.attempt) yield { type: 'state', job }
      if (isEnded(job)) return
    }
  } finally {
    unlisten()
    over.abort()
    signal?.removeEventListener('abort', end)
  }
}

/** What a follower has not read yet. */
class LiveEvents {
  readonly #jobId: string
  #waiting: LiveEvent[] = []
  #read = 0
  #outputs = 0
  #wake: () => void = () => undefined
  #isOverrun = false

  constructor(jobId: string) {
    this.#jobId = jobId
  }

  push(event: LiveEvent): void {
    const last = this.#waiting[this.#waiting.length - 1]
    if (event.type === 'output') {
      if (this.#outputs >= MAX_WAITING_OUTPUTS) this.#isOverrun = true
      if (this.#isOverrun) return
      this.#outputs += 1
    }
    // Only neighbours: progress stays between the outputs it was told between.
    const isReplaced = event.type !== 'output' && last?.type === event.type && this.#read < this.#waiting.length
    if (isReplaced) this.#waiting[this.#waiting.length - 1] = event
    else this.#waiting.push(event)
    this.#wake()
  }

  /** @throws {KiqError} `KIQ_SERVE_BUSY` when outputs were lost. */
  take(): LiveEvent | undefined {
    if (this.#isOverrun) {
      throw new KiqError(
        'KIQ_SERVE_BUSY',
        `${MAX_WAITING_OUTPUTS} outputs of job ${this.#jobId} wait for somebody who follows it and does not read. Read ` +
          'faster, or ask for the result of the job.',
      )
    }
    const event = this.#waiting[this.#read]
    this.#read += 1
    if (event === undefined || this.#read === this.#waiting.length) {
      this.#waiting = []
      this.#read = 0
    }
    if (event?.type === 'output') this.#outputs -= 1
    return event
  }

  /** Resolves when there is something, or the time is over. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#waiting.length > 0 || this.#isOverrun) return
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    const stop = (): void => woken.abort()
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    await sleep(ms, woken.signal)
    signal.removeEventListener('abort', stop)
    this.#wake = () => undefined
  }
}
