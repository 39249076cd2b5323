import { KiqError } from '../contract/index.ts'
import { show } from '../util/show.ts'
import type { BatchRun } from './pipeline-host.ts'
import type { InferencePipeline, PipelineOutput, StreamedOutput } from './pipeline.ts'

/** What became of one input of a batch. */
export type ItemOutcome<O> = { readonly output: PipelineOutput<O> } | { readonly error: unknown }

/**
 * Runs the three stages over a batch. When they fail, the batch is tried again in halves, so that an input that is to blame
 * fails alone: in a batch of n with one such input that costs about 2·log2(n) further runs, over 2n inputs in all. A stream
 * that has begun is not tried again.
 *
 * @param run - Its signal ends it: what is not done then fails with its reason.
 * @returns One outcome per input, in their order; never rejects.
 */
export async function runPipeline<I, O>(
  pipeline: InferencePipeline<I, O>,
  inputs: readonly I[],
  run: BatchRun<O>,
): Promise<readonly ItemOutcome<O>[]> {
  return await runPart(pipeline, inputs, run, 0)
}

/** @param offset - Position of the first input in the whole batch. */
async function runPart<I, O>(
  pipeline: InferencePipeline<I, O>,
  inputs: readonly I[],
  run: BatchRun<O>,
  offset: number,
): Promise<readonly ItemOutcome<O>[]> {
  if (inputs.length === 0) return []
  const stages = new Stages(pipeline, run, offset)
  try {
    const outputs = await stages.run(inputs)
    return outputs.map((output) => ({ output }))
  } catch (error) {
    const isFinal = run.signal.aborted || error instanceof WrongOutputs || stages.hasYielded
    if (inputs.length === 1 || isFinal) return inputs.map(() => ({ error }))
    const middle = Math.ceil(inputs.length / 2)
    // One after the other: a model that failed under load shall not get twice of it.
    const first = await runPart(pipeline, inputs.slice(0, middle), run, offset)
    return [...first, ...(await runPart(pipeline, inputs.slice(middle), run, offset + middle))]
  }
}

/** One attempt at a batch, or at part of it. */
class Stages<I, O> {
  hasYielded = false
  readonly #pipeline: InferencePipeline<I, O>
  readonly #run: BatchRun<O>
  readonly #offset: number

  constructor(pipeline: InferencePipeline<I, O>, run: BatchRun<O>, offset: number) {
    this.#pipeline = pipeline
    this.#run = run
    this.#offset = offset
  }

  async run(inputs: readonly I[]): Promise<readonly PipelineOutput<O>[]> {
    const { signal } = this.#run
    signal.throwIfAborted()
    const preprocessed = await this.#pipeline.preprocess(inputs)
    signal.throwIfAborted()
    const progress = (index: number, value: unknown): void => this.#tell(index, inputs.length, value)
    const predicted = this.#pipeline.predict(inputs, preprocessed, { signal, progress })
    if (isStream(predicted)) return await this.#stream(inputs, predicted)
    const raw = await predicted
    signal.throwIfAborted()
    const outputs = await this.#pipeline.postprocess(inputs, raw)
    this.#assertOutputs(outputs, inputs.length)
    const position = outputs.indexOf(undefined)
    if (position !== -1) throw this.#wrongOutput(undefined, position)
    return outputs as readonly PipelineOutput<O>[]
  }

  async #stream(inputs: readonly I[], stream: AsyncIterable<unknown>): Promise<readonly PipelineOutput<O>[]> {
    const collected = inputs.map((): PipelineOutput<O>[] => [])
    for await (const raw of stream) {
      this.#run.signal.throwIfAborted()
      const outputs = await this.#pipeline.postprocess(inputs, raw)
      this.#assertOutputs(outputs, inputs.length)
      this.hasYielded = true
      for (const [index, output] of outputs.entries()) {
        if (output === undefined) continue
        collected[index]?.push(output)
        const position = this.#offset + index
        if (this.#run.followed?.has(position)) this.#run.onOutput?.(position, output)
      }
    }
    this.#run.signal.throwIfAborted()
    const outputs = collected.map((one, index) => {
      if (one.length > 0) return this.#pipeline.collect(one)
      throw new WrongOutputs(
        'KIQ_PIPELINE_INVALID',
        `predict() of model "${this.#model}" ended without an output for input ${index}. Yield at least one for each.`,
      )
    })
    this.#assertOutputs(outputs, inputs.length)
    return outputs
  }

  #tell(index: number, count: number, value: unknown): void {
    if (!Number.isSafeInteger(index) || index < 0 || index >= count) {
      throw new WrongOutputs(
        'KIQ_PIPELINE_INVALID',
        `predict() of model "${this.#model}" told progress of input ${show(index)}, but there are ${count}. Use the position ` +
          'in `inputs`.',
      )
    }
    const position = this.#offset + index
    if (this.#run.followed?.has(position)) this.#run.onProgress?.(position, value)
  }

  get #model(): string {
    return this.#pipeline.context.modelName
  }

  #assertOutputs(outputs: unknown, count: number): asserts outputs is readonly StreamedOutput<O>[] {
    const where = `postprocess() of model "${this.#model}"`
    if (!Array.isArray(outputs)) {
      throw new WrongOutputs(
        'KIQ_PIPELINE_INVALID',
        `${where} returned ${show(outputs)}. Return a list with one output for each input.`,
      )
    }
    if (outputs.length !== count) {
      throw new WrongOutputs(
        'KIQ_PIPELINE_INVALID',
        `${where} returned ${outputs.length} output(s) for ${count} input(s). Return one for each, in their order.`,
      )
    }
    const position = outputs.findIndex((output: unknown) => output !== undefined && !hasStatus(output))
    if (position !== -1) throw this.#wrongOutput(outputs[position], position)
  }

  #wrongOutput(output: unknown, position: number): WrongOutputs {
    return new WrongOutputs(
      'KIQ_PIPELINE_INVALID',
      `Output ${position} of postprocess() of model "${this.#model}" is ${show(output)}. Return an object with \`status\`: ` +
        "'success', or another text and an `error`.",
    )
  }
}

/** A fault of the program, which no smaller batch would mend. */
class WrongOutputs extends KiqError {}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

function hasStatus(output: unknown): boolean {
  return typeof output === 'object' && output !== null && 'status' in output && typeof output.status === 'string'
}
