import { KiqError } from '../contract/index.ts'
import { show } from '../util/show.ts'
import type { InferencePipeline, PipelineOutput } from './pipeline.ts'

/** What became of one input of a batch. */
export type ItemOutcome<O> = { readonly output: PipelineOutput<O> } | { readonly error: unknown }

/**
 * Runs the three stages over a batch. When they fail, the batch is tried again in halves, so that an input that is to blame
 * fails alone: in a batch of n with one such input that costs about 2·log2(n) further runs, over 2n inputs in all.
 *
 * @param signal - Ends it: what is not done then fails with its reason.
 * @returns One outcome per input, in their order; never rejects.
 */
export async function runPipeline<I, O>(
  pipeline: InferencePipeline<I, O>,
  inputs: readonly I[],
  signal: AbortSignal,
): Promise<readonly ItemOutcome<O>[]> {
  if (inputs.length === 0) return []
  try {
    const outputs = await runStages(pipeline, inputs, signal)
    return outputs.map((output) => ({ output }))
  } catch (error) {
    if (inputs.length === 1 || signal.aborted || error instanceof WrongOutputs) return inputs.map(() => ({ error }))
    const middle = Math.ceil(inputs.length / 2)
    // One after the other: a model that failed under load shall not get twice of it.
    const first = await runPipeline(pipeline, inputs.slice(0, middle), signal)
    return [...first, ...(await runPipeline(pipeline, inputs.slice(middle), signal))]
  }
}

async function runStages<I, O>(
  pipeline: InferencePipeline<I, O>,
  inputs: readonly I[],
  signal: AbortSignal,
): Promise<readonly PipelineOutput<O>[]> {
  signal.throwIfAborted()
  const preprocessed = await pipeline.preprocess(inputs)
  signal.throwIfAborted()
  const raw = await pipeline.predict(inputs, preprocessed, signal)
  signal.throwIfAborted()
  const outputs: unknown = await pipeline.postprocess(inputs, raw)
  assertOutputs(outputs, inputs.length, pipeline.context.modelName)
  return outputs as readonly PipelineOutput<O>[]
}

/** A fault of the program, which no smaller batch would mend. */
class WrongOutputs extends KiqError {}

function assertOutputs(outputs: unknown, count: number, model: string): void {
  const where = `postprocess() of model "${model}"`
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
  const position = outputs.findIndex((output: unknown) => !hasStatus(output))
  if (position === -1) return
  throw new WrongOutputs(
    'KIQ_PIPELINE_INVALID',
    `Output ${position} of ${where} is ${show(outputs[position])}. Return an object with \`status\`: 'success', or another ` +
      'text and an `error`.',
  )
}

function hasStatus(output: unknown): boolean {
  return typeof output === 'object' && output !== null && 'status' in output && typeof output.status === 'string'
}
