import { ConfigError } from '../contract/index.ts'
import type { Deps, DepsOrThunk, SchemaInput, SchemaOutput, StandardSchema, Values } from '../contract/index.ts'
import type { Producer } from './kicker.ts'
import type { TaskDefinition, TaskOptions } from './task-definition.ts'
import { defineTask } from './task-definition.ts'
import type { InjectedRecordTask, RecordTask, Task } from './task.ts'
import { createTask } from './task.ts'

/** A record declaration, without its function. */
export interface RecordOptions extends TaskOptions {
  readonly name: string
}

/** A record declaration that asks for dependencies, without its function. */
export interface InjectedOptions<D extends Deps> extends RecordOptions {
  /** What `kiq/di` injects as the second argument: names → keys. */
  readonly deps: DepsOrThunk<D>
}

/** What `kiq()` takes for a function with that input: anything or nothing, where the function does not say. */
type InputOf<I> = unknown extends I ? [input?: Readonly<Record<string, unknown>>] : [input: I]

/** Options of a positional declaration; the schema, if any, looks at the array of arguments. */
export interface PositionalOptions extends TaskOptions {
  readonly input?: StandardSchema | undefined
}

/** Both ways to declare a task. The name is what travels: keep it when the function is renamed. */
export interface DeclareTask {
  /** Declares a task with dependencies and a schema for its one record of input. */
  <S extends StandardSchema, F, const D extends Deps>(
    definition: InjectedOptions<D> & {
      readonly input: S
      readonly run: (input: SchemaOutput<S>, deps: Values<D>) => F
    },
  ): InjectedRecordTask<[input: SchemaInput<S>], SchemaOutput<S>, F, D>
  /** Declares a task with dependencies that takes one record, or nothing. */
  <I, F, const D extends Deps>(
    definition: InjectedOptions<D> & { readonly run: (input: I, deps: Values<D>) => F },
  ): InjectedRecordTask<InputOf<I>, I, F, D>
  /** Declares a task with a schema for its one record of input. */
  <S extends StandardSchema, F>(
    definition: RecordOptions & { readonly input: S; readonly run: (input: SchemaOutput<S>) => F },
  ): RecordTask<[input: SchemaInput<S>], F>
  /** Declares a task that takes nothing. */
  <F>(definition: RecordOptions & { readonly run: () => F }): RecordTask<[], F>
  /** Declares a task that takes one record; its fields travel as keywords. */
  <I, F>(definition: RecordOptions & { readonly run: (input: I) => F }): RecordTask<[input: I], F>
  /** Declares a task with positional parameters. */
  <A extends readonly unknown[], F>(name: string, run: (...args: A) => F, options?: PositionalOptions): Task<A, F>
}

interface DeclaredTask {
  readonly definition: TaskDefinition
  readonly run: (...args: never[]) => unknown
}

type RecordDeclaration = RecordOptions & {
  readonly input?: StandardSchema
  readonly deps?: DepsOrThunk
  readonly run: (...args: never[]) => unknown
}

/** @param register - Keeps the task, and says who sends it. */
export function declareWith(register: (declared: DeclaredTask) => () => Producer): DeclareTask {
  const declare = (
    first: string | RecordDeclaration,
    run?: (...args: never[]) => unknown,
    options: PositionalOptions = {},
  ): unknown => {
    const declared = read(first, run, options)
    const producer = register(declared)
    const task = createTask(declared.definition, declared.run as (...args: readonly unknown[]) => unknown, producer)
    return declared.definition.style === 'record' ? Object.assign(task, { run: declared.run }) : task
  }
  return declare as DeclareTask
}

function read(
  first: string | RecordDeclaration,
  run: ((...args: never[]) => unknown) | undefined,
  options: PositionalOptions,
): DeclaredTask {
  const parts =
    typeof first === 'string'
      ? ({ name: first, style: 'positional', run, schema: options.input, options } as const)
      : ({
          name: first.name,
          style: 'record',
          run: first.run,
          schema: first.input,
          deps: first.deps,
          options: first,
        } as const)
  if (typeof parts.run !== 'function') {
    throw new ConfigError(
      'KIQ_CONFIG_INVALID',
      `Task "${parts.name}" has no function. Pass one, or use externalTask() for tasks that run elsewhere.`,
    )
  }
  return { definition: defineTask(parts), run: parts.run }
}
