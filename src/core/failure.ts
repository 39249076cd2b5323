import type { Failure } from '../contract/index.ts'
import { show } from '../util/show.ts'
import { toPlain } from './plain.ts'

const MAX_CAUSES = 16
const MAX_TEXT = 64 * 1024

/** Python makes a class of that name, which may not have such characters: it could not read the result. */
const NO_CLASS_NAME = /[\0\p{Surrogate}]/gu

/** Names that exist as exceptions in Python's `builtins` and mean the same there. */
const BUILTINS: ReadonlySet<string> = new Set(['TypeError', 'SyntaxError', 'TimeoutError'])

/**
 * A thrown value as data. Reads `name`, `message`, `code`, `stack` and the chain of causes (at most 16); texts are cut
 * at 64 KiB. Anything that is not an `Error` becomes one with the value as its only argument.
 */
export function toFailure(thrown: unknown): Failure {
  return describe(thrown, new Set())
}

function describe(thrown: unknown, seen: Set<unknown>): Failure {
  seen.add(thrown)
  if (!(thrown instanceof Error)) return describeValue(thrown)
  const message = cut(field(thrown, 'message') ?? '')
  const name = cut(nameOf(thrown))
  const code = field(thrown, 'code')
  const stack = field(thrown, 'stack')
  const cause = causeOf(thrown)
  return {
    name,
    message,
    args: message === '' ? [] : [message],
    module: BUILTINS.has(name) || name === 'Error' ? 'builtins' : 'javascript',
    ...(code === undefined ? {} : { code }),
    ...(stack === undefined ? {} : { stack: cut(stack) }),
    ...(cause === undefined || cause === null || seen.has(cause) || seen.size >= MAX_CAUSES
      ? {}
      : { cause: describe(cause, seen) }),
  }
}

/** A class that sets no name of its own inherits one, which says less than its own. */
function nameOf(error: Error): string {
  const own = Object.hasOwn(error, 'name') || Object.hasOwn(Object.getPrototypeOf(error) as object, 'name')
  const name = own ? field(error, 'name') : error.constructor.name
  return name === undefined || name === '' ? 'Error' : name
}

/** A field as text. Errors come from anywhere: theirs may be of other types, and getters may throw. */
function field(error: Error, name: 'message' | 'name' | 'code' | 'stack'): string | undefined {
  try {
    const value = (error as unknown as Readonly<Record<string, unknown>>)[name]
    if (value === undefined || value === null) return undefined
    // Numbers and objects are Python's or a library's idea of a code; only text is one of ours.
    if (name === 'code' || name === 'stack') return typeof value === 'string' ? value : undefined
    // eslint-disable-next-line @typescript-eslint/no-base-to-string -- what `${error}` would show
    return String(value)
  } catch {
    return undefined
  }
}

function causeOf(error: Error): unknown {
  try {
    return error.cause
  } catch {
    return undefined
  }
}

function describeValue(thrown: unknown): Failure {
  let plain: unknown
  try {
    plain = toPlain(thrown, { root: 'thrown value', code: 'KIQ_RESULT_UNSERIALIZABLE' })
  } catch {
    plain = show(thrown)
  }
  return { name: 'Error', message: cut(argText(plain)), args: [plain], module: 'builtins' }
}

/** Taskiq's error record; wire format, section 4. Keys that Python ignores: `name`, `code`, `stack`. */
export interface WireFailure {
  readonly exc_type: string
  readonly exc_message: readonly unknown[]
  readonly exc_module: string | null
  readonly exc_cause: WireFailure | null
  readonly exc_context: WireFailure | null
  readonly exc_suppress_context: boolean
  readonly name?: string
  readonly code?: string
  readonly stack?: string
}

export function encodeFailure(failure: Failure): WireFailure {
  // Python has no `Error`; its plain exception is called `Exception`.
  const isPlain = failure.name === 'Error' && failure.module === 'builtins'
  const type = isPlain ? 'Exception' : failure.name.replace(NO_CLASS_NAME, '\ufffd')
  return {
    exc_type: type,
    exc_message: failure.args,
    exc_module: failure.module ?? null,
    exc_cause: failure.cause ? encodeFailure(failure.cause) : null,
    exc_context: failure.context ? encodeFailure(failure.context) : null,
    exc_suppress_context: failure.cause !== undefined,
    ...(type === failure.name ? {} : { name: failure.name }),
    ...(failure.code === undefined ? {} : { code: failure.code }),
    ...(failure.stack === undefined ? {} : { stack: failure.stack }),
  }
}

/** @returns `undefined` when the record is not of Taskiq's shape. */
export function decodeFailure(wire: unknown): Failure | undefined {
  if (typeof wire !== 'object' || wire === null) return undefined
  const { exc_type: type, exc_message: args, exc_module: module, ...rest } = wire as Record<string, unknown>
  if (typeof type !== 'string' || !Array.isArray(args)) return undefined
  const cause = decodeFailure(rest['exc_cause'])
  const context = decodeFailure(rest['exc_context'])
  const { name, code, stack } = rest
  return {
    name: typeof name === 'string' ? name : type,
    message: args.map(argText).join(', '),
    args,
    ...(typeof module === 'string' ? { module } : {}),
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof stack === 'string' ? { stack } : {}),
    ...(cause ? { cause } : {}),
    ...(context ? { context } : {}),
  }
}

function argText(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'bigint') return value.toString()
  const json = JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? item.toString() : item)) as
    string | undefined
  return json ?? 'null'
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) + '…' : text
}
