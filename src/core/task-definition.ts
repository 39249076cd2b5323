import { ConfigError, MessageError } from '../contract/index.ts'
import type { DepsOrThunk, InjectedTask, Labels, Schedule, StandardSchema, TaskMessage } from '../contract/index.ts'
import type { Duration } from '../util/duration.ts'
import { show } from '../util/show.ts'
import { durationMs, wholeNumber } from './duration.ts'
import { declaredSchedules } from './schedule-options.ts'
import type { TaskSchedule } from './schedule-options.ts'
import { validate } from './validate.ts'

/**
 * When a worker acknowledges a message.
 *
 * - `when_received`: before the task runs; a crash loses it (at most once).
 * - `when_executed`: after the task ran, before its result is stored.
 * - `when_saved`: after its result is stored.
 * - `manual`: only `context().ack()`; a task that ends without it is delivered again.
 */
export type AckType = 'when_received' | 'when_executed' | 'when_saved' | 'manual'

export const ACK_TYPES: readonly AckType[] = ['when_received', 'when_executed', 'when_saved', 'manual']

/** Where a task runs: on the worker's event loop, in a thread, or in a child process that can always be killed. */
export type Isolation = 'none' | 'thread' | 'process'

export interface TaskOptions {
  /** Sent with every call; `kicker().withLabels()` overrides single ones. */
  readonly labels?: Labels | undefined
  /** Queue for every call (label `queue_name`); the broker's queue when absent. */
  readonly queue?: string | undefined
  /** Longest execution (label `timeout`, in seconds on the wire); unlimited when absent. */
  readonly timeout?: Duration | undefined
  /**
   * Names of the positional parameters, so that callers who send keywords (Python's `kiq(a=1)`) are understood.
   * Without it keywords are refused.
   */
  readonly params?: readonly string[] | undefined
  /** When the worker acknowledges; the worker's setting when absent. */
  readonly ackType?: AckType | undefined
  /**
   * Runs the task off the event loop, where it can be killed on timeout and cancel. The worker must know the module
   * that defines the task: the one given to `kiq worker`, or {@link TaskOptions.module}.
   *
   * @defaultValue `'none'`
   */
  readonly isolate?: Isolation | undefined
  /** `import.meta.url` of the module that defines the task; for `isolate` outside the worker CLI. */
  readonly module?: string | undefined
  /** How long the result is kept; the broker's setting when absent. */
  readonly resultTtl?: Duration | undefined
  /**
   * Whether the message of a task that has failed for good is kept with the dead letters, from where `broker.retry(id)`
   * and `kiq dead retry` send it again. Needs a transport that keeps dead letters.
   *
   * @defaultValue `false`
   */
  readonly keepFailed?: boolean | undefined
  /** When a scheduler with a `LabelScheduleSource` sends the task by itself. */
  readonly schedule?: readonly TaskSchedule[] | undefined
}

/** How arguments reach the function: as positions (wire `args`) or as one record (wire `kwargs`). */
export type CallStyle = 'positional' | 'record'

/** Everything the core knows of a task. `run` is absent for tasks that only other workers can execute. */
export interface TaskDefinition extends InjectedTask {
  readonly style: CallStyle
  readonly schema: StandardSchema | undefined
  /** Names of what it is injected; `undefined` when that is nothing. */
  readonly injected: (() => readonly string[]) | undefined
  readonly params: readonly string[] | undefined
  readonly ackType: AckType | undefined
  readonly isolate: Isolation
  readonly keepFailed: boolean
  readonly module: string | undefined
  readonly timeoutMs: number | undefined
  readonly resultTtlMs: number | undefined
  readonly schedules: readonly Schedule[]
}

export interface DefinitionParts {
  readonly name: string
  readonly style: CallStyle
  readonly run: ((...args: never[]) => unknown) | undefined
  readonly schema?: StandardSchema | undefined
  readonly deps?: DepsOrThunk | undefined
  readonly options: TaskOptions
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` for an empty name or an option out of range. */
export function defineTask({ name, style, run, schema, deps, options }: DefinitionParts): TaskDefinition {
  if (typeof name !== 'string' || name === '') {
    throw new ConfigError('KIQ_CONFIG_INVALID', `A task's name is ${show(name)}. Give it a name, as text.`)
  }
  if (run !== undefined && typeof run !== 'function') {
    throw new ConfigError('KIQ_CONFIG_INVALID', `Task "${name}" has no function but a ${typeof run}. Pass a function.`)
  }
  const given: unknown = deps
  if (given !== undefined && typeof given !== 'function' && (typeof given !== 'object' || given === null)) {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `The \`deps\` of task "${name}" are ${show(given)}. Pass a record of keys, or a function that returns one.`,
    )
  }
  if (options.ackType !== undefined && !ACK_TYPES.includes(options.ackType)) throw unknownAckType(options.ackType)
  const timeoutMs = options.timeout === undefined ? undefined : durationMs(`timeout of task "${name}"`, options.timeout)
  if (timeoutMs === 0) wholeNumber(`timeout of task "${name}"`, 0, 1)
  const looked = typeof deps === 'function' ? once(deps) : deps
  // Frozen: every send of the task shares them, and the formatter encodes them once.
  const labels = Object.freeze({
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs / 1000 }),
    ...(options.queue === undefined ? {} : { queue_name: options.queue }),
    ...options.labels,
  })
  return {
    name,
    style,
    run,
    schema,
    deps: looked,
    injected: looked && once(() => Object.keys(typeof looked === 'function' ? looked() : looked)),
    labels,
    keepFailed: options.keepFailed ?? false,
    params: options.params,
    ackType: options.ackType,
    isolate: options.isolate ?? 'none',
    module: options.module,
    timeoutMs,
    resultTtlMs: options.resultTtl === undefined ? undefined : durationMs('resultTtl', options.resultTtl),
    schedules: declaredSchedules(name, labels, options.schedule ?? []),
  }
}

/** Called when it is first asked for; every message asks. */
function once<T extends object>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

/** @throws {ConfigError} `KIQ_CONFIG_INVALID` naming the known ones. */
export function parseAckType(text: unknown): AckType {
  const known = ACK_TYPES.find((type) => type === String(text).toLowerCase())
  if (known) return known
  throw unknownAckType(text)
}

function unknownAckType(value: unknown): ConfigError {
  return new ConfigError(
    'KIQ_CONFIG_INVALID',
    `The ack type ${show(value)} is not known. Use one of: ${ACK_TYPES.join(', ')}.`,
  )
}

/** What a call sends: wire `args` and `kwargs`. */
export interface CallArguments {
  readonly args: readonly unknown[]
  readonly kwargs: Readonly<Record<string, unknown>>
}

const NO_KWARGS: Readonly<Record<string, unknown>> = {}

/** Arguments of `kiq()` → wire; a record task's input travels as `kwargs`. */
export function toWireArguments(
  definition: TaskDefinition,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>> | undefined,
): CallArguments {
  if (definition.style === 'positional') return { args, kwargs: kwargs ?? NO_KWARGS }
  const [input] = args
  if (input !== undefined && (typeof input !== 'object' || input === null || Array.isArray(input))) {
    throw new MessageError(
      'KIQ_ARGUMENTS_INVALID',
      `Task "${definition.name}" takes one record but was given ${show(input)}. ` +
        'Pass an object: its fields travel as keywords.',
    )
  }
  const all = { ...input, ...kwargs }
  refuseInjected(definition, all)
  return { args: [], kwargs: all }
}

/**
 * An argument never takes the place of an injected value, since they have places of their own. One with the same name is
 * refused, as whoever sends it means to do that, or does not know which of the two is used.
 */
function refuseInjected({ name, injected }: TaskDefinition, kwargs: object): void {
  if (injected === undefined) return
  for (const dependency of injected()) {
    if (!Object.hasOwn(kwargs, dependency)) continue
    throw new MessageError(
      'KIQ_ARGUMENT_INJECTED',
      `task:${name} > ${dependency}: the message has an argument of the name of an injected value. Injected values never ` +
        'come from a message: leave it out, or rename one of the two.',
    )
  }
}

/** What the schema of a task looks at: the record, or the array of positions. */
export function schemaInput(definition: TaskDefinition, call: CallArguments): unknown {
  return definition.style === 'record' ? call.kwargs : call.args
}

/**
 * Wire → arguments of the function, checked by the schema.
 *
 * @throws {MessageError} `KIQ_ARGUMENTS_INVALID` when they do not fit.
 */
export function fromWireArguments(
  definition: TaskDefinition,
  message: TaskMessage,
): readonly unknown[] | Promise<readonly unknown[]> {
  const args = definition.style === 'record' ? [recordInput(definition, message)] : positions(definition, message)
  if (definition.schema === undefined) return args
  return validated(definition, definition.schema, args)
}

async function validated(
  definition: TaskDefinition,
  schema: StandardSchema,
  args: readonly unknown[],
): Promise<readonly unknown[]> {
  const where = `received by task "${definition.name}"`
  if (definition.style === 'record') return [await validate(schema, args[0], where)]
  const output = await validate(schema, args, where)
  return Array.isArray(output) ? (output as unknown[]) : [output]
}

function recordInput(definition: TaskDefinition, message: TaskMessage): unknown {
  const input = recordOf(definition, message)
  refuseInjected(definition, input)
  return input
}

function recordOf(definition: TaskDefinition, { args, kwargs }: TaskMessage): object {
  if (args.length === 0) return kwargs
  const [only] = args
  if (args.length === 1 && typeof only === 'object' && only !== null && !Array.isArray(only)) {
    return { ...only, ...kwargs }
  }
  throw new MessageError(
    'KIQ_ARGUMENTS_INVALID',
    `Task "${definition.name}" takes one record, but the message has ${args.length} positional argument(s). ` +
      'Send keywords.',
  )
}

function positions(definition: TaskDefinition, { args, kwargs }: TaskMessage): readonly unknown[] {
  const names = Object.keys(kwargs)
  if (names.length === 0) return args
  const { params } = definition
  if (params === undefined) {
    throw new MessageError(
      'KIQ_ARGUMENTS_INVALID',
      `Task "${definition.name}" was sent the keyword(s) ${names.join(', ')}, but the names of its parameters are not ` +
        "known. Declare them: `broker.task(name, fn, { params: ['a', 'b'] })`.",
    )
  }
  const filled = [...args]
  for (const name of names) {
    const position = params.indexOf(name)
    if (position === -1 || position < args.length) {
      const why = position === -1 ? 'is not one of its parameters' : 'was also given by position'
      throw new MessageError(
        'KIQ_ARGUMENTS_INVALID',
        `Keyword "${name}" sent to task "${definition.name}" ${why} (${params.join(', ')}).`,
      )
    }
    while (filled.length < position) filled.push(undefined)
    filled[position] = kwargs[name]
  }
  return filled
}
