import { BusyError } from '../busy-error.ts'
import { InvalidInputError } from '../invalid-input.ts'
import type { InputIssue } from '../invalid-input.ts'
import { failedEnvelope } from '../output-envelope.ts'
import type { OutputEnvelope } from '../output-envelope.ts'
import type { ServiceModel } from '../service-model.ts'
import { problemOf } from './problem.ts'
import type { RequestTime } from './request-time.ts'
import type { Served } from './served.ts'

export interface BatchCall {
  readonly served: Served
  readonly model: ServiceModel
  readonly time: RequestTime
  readonly requestId: string
}

/**
 * What the pipeline is given for several inputs of one request.
 *
 * @throws {InvalidInputError} with what is wrong with all of them; paths begin with positions.
 */
export async function parseAll(model: ServiceModel, values: readonly unknown[]): Promise<readonly unknown[]> {
  const issues: InputIssue[] = []
  const inputs: unknown[] = []
  for (const [position, value] of values.entries()) {
    try {
      inputs.push(await model.parse(value, String(position)))
    } catch (error) {
      if (!(error instanceof InvalidInputError)) throw error
      issues.push(...error.issues)
    }
  }
  if (issues.length > 0) throw new InvalidInputError(`The batch for model "${model.name}"`, issues)
  return inputs
}

/**
 * Outputs for all inputs, in order; those of inputs that fail say so.
 *
 * @throws {BusyError} when not all of them may wait; none is answered then.
 * @throws the reason of the signal, when the time is over.
 */
export async function inferAll(call: BatchCall, inputs: readonly unknown[]): Promise<readonly OutputEnvelope[]> {
  const answers = await Promise.all(inputs.map(async (input) => await inferOne(call, input)))
  call.time.signal.throwIfAborted()
  return answers
}

async function inferOne({ served, model, time, requestId }: BatchCall, input: unknown): Promise<OutputEnvelope> {
  try {
    return await model.infer(input, { signal: time.signal })
  } catch (error) {
    if (error instanceof BusyError) time.abort(error)
    const problem = problemOf(error, requestId)
    if (problem.isInternal && !time.signal.aborted) {
      served.log.error({ err: error, requestId, model: model.name }, 'An input of a batch failed.')
    }
    return failedEnvelope(problem.detail)
  }
}
