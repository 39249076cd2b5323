import { MessageError } from '../contract/index.ts'
import type { ErrorCode } from '../contract/index.ts'

const MAX_DEPTH = 500

/** What the value is part of, for the message of an error. */
export interface PlainTarget {
  /** For example `args` or `return value`. */
  readonly root: string
  readonly code: ErrorCode
}

/**
 * Reduces a value to what every serializer carries: `null`, booleans, finite numbers, bigints, strings, arrays and plain
 * objects. Returns the same object when there is nothing to change.
 *
 * The mapping is Python Taskiq's (wire format, section 1.4): dates become ISO text, bytes become the UTF-8 text they
 * hold, sets become arrays, maps with text keys become objects, NaN and infinities become `null`. Objects with
 * `toJSON` are asked; other class instances give their own enumerable fields. `undefined` is `null` in arrays and left
 * out of objects.
 *
 * @throws {MessageError} `target.code`, naming the path, for functions, symbols, promises, cycles, bytes that are not
 *   UTF-8, and objects that JSON would silently empty (`RegExp`, `Error`, weak collections, typed arrays).
 */
export function toPlain(value: unknown, target: PlainTarget): unknown {
  if (isFlat(value)) return value
  return reduce(value, target, target.root, [])
}

function reduce(value: unknown, target: PlainTarget, path: string, ancestors: object[]): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'bigint':
      return value
    case 'number':
      return Number.isFinite(value) ? value : null
    case 'undefined':
      return null
    case 'object':
      return value === null ? null : reduceObject(value, target, path, ancestors)
    case 'function':
    case 'symbol':
      throw refuse(target, path, `is a ${typeof value}`, 'Send data, not code.')
  }
}

function reduceObject(value: object, target: PlainTarget, path: string, ancestors: object[]): unknown {
  if (ancestors.includes(value)) throw refuse(target, path, 'refers to itself', 'Send a tree without cycles.')
  if (ancestors.length > MAX_DEPTH) {
    throw refuse(target, path, `is nested deeper than ${MAX_DEPTH} levels`, 'Flatten it, or send a reference to it.')
  }
  ancestors.push(value)
  const reduced = Array.isArray(value)
    ? reduceArray(value, target, path, ancestors)
    : isPlain(value)
      ? reduceFields(value as Record<string, unknown>, target, path, ancestors)
      : reduceInstance(value, target, path, ancestors)
  ancestors.pop()
  return reduced
}

function reduceArray(value: readonly unknown[], target: PlainTarget, path: string, ancestors: object[]): unknown[] {
  let copy: unknown[] | undefined
  for (let i = 0; i < value.length; i += 1) {
    const item: unknown = value[i]
    if (isSettled(item)) continue
    const plain = reduce(item, target, `${path}[${i}]`, ancestors)
    if (plain === item) continue
    copy ??= [...value]
    copy[i] = plain
  }
  return copy ?? (value as unknown[])
}

function reduceFields(
  value: Record<string, unknown>,
  target: PlainTarget,
  path: string,
  ancestors: object[],
): Record<string, unknown> {
  let changed: Map<string, unknown> | undefined
  for (const key of Object.keys(value)) {
    const item = value[key]
    if (isSettled(item)) continue
    const plain = item === undefined ? undefined : reduce(item, target, `${path}.${key}`, ancestors)
    if (plain === item && item !== undefined) continue
    changed ??= new Map()
    changed.set(key, plain)
  }
  if (changed === undefined) return value
  const entries = Object.keys(value).map((key) => [key, changed.has(key) ? changed.get(key) : value[key]] as const)
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined))
}

/** Quick answer, without an allocation, for what most messages carry: a few texts and numbers. */
export function isFlat(value: unknown): boolean {
  if (typeof value !== 'object') return isSettled(value)
  if (value === null) return true
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i += 1) if (!isSettled(value[i])) return false
    return true
  }
  if (!isPlain(value)) return false
  for (const key in value) if (!isSettled((value as Record<string, unknown>)[key])) return false
  return true
}

/** Quick answer for what needs no change and no path. */
function isSettled(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || value === null || Number.isFinite(value)
}

function reduceInstance(value: object, target: PlainTarget, path: string, ancestors: object[]): unknown {
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw refuse(target, path, 'is an invalid Date', 'Send a valid one, or null.')
    return value.toISOString()
  }
  if (value instanceof Uint8Array) return utf8(value, target, path)
  if (value instanceof Set) return reduceArray([...value], target, path, ancestors)
  if (value instanceof Map) return reduceMap(value, target, path, ancestors)
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    return reduce((value.toJSON as () => unknown)(), target, `${path}.toJSON()`, ancestors)
  }
  if (value instanceof Number || value instanceof String || value instanceof Boolean) {
    return reduce(value.valueOf(), target, path, ancestors)
  }
  if (isOpaque(value)) {
    const name = value.constructor.name
    throw refuse(target, path, `is a ${name}, whose contents JSON would lose`, 'Convert it to plain data first.')
  }
  return reduceFields({ ...value }, target, path, ancestors)
}

function reduceMap(value: Map<unknown, unknown>, target: PlainTarget, path: string, ancestors: object[]): unknown {
  for (const key of value.keys()) {
    if (typeof key !== 'string') {
      throw refuse(target, path, `is a Map with a key that is not text (${typeof key})`, 'Send an array of pairs.')
    }
  }
  return reduceFields(Object.fromEntries(value) as Record<string, unknown>, target, path, ancestors)
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function utf8(value: Uint8Array, target: PlainTarget, path: string): string {
  try {
    return strictUtf8.decode(value)
  } catch {
    throw refuse(target, path, 'holds bytes that are not UTF-8', 'Encode them, for example as Base64 text.')
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) && !('toJSON' in value)
}

function isOpaque(value: object): boolean {
  return (
    value instanceof Error ||
    value instanceof RegExp ||
    value instanceof WeakMap ||
    value instanceof WeakSet ||
    value instanceof WeakRef ||
    value instanceof ArrayBuffer ||
    ArrayBuffer.isView(value) ||
    ('then' in value && typeof value.then === 'function')
  )
}

function refuse(target: PlainTarget, path: string, what: string, remedy: string): MessageError {
  return new MessageError(target.code, `\`${path}\` ${what} and cannot be serialized. ${remedy}`)
}
