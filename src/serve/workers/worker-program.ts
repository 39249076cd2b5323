import { setPriority } from 'node:os'

import { KiqError } from '../../contract/index.ts'
import type { Failure } from '../../contract/index.ts'
import { loadModule, toFailure } from '../../core/index.ts'
import type { InferencePipeline } from '../pipeline.ts'
import { runPipeline } from '../run-pipeline.ts'
import type { ItemOutcome } from '../run-pipeline.ts'
import { findUncloneable } from './cloneable.ts'
import { findPipeline } from './find-pipeline.ts'
import { FollowedRun } from './followed-run.ts'
import type { FromWorker, SentOutcome, ToWorker, WorkerOrder } from './protocol.ts'
import { RemoteLog } from './remote-log.ts'
import { reviveError } from './revive.ts'

interface Batch {
  readonly id: number
  readonly inputs: readonly unknown[]
  readonly abort: AbortController
  readonly followed: FollowedRun | undefined
}

export interface WorkerProgramOptions {
  /** Throws for what cannot be cloned. */
  readonly post: (message: FromWorker) => void
  /** Ends this process or thread, after what was posted is sent. */
  readonly exit: () => void
}

/** What happens in a worker: one pipeline, from `start` to `stop`, and its batches. */
export class WorkerProgram {
  readonly #post: (message: FromWorker) => void
  readonly #exit: () => void
  readonly #log: RemoteLog
  readonly #batches = new Map<number, Batch>()
  /** Those that wait for others before them. */
  readonly #waiting: Batch[] = []
  #running = 0
  #concurrency = 1
  #pipeline: InferencePipeline<unknown, unknown> | undefined

  constructor({ post, exit }: WorkerProgramOptions) {
    this.#post = post
    this.#exit = exit
    this.#log = new RemoteLog((record) => post({ type: 'log', ...record }))
  }

  receive(message: ToWorker): void {
    switch (message.type) {
      case 'start':
        void this.#start(message.order)
        return
      case 'run':
        this.#accept(message)
        return
      case 'abort':
        this.#batches.get(message.batch)?.abort.abort(reviveError(message.reason))
        return
      case 'consumed':
        this.#batches.get(message.batch)?.followed?.consumed(message.count)
        return
      case 'logged':
        this.#log.logged(message.count)
        return
      case 'ask-health':
        void this.#tellHealth()
        return
      case 'reload':
        void this.#reload()
        return
      case 'stop':
        void this.#stop()
    }
  }

  async #start(order: WorkerOrder): Promise<void> {
    this.#concurrency = order.concurrency
    if (order.niceness !== undefined) this.#beNice(order.niceness)
    let pipeline: InferencePipeline<unknown, unknown> | undefined
    try {
      const pipelineClass = findPipeline(await loadModule(order.module), order)
      pipeline = new pipelineClass({ ...order.context, log: this.#log })
      await pipeline.setup()
      await pipeline.warmup()
    } catch (error) {
      // Torn down when the host asks for the end.
      this.#pipeline = pipeline
      this.#post({ type: 'failed', error: toFailure(error) })
      return
    }
    this.#pipeline = pipeline
    this.#post({ type: 'ready', canReload: pipeline.onModelsReload !== undefined })
  }

  /** Threads that the model starts later inherit it. */
  #beNice(niceness: number): void {
    try {
      setPriority(niceness)
    } catch (err) {
      this.#log.debug({ err, niceness }, 'The priority of an inference process could not be set.')
    }
  }

  #accept({ batch: id, inputs, followed: positions }: Extract<ToWorker, { type: 'run' }>): void {
    const abort = new AbortController()
    const followed = positions && new FollowedRun(id, positions, { signal: abort.signal, post: this.#post })
    const batch = { id, inputs, abort, followed }
    this.#batches.set(id, batch)
    this.#waiting.push(batch)
    this.#beginNext()
  }

  #beginNext(): void {
    while (this.#running < this.#concurrency) {
      const batch = this.#waiting.shift()
      if (batch === undefined) return
      this.#running += 1
      void this.#run(batch)
    }
  }

  async #run({ id, inputs, abort, followed }: Batch): Promise<void> {
    const outcomes = await this.#outcomes(inputs, abort.signal, followed)
    this.#batches.delete(id)
    this.#running -= 1
    followed?.finish()
    try {
      this.#post({ type: 'done', batch: id, outcomes })
    } catch {
      this.#post({ type: 'done', batch: id, outcomes: outcomes.map(sendable) })
    }
    this.#beginNext()
  }

  async #outcomes(
    inputs: readonly unknown[],
    signal: AbortSignal,
    followed: FollowedRun | undefined,
  ): Promise<readonly SentOutcome[]> {
    const pipeline = this.#pipeline
    // The host sends batches only to workers that are ready.
    if (pipeline === undefined) return []
    const outcomes = followed
      ? await runPipeline(followed.pace(pipeline), inputs, {
          signal,
          followed: followed.followed,
          onOutput: (index, output) => followed.onOutput(index, output),
          onProgress: (index, value) => followed.onProgress(index, value),
        })
      : await runPipeline(pipeline, inputs, { signal })
    return failuresOf(outcomes)
  }

  async #tellHealth(): Promise<void> {
    try {
      this.#post({ type: 'health', isHealthy: (await this.#pipeline?.health()) ?? false })
    } catch (err) {
      this.#log.warn({ err }, 'health() of the pipeline threw.')
      this.#post({ type: 'health', isHealthy: false })
    }
  }

  async #reload(): Promise<void> {
    try {
      await this.#pipeline?.onModelsReload?.()
      this.#post({ type: 'reloaded' })
    } catch (error) {
      this.#post({ type: 'reloaded', error: toFailure(error) })
    }
  }

  async #stop(): Promise<void> {
    try {
      await this.#pipeline?.teardown()
    } catch (err) {
      this.#log.error({ err }, 'teardown() of the pipeline threw.')
    }
    this.#exit()
  }
}

/** The same list where nothing has failed, which is the usual case. */
function failuresOf(outcomes: readonly ItemOutcome<unknown>[]): readonly SentOutcome[] {
  const hasFailed = outcomes.some((outcome) => 'error' in outcome)
  if (!hasFailed) return outcomes as readonly SentOutcome[]
  // Inputs that failed together have the same error.
  const known = new Map<unknown, Failure>()
  return outcomes.map((outcome) => {
    if (!('error' in outcome)) return outcome
    const failure = known.get(outcome.error) ?? toFailure(outcome.error)
    known.set(outcome.error, failure)
    return { failure }
  })
}

/** An output that cannot be sent fails alone. */
function sendable(outcome: SentOutcome, position: number): SentOutcome {
  const found = 'output' in outcome ? findUncloneable(outcome.output, 'output') : undefined
  if (found === undefined) return outcome
  const error = new KiqError(
    'KIQ_PIPELINE_INVALID',
    `Output ${position} of postprocess() cannot leave the worker: ${found.path}: ${found.reason} Return data, ` +
      'without functions.',
  )
  return { failure: toFailure(error) }
}
