import { show } from '../../../util/show.ts'
import { ENVELOPE_FIELDS } from '../openapi/output-fields.ts'
import { invalid, JSON_CONTENT, MAX_RANK } from './tensor.ts'
import type { Tensor } from './tensor.ts'

/** An output, with the fields of its envelope. */
export type OutputEnvelope = Readonly<Record<string, unknown>>

export interface InferAnswerOptions {
  readonly modelName: string
  /** Of the request. */
  readonly id?: string | undefined
  /** One for each item, in their order. */
  readonly envelopes: readonly OutputEnvelope[]
  /** Names of the outputs to return, in order. Default: all. */
  readonly outputs?: readonly string[] | undefined
}

/** An item for which there is no output. */
export interface FailedItem {
  /** Its position in the batch. */
  readonly item: number
  readonly status: unknown
  readonly error: unknown
}

/** The answer to an `infer` request. */
export interface InferAnswer {
  readonly model_name: string
  readonly model_version: '1'
  readonly id?: string
  /** Items that failed; left out when none did. */
  readonly parameters?: { readonly failed: readonly FailedItem[] }
  readonly outputs: readonly Tensor[]
}

/**
 * The answer to an `infer` request: a tensor for each field of the outputs, besides those of the envelope. Booleans become
 * `BOOL`, numbers and lists of numbers in one shape `FP64`, texts `BYTES`. What fits none of these, or not in all items,
 * becomes `BYTES` with JSON, and has the parameter `content_type` `application/json`; a field that an item does not have is
 * `null` there.
 *
 * @throws {MessageError} `KIQ_ARGUMENTS_INVALID` when `outputs` has a name that no output has.
 */
export function encodeInfer(options: InferAnswerOptions): InferAnswer {
  const { modelName, id, envelopes } = options
  const failed = failedItems(envelopes)
  const names = namesOf(envelopes)
  return {
    model_name: modelName,
    model_version: '1',
    ...(id === undefined ? {} : { id }),
    ...(failed.length === 0 ? {} : { parameters: { failed } }),
    outputs: chosen(options, names).map((name) =>
      encodeTensor(
        name,
        envelopes.map((envelope) => (Object.hasOwn(envelope, name) ? envelope[name] : null)),
      ),
    ),
  }
}

function failedItems(envelopes: readonly OutputEnvelope[]): readonly FailedItem[] {
  return envelopes.flatMap(({ status, error = null }, item) => (status === 'success' ? [] : [{ item, status, error }]))
}

function namesOf(envelopes: readonly OutputEnvelope[]): ReadonlySet<string> {
  const names = envelopes.flatMap((envelope) => Object.keys(envelope).filter((name) => envelope[name] !== undefined))
  return new Set(names.filter((name) => !ENVELOPE_FIELDS.has(name)))
}

function chosen({ outputs, envelopes }: InferAnswerOptions, names: ReadonlySet<string>): readonly string[] {
  if (outputs === undefined) return [...names]
  const unknown = outputs.find((name) => !names.has(name))
  if (unknown === undefined) return outputs
  // Items that failed may be the only ones that would have had it.
  if (envelopes.some((envelope) => envelope['status'] !== 'success')) return outputs.filter((name) => names.has(name))
  const known = names.size === 0 ? 'It has none' : `Use ${[...names].map(show).join(', ')}`
  throw invalid(`The model has no output ${show(unknown)}`, known)
}

function encodeTensor(name: string, values: readonly unknown[]): Tensor {
  const shape = [values.length]
  if (values.every((value) => typeof value === 'boolean')) return { name, shape, datatype: 'BOOL', data: values }
  if (values.every((value) => typeof value === 'string')) return { name, shape, datatype: 'BYTES', data: values }
  const numbers = shapeOf(values, MAX_RANK)
  if (numbers !== undefined) {
    return { name, shape: numbers, datatype: 'FP64', data: values.flat(MAX_RANK) }
  }
  const parameters = { content_type: JSON_CONTENT }
  return { name, shape, datatype: 'BYTES', parameters, data: values.map((value) => jsonOf(value)) }
}

/** The shape of a finite number or of equally nested lists of them; undefined for all else. */
function shapeOf(value: unknown, depth: number): readonly number[] | undefined {
  if (!Array.isArray(value)) return typeof value === 'number' && Number.isFinite(value) ? [] : undefined
  if (value.length === 0 || depth === 0) return undefined
  const shape = shapeOf(value[0], depth - 1)
  if (shape === undefined) return undefined
  const isEven = value.every((one) => shapeOf(one, depth - 1)?.join() === shape.join())
  return isEven ? [value.length, ...shape] : undefined
}

function jsonOf(value: unknown): string {
  // Undefined for what JSON does not know.
  const json: unknown = JSON.stringify(value)
  return typeof json === 'string' ? json : 'null'
}
