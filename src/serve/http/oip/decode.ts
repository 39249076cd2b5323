import { show } from '../../../util/show.ts'
import { invalid, isRecord, readTensor } from './tensor.ts'
import type { InputTensor } from './tensor.ts'

/** A request for inference, as inputs of a model. */
export interface InferCall {
  /** Comes back with the answer. */
  readonly id: string | undefined
  /** An input for each item of the batch, with a field for each tensor. */
  readonly items: readonly Readonly<Record<string, unknown>>[]
  /** Names of the outputs to return, in order; undefined for all. */
  readonly outputs: readonly string[] | undefined
}

/**
 * Reads the body of an `infer` request of the Open Inference Protocol, version 2. The first dimension of each tensor is the
 * batch: item i has the i-th slice of each. `BYTES` with the parameter `content_type` `application/json` are parsed.
 *
 * @throws {MessageError} `KIQ_ARGUMENTS_INVALID` saying which tensor is wrong, and how.
 */
export function decodeInfer(body: unknown): InferCall {
  if (!isRecord(body)) throw invalid(`The request is ${show(body)}`, 'Send an object with `inputs`')
  const { id, inputs, outputs } = body
  if (id !== undefined && typeof id !== 'string') throw invalid(`The \`id\` is ${show(id)}`, 'Send text, or none')
  if (!Array.isArray(inputs) || inputs.length === 0) {
    throw invalid(`The \`inputs\` are ${show(inputs)}`, 'Send a list with a tensor for each field of the input')
  }
  const tensors = inputs.map((tensor, position) => readTensor(tensor, position))
  assertUnique(
    tensors.map((tensor) => tensor.name),
    'inputs',
  )
  return { id, items: itemsOf(tensors), outputs: readOutputs(outputs) }
}

function itemsOf(tensors: readonly InputTensor[]): InferCall['items'] {
  const [first] = tensors
  const size = first?.values.length ?? 0
  const other = tensors.find((tensor) => tensor.values.length !== size)
  if (first !== undefined && other !== undefined) {
    throw invalid(
      `Tensor ${show(other.name)} is a batch of ${other.values.length}, and ${show(first.name)} one of ${size}`,
      'Give all tensors the same first dimension',
    )
  }
  return Array.from({ length: size }, (_, item) =>
    Object.fromEntries(tensors.map((tensor) => [tensor.name, tensor.values[item]])),
  )
}

function readOutputs(outputs: unknown): readonly string[] | undefined {
  if (outputs === undefined) return undefined
  if (!Array.isArray(outputs)) {
    throw invalid(`The \`outputs\` are ${show(outputs)}`, 'Send a list like [{ "name": "label" }], or none for all')
  }
  const names = outputs.map((output: unknown, position) => {
    if (isRecord(output) && typeof output['name'] === 'string') return output['name']
    throw invalid(
      `Output ${position} is ${show(output)}`,
      'Send { "name": "…" } with the name of a field of the output',
    )
  })
  assertUnique(names, 'outputs')
  return names.length === 0 ? undefined : names
}

function assertUnique(names: readonly string[], where: string): void {
  const seen = new Set<string>()
  for (const name of names) {
    if (seen.has(name)) throw invalid(`The \`${where}\` have ${show(name)} twice`, 'Send each name once')
    seen.add(name)
  }
}
