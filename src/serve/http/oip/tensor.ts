import { MessageError } from '../../../contract/index.ts'
import { show } from '../../../util/show.ts'
import { DATATYPES, ruleOf } from './datatype.ts'
import type { Datatype } from './datatype.ts'

/** Items of one call. */
const MAX_ITEMS = 1_000
/** Dimensions of one tensor: enough for every model, and few enough to nest arrays. */
export const MAX_RANK = 16
/** Marks tensors of `BYTES` whose texts are JSON: what fits no other datatype. */
export const JSON_CONTENT = 'application/json'

/** A tensor as it is sent. */
export interface Tensor {
  readonly name: string
  /** The first dimension is the batch. */
  readonly shape: readonly number[]
  readonly datatype: Datatype
  readonly parameters?: Readonly<Record<string, unknown>>
  /** In row-major order. */
  readonly data: readonly unknown[]
}

/** A tensor that has been read. */
export interface InputTensor {
  readonly name: string
  /** A value for each item of the batch: a scalar, or nested lists. */
  readonly values: readonly unknown[]
}

/**
 * Reads a tensor of a request.
 *
 * @param value - Whatever stood in its place.
 * @param position - Of the tensor in the request, for messages about one without a name.
 * @throws {MessageError} `KIQ_ARGUMENTS_INVALID` when it is not well formed.
 */
export function readTensor(value: unknown, position: number): InputTensor {
  if (!isRecord(value)) {
    throw invalid(`Input ${position} is ${show(value)}`, 'Send a tensor: { name, shape, datatype, data }')
  }
  const { name, shape: givenShape, datatype, data, parameters } = value
  if (typeof name !== 'string' || name === '') {
    throw invalid(`Input ${position} has the name ${show(name)}`, 'Give it the name of a field of the input')
  }
  const rule = ruleOf(datatype)
  if (rule === undefined) throw refused(name, `has the datatype ${show(datatype)}`, `Use one of ${DATATYPES}`)
  const shape = readShape(name, givenShape)
  const scalars = readData(name, shape, data)
  const wrong = scalars.findIndex((scalar) => !rule.fits(scalar))
  if (wrong !== -1) {
    const what = `has ${show(scalars[wrong])} at position ${wrong}, which is no ${String(datatype)}`
    throw refused(name, what, `Send ${rule.wanted}, or another datatype`)
  }
  const isJson = datatype === 'BYTES' && isRecord(parameters) && parameters['content_type'] === JSON_CONTENT
  return { name, values: nested(isJson ? parseAll(name, scalars) : scalars, shape) }
}

function readShape(name: string, shape: unknown): readonly number[] {
  if (!Array.isArray(shape) || shape.length === 0 || !shape.every((size) => Number.isSafeInteger(size) && size >= 1)) {
    throw refused(
      name,
      `has the shape ${show(shape)}`,
      'Send a list of whole numbers from 1 on; the first is the batch',
    )
  }
  if (shape.length > MAX_RANK) {
    throw refused(name, `has ${shape.length} dimensions`, `Send at most ${MAX_RANK}`)
  }
  const sizes = shape as readonly number[]
  const [batch = 0] = sizes
  if (batch > MAX_ITEMS) throw refused(name, `is a batch of ${batch}`, `Send at most ${MAX_ITEMS} items in one call`)
  return sizes
}

/** The values in row-major order, from a flat list or from nested ones. */
function readData(name: string, shape: readonly number[], data: unknown): readonly unknown[] {
  if (!Array.isArray(data)) {
    throw refused(name, `has the data ${show(data)}`, 'Send its values as a list in the JSON; binary data is not taken')
  }
  if (shape.length > 1 && data.some((one) => Array.isArray(one))) return flattened(name, shape, data)
  const count = shape.reduce((product, size) => product * size, 1)
  if (data.length === count) return data
  throw refused(
    name,
    `has ${data.length} value(s) for the shape ${show(shape)}, which has ${count}`,
    'Correct the shape or the data',
  )
}

function flattened(name: string, shape: readonly number[], data: readonly unknown[]): readonly unknown[] {
  const scalars: unknown[] = []
  const visit = (list: unknown, depth: number): void => {
    if (!Array.isArray(list) || list.length !== shape[depth]) {
      const found = Array.isArray(list) ? `a list of ${list.length}` : show(list)
      const what = `has ${found} in dimension ${depth}, where its shape ${show(shape)} has ${String(shape[depth])}`
      throw refused(name, what, 'Correct the shape or the data')
    }
    for (const one of list) {
      if (depth === shape.length - 1) scalars.push(one)
      else visit(one, depth + 1)
    }
  }
  visit(data, 0)
  return scalars
}

/** Lists within lists, as the shape says; the outermost is the batch. */
function nested(scalars: readonly unknown[], shape: readonly number[]): readonly unknown[] {
  let lists = scalars
  for (const size of shape.slice(1).reverse()) {
    const inner = lists
    lists = Array.from({ length: inner.length / size }, (_, at) => inner.slice(at * size, (at + 1) * size))
  }
  return lists
}

function parseAll(name: string, texts: readonly unknown[]): readonly unknown[] {
  return texts.map((text, position) => {
    try {
      return JSON.parse(String(text)) as unknown
    } catch {
      const what = `has ${show(text)} at position ${position}, which is no JSON`
      throw refused(name, what, `Send JSON, or leave out the content type ${JSON_CONTENT}`)
    }
  })
}

function refused(name: string, what: string, todo: string): MessageError {
  return invalid(`Tensor ${show(name)} ${what}`, todo)
}

export function invalid(what: string, todo: string): MessageError {
  return new MessageError('KIQ_ARGUMENTS_INVALID', `${what}. ${todo}.`)
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
