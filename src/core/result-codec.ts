import { MessageError, ResultError } from '../contract/index.ts'
import type { Body, Progress, Serializer, TaskResult } from '../contract/index.ts'
import { messageOf } from '../util/show.ts'
import { decodeFailure, encodeFailure } from './failure.ts'
import { isFlat, toPlain } from './plain.ts'

const VALUE = { root: 'return value', code: 'KIQ_RESULT_UNSERIALIZABLE' } as const
const META = { root: 'progress meta', code: 'KIQ_RESULT_UNSERIALIZABLE' } as const

/**
 * A result as Taskiq stores it; wire format, section 3.
 *
 * @throws {MessageError} `KIQ_RESULT_UNSERIALIZABLE` naming the value that cannot be stored.
 */
export function encodeResult(result: TaskResult, serializer: Serializer): Body {
  const wire = {
    is_err: result.isErr,
    log: null,
    return_value: result.isErr ? null : toPlain(result.returnValue, VALUE),
    execution_time: result.executionTime,
    labels: resultLabels(result.labels),
    error: result.isErr ? encodeFailure(result.error) : null,
  }
  return dump(wire, serializer, 'result')
}

/** @throws {ResultError} `KIQ_RESULT_UNREADABLE` when the record is of another format or shape. */
export function decodeResult(body: Body, serializer: Serializer, taskId: string): TaskResult {
  const wire = load(body, serializer, `result of task ${taskId}`)
  const { is_err: isErr, return_value: returnValue, execution_time: executionTime, labels, error } = wire
  const facts = {
    executionTime: Number(executionTime),
    labels: (labels ?? {}) as Record<string, unknown>,
  }
  if (isErr === false) return { isErr, returnValue, ...facts }
  const failure = decodeFailure(error)
  if (isErr === true && failure) return { isErr, error: failure, ...facts }
  // Python stores a failed result without an error when the exception itself could not be stored.
  if (isErr === true && (error === null || error === undefined)) {
    return {
      isErr,
      error: { name: 'Error', message: 'The task failed; its error was not stored.', args: [] },
      ...facts,
    }
  }
  throw unreadable(`result of task ${taskId}`, 'it has no `is_err` or an `error` of another shape')
}

/** Taskiq's progress record; wire format, section 13. */
export function encodeProgress(progress: Progress, serializer: Serializer): Body {
  return dump({ state: progress.state, meta: toPlain(progress.meta ?? null, META) }, serializer, 'progress')
}

/** @throws {ResultError} `KIQ_RESULT_UNREADABLE` */
export function decodeProgress(body: Body, serializer: Serializer, taskId: string): Progress {
  const { state, meta } = load(body, serializer, `progress of task ${taskId}`)
  if (typeof state !== 'string') throw unreadable(`progress of task ${taskId}`, 'its `state` is not text')
  return { state, meta: meta ?? undefined }
}

/** Labels hold values here; bytes become the Base64 text they have in a message. */
export function resultLabels(labels: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (isFlat(labels)) return labels
  const plain: [string, unknown][] = []
  for (const [key, value] of Object.entries(labels)) {
    if (value === undefined) continue
    plain.push([key, value instanceof Uint8Array ? Buffer.from(value).toString('base64') : labelText(value)])
  }
  return Object.fromEntries(plain)
}

function labelText(value: unknown): unknown {
  try {
    return toPlain(value, VALUE)
  } catch {
    return String(value)
  }
}

function dump(wire: unknown, serializer: Serializer, what: string): Body {
  try {
    return serializer.dumpb(wire)
  } catch (error) {
    throw new MessageError(
      'KIQ_RESULT_UNSERIALIZABLE',
      `The ${what} does not fit the serializer "${serializer.name}": ${String(error)}. Return plain data.`,
      { cause: error },
    )
  }
}

function load(body: Body, serializer: Serializer, what: string): Record<string, unknown> {
  let wire: unknown
  try {
    wire = serializer.loadb(body)
  } catch (error) {
    throw unreadable(what, `it is not ${serializer.name} (${messageOf(error)})`, error)
  }
  if (typeof wire === 'object' && wire !== null && !Array.isArray(wire)) return wire as Record<string, unknown>
  throw unreadable(what, 'it is not an object')
}

function unreadable(what: string, why: string, cause?: unknown): ResultError {
  return new ResultError(
    'KIQ_RESULT_UNREADABLE',
    `The ${what} cannot be read: ${why.replace(/\.$/, '')}. Use the same serializer for the result backend on both sides.`,
    { cause },
  )
}
