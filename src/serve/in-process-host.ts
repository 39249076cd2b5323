import { KiqError } from '../contract/index.ts'
import type { InferencePipeline, PipelineContext } from './pipeline.ts'
import type { BatchRun, PipelineHost } from './pipeline-host.ts'
import { runPipeline } from './run-pipeline.ts'
import type { ItemOutcome } from './run-pipeline.ts'

/** How a pipeline is made. */
export type PipelineClass<I, O> = new (context: PipelineContext) => InferencePipeline<I, O>

export interface InProcessOptions {
  /**
   * Milliseconds between the abort of a batch and the moment when it is given up. What the pipeline does then goes on, and
   * nobody waits for it.
   *
   * @defaultValue `1_000`
   */
  readonly abortGraceMs?: number | undefined
}

/**
 * Runs a pipeline on the event loop of this process: for models that do not block it, and for tests. A model that computes
 * here keeps everything else waiting, and cannot be ended.
 */
export class InProcessHost<I, O> implements PipelineHost<I, O> {
  readonly workers = 0
  readonly #pipelineClass: PipelineClass<I, O>
  readonly #context: PipelineContext
  readonly #graceMs: number
  readonly #running = new Set<Promise<unknown>>()
  #pipeline: InferencePipeline<I, O> | undefined
  #stopped: Promise<void> | undefined

  constructor(pipelineClass: PipelineClass<I, O>, context: PipelineContext, options: InProcessOptions = {}) {
    this.#pipelineClass = pipelineClass
    this.#context = context
    this.#graceMs = options.abortGraceMs ?? 1_000
  }

  async start(): Promise<void> {
    const pipeline = new this.#pipelineClass(this.#context)
    try {
      await pipeline.setup()
      await pipeline.warmup()
    } catch (error) {
      await this.#tearDown(pipeline)
      throw error
    }
    this.#pipeline = pipeline
  }

  async run(inputs: readonly I[], run: BatchRun<O>): Promise<readonly ItemOutcome<O>[]> {
    run.onBegin?.()
    const running = runPipeline(this.#started, inputs, run)
    this.#running.add(running)
    try {
      return await untilGivenUp(running, run.signal, this.#graceMs)
    } catch (error) {
      // Only the reason of the signal comes here: runs do not reject.
      return inputs.map(() => ({ error }))
    } finally {
      this.#running.delete(running)
    }
  }

  async health(): Promise<boolean> {
    try {
      return (await this.#pipeline?.health()) ?? false
    } catch (err) {
      this.#context.log.warn({ err, model: this.#context.modelName }, 'health() of the pipeline threw.')
      return false
    }
  }

  async reload(): Promise<boolean> {
    const pipeline = this.#started
    if (pipeline.onModelsReload === undefined) return false
    await pipeline.onModelsReload()
    return true
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop())
  }

  async #stop(): Promise<void> {
    const pipeline = this.#pipeline
    await Promise.allSettled(this.#running)
    this.#pipeline = undefined
    if (pipeline) await this.#tearDown(pipeline)
  }

  async #tearDown(pipeline: InferencePipeline<I, O>): Promise<void> {
    try {
      await pipeline.teardown()
    } catch (err) {
      this.#context.log.error({ err, model: this.#context.modelName }, 'teardown() of the pipeline threw.')
    }
  }

  get #started(): InferencePipeline<I, O> {
    if (this.#pipeline) return this.#pipeline
    throw new KiqError(
      'KIQ_SERVE_STOPPING',
      `The pipeline of model "${this.#context.modelName}" does not run. Start it first, and not after stop().`,
    )
  }
}

/** The work, or the reason of the signal when the work has not ended that long after it. */
function untilGivenUp<T>(work: Promise<T>, signal: AbortSignal, graceMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    const onAbort = (): void => {
      timer = setTimeout(() => reject(signal.reason as Error), graceMs)
    }
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    work.finally(end).then(resolve, reject)
  })
}
