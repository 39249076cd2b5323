import type { Body, FormattedMessage, Formatter, TaskMessage, TaskResult } from '../contract/index.ts'
import { JsonSerializer } from '../serializers/json-serializer.ts'
import { decodeLabels, encodeLabels } from './labels.ts'
import { toPlain } from './plain.ts'
import { resultLabels } from './result-codec.ts'
import type { ResultCodec } from './results.ts'
import { TaskiqFormatter } from './taskiq-formatter.ts'

const ARGS = { root: 'args', code: 'KIQ_ARGUMENTS_UNSERIALIZABLE' } as const
const KWARGS = { root: 'kwargs', code: 'KIQ_ARGUMENTS_UNSERIALIZABLE' } as const
const VALUE = { root: 'return value', code: 'KIQ_RESULT_UNSERIALIZABLE' } as const

// Bodies that never leave the process are the objects themselves. The casts below are the one lie: the memory transport
// and backend treat bodies as opaque, and nobody else ever gets one of these.

/**
 * Messages as copies of plain values: the worker sees what it would see after JSON, without the cost of writing and
 * parsing text. What somebody put on the queue as real bytes is read as Taskiq's JSON.
 */
export class InProcessFormatter implements Formatter {
  readonly #json = new TaskiqFormatter(new JsonSerializer())
  #lastLabels: TaskMessage['labels'] | undefined
  #lastReceived: TaskMessage['labels'] = {}

  dumps(message: TaskMessage): FormattedMessage {
    const { taskId, taskName, labels } = message
    const body: TaskMessage = {
      taskId,
      taskName,
      labels: this.#received(labels),
      args: copyPlain(toPlain(message.args, ARGS)) as unknown[],
      kwargs: copyPlain(toPlain(message.kwargs, KWARGS)) as Record<string, unknown>,
    }
    return { body: body as unknown as Body, labels: body.labels }
  }

  loads(body: Body): TaskMessage {
    if (typeof body === 'string' || body instanceof Uint8Array) return this.#json.loads(body)
    const { taskId, taskName, labels, args, kwargs } = body as unknown as TaskMessage
    return {
      taskId,
      taskName,
      labels,
      args: copyPlain(args) as unknown[],
      kwargs: copyPlain(kwargs) as Record<string, unknown>,
    }
  }

  /** Labels as a worker would decode them: what has no type of its own has become text. */
  #received(labels: TaskMessage['labels']): TaskMessage['labels'] {
    if (labels === this.#lastLabels) return this.#lastReceived
    const encoded = encodeLabels(labels)
    const received = decodeLabels(encoded.labels, encoded.types)
    if (Object.isFrozen(labels)) {
      this.#lastLabels = labels
      this.#lastReceived = Object.freeze(received)
    }
    return received
  }
}

/** Results as copies of plain values. */
export const inProcessResults: ResultCodec = {
  encode: (result) => {
    const labels = resultLabels(result.labels)
    if (result.isErr) return { ...result, labels } as unknown as Body
    const returnValue = copyPlain(toPlain(result.returnValue, VALUE))
    return { ...result, returnValue, labels } as unknown as Body
  },
  decode: (body) => {
    const result = body as unknown as TaskResult
    return result.isErr ? result : { ...result, returnValue: copyPlain(result.returnValue) }
  },
}

/** What JSON would make of it: a small bigint is read as a number, and -0 as 0. */
function copyLeaf(value: unknown): unknown {
  if (value === 0) return 0
  return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value
}

/** Spreading copies them; JSON does not know them. */
function dropSymbols(fields: Record<PropertyKey, unknown>): void {
  for (const symbol of Object.getOwnPropertySymbols(fields)) Reflect.deleteProperty(fields, symbol)
}

/** Values are plain already: trees of arrays and plain objects. */
function copyPlain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return copyLeaf(value)
  if (Array.isArray(value)) {
    const items: unknown[] = value.slice()
    for (let i = 0; i < items.length; i += 1) {
      items[i] = copyPlain(items[i])
    }
    return items
  }
  const fields: Record<string, unknown> = { ...value }
  if (Object.getOwnPropertySymbols(fields).length > 0) dropSymbols(fields)
  // Only own keys: the copy has no other enumerable ones. `Object.keys` would make an array per message.
  for (const key in fields) {
    fields[key] = copyPlain(fields[key])
  }
  return fields
}
