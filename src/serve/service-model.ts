import { KiqError } from '../contract/index.ts'
import type { Logger, StandardSchema } from '../contract/index.ts'
import { formatIssue } from '../core/index.ts'
import type { BatchFacts } from './batcher.ts'
import { InvalidInputError, inputIssues } from './invalid-input.ts'
import { toEnvelope } from './output-envelope.ts'
import type { OutputEnvelope } from './output-envelope.ts'
import type { PipelineOutput } from './pipeline.ts'
import type { PipelineHost } from './pipeline-host.ts'
import { ServedModel } from './served-model.ts'
import type { BatchingOptions } from './served-model.ts'

export interface ServiceModelOptions {
  readonly name: string
  readonly input: StandardSchema
  readonly output: StandardSchema | undefined
  /** Whether `predict` is a generator. */
  readonly streams: boolean
  readonly createHost: () => PipelineHost<unknown, object>
  readonly batching: BatchingOptions<unknown>
  readonly log: Logger
  readonly onBatch: (facts: BatchFacts) => void
  readonly onFailed: (error: unknown) => void
}

/** What a caller may hear before the outcome. */
export interface InferOptions {
  readonly signal?: AbortSignal | undefined
  readonly onOutput?: ((output: OutputEnvelope) => void) | undefined
  readonly onProgress?: ((value: unknown) => void) | undefined
}

/** A model with its schemas: JSON in, an envelope out. */
export class ServiceModel {
  readonly name: string
  readonly served: ServedModel<unknown, object>
  readonly batching: BatchingOptions<unknown>
  readonly input: StandardSchema
  readonly output: StandardSchema | undefined
  readonly streams: boolean

  constructor(options: ServiceModelOptions) {
    this.name = options.name
    this.input = options.input
    this.output = options.output
    this.streams = options.streams
    this.batching = options.batching
    this.served = new ServedModel({
      modelName: options.name,
      createHost: options.createHost,
      batching: options.batching,
      log: options.log,
      onBatch: options.onBatch,
      onFailed: options.onFailed,
    })
  }

  /**
   * What the pipeline is given for that JSON.
   *
   * @param under - Path of the value in what was sent.
   * @throws {InvalidInputError} with the paths of what does not fit.
   */
  async parse(value: unknown, under = ''): Promise<unknown> {
    const outcome = await this.input['~standard'].validate(value)
    if (outcome.issues === undefined) return outcome.value
    throw new InvalidInputError(`The input for model "${this.name}"`, inputIssues(outcome.issues, under))
  }

  /**
   * @param input - As {@link ServiceModel.parse} gave it.
   * @throws what {@link ServedModel.infer} throws, and `KIQ_PIPELINE_INVALID` for an output that does not fit its schema.
   */
  async infer(input: unknown, { signal, onOutput, onProgress }: InferOptions = {}): Promise<OutputEnvelope> {
    if (onOutput === undefined) return await this.#check(await this.served.infer(input, { signal, onProgress }))
    // Checks may be asynchronous; the outputs stay in order.
    let passedOn: Promise<void> = Promise.resolve()
    const output = await this.served.infer(input, {
      signal,
      onProgress,
      onOutput: (one) => {
        passedOn = passedOn.then(async () => onOutput(await this.#check(one)))
        // It is asked for only when the run has gone well.
        passedOn.catch(() => undefined)
      },
    })
    await passedOn
    return await this.#check(output)
  }

  async #check(output: PipelineOutput<object>): Promise<OutputEnvelope> {
    if (this.output === undefined || output.status !== 'success') return toEnvelope(output)
    const { status: _status, ...fields } = output
    const outcome = await this.output['~standard'].validate(fields)
    if (outcome.issues === undefined) return toEnvelope(output, outcome.value as object)
    throw new KiqError(
      'KIQ_PIPELINE_INVALID',
      `An output of model "${this.name}" does not fit its schema: ${outcome.issues.map(formatIssue).join('; ')}. Correct ` +
        '`postprocess`, or the schema.',
    )
  }
}
