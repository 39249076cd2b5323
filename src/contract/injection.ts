import type { KiqError } from './errors.ts'
import type { Labels, TaskMessage } from './message.ts'

declare const TYPE: unique symbol

/** Key of an injected value that no class stands for: an interface, a function, a number. `token()` of `kiq/di` makes one. */
export interface Token<T> {
  readonly tokenName: string
  /** Only for the compiler: what the key stands for. */
  readonly [TYPE]: () => T
}

/** What a value is bound under and asked for by: a token, or a class. */
export type Key<T = unknown> = Token<T> | (abstract new (...args: never[]) => T)

/** The value, or `undefined` where nothing is bound to the key. */
export interface OptionalKey<T> {
  readonly mode: 'optional'
  readonly key: Key<T>
}

/** A function that gets the value when it is called. */
export interface LazyKey<T> {
  readonly mode: 'lazy'
  readonly key: Key<T>
}

/** All values that are bound to the key, in the order of their registration. */
export interface AllKey<T> {
  readonly mode: 'all'
  readonly key: Key<T>
}

export type Dependency<T = unknown> = Key<T> | OptionalKey<T> | LazyKey<T> | AllKey<T>

/** What a task, a provider or a middleware asks for: names → keys. */
export type Deps = Readonly<Record<string, Dependency>>

/** Dependencies that are looked at when the container is validated: for modules that import each other in a circle. */
export type DepsOrThunk<D extends Deps = Deps> = D | (() => D)

/** What is injected for a dependency. */
export type Value<D> =
  D extends OptionalKey<infer T>
    ? T | undefined
    : D extends LazyKey<infer T>
      ? () => Promise<T>
      : D extends AllKey<infer T>
        ? readonly T[]
        : D extends Token<infer T>
          ? T
          : D extends abstract new (...args: never[]) => infer T
            ? T
            : never

/** What is injected for a record of dependencies. */
export type Values<D extends Deps> = { readonly [N in keyof D]: Value<D[N]> }

/** What is bound to one key; made by `bind()` of `kiq/di`. */
export interface Provider {
  readonly key: Key
}

/** The part of a task that an injector looks at. */
export interface InjectedTask {
  readonly name: string
  readonly labels: Labels
  readonly run: ((...args: readonly never[]) => unknown) | undefined
  readonly deps: DepsOrThunk | undefined
}

/** Wraps what was thrown, as `undefined` can be thrown too. */
export interface Thrown {
  readonly error: unknown
}

/** One execution, as an injector sees it. `C` is what the core's tasks see: their context. */
export interface InjectedCall<C = unknown> {
  readonly task: InjectedTask
  /** Arguments of the function, validated, without the injected ones. */
  readonly args: readonly unknown[]
  readonly message: TaskMessage
  readonly context: C
  /** On the clock of `performance.now()`. */
  readonly startedAt: number
  /** Why the execution was told to stop, if it was. */
  readonly abortedBy: KiqError | undefined
  /** The function has ended; what follows is bounded by the injector itself, and no timeout ends it. */
  onFunctionEnd(): void
  /**
   * Told once how the execution ended: with what was thrown, or with its value. A callback, because this stands in the path
   * of every message.
   */
  onEnd(thrown: Thrown | undefined, value: unknown): void
}

/** An execution that an injector has taken over. */
export interface Invocation {
  /** Resolves the dependencies, runs the function, closes what was opened, and tells `onEnd` of the call. Never throws. */
  start(): void
  /**
   * Nobody waits for the function any more: closes what was opened for it, with this reason, though it may still run.
   * Resolves when that is done, in bounded time; never rejects.
   */
  abandon(reason: KiqError): Promise<void>
}

/**
 * Gives tasks their dependencies; the seam between the core and `kiq/di`.
 *
 * The core calls `check` and `start` before a worker takes its first message, and `begin` for every execution between
 * the check of its arguments and the end. In a thread or process for isolated tasks it is called there.
 */
export interface TaskInjector<C = unknown> {
  /** @throws when the dependencies of these tasks cannot be satisfied, naming every problem. */
  check(tasks: readonly InjectedTask[]): void
  /** Builds what executions of these tasks share. Harmless when it is built already. */
  start(tasks: readonly InjectedTask[]): Promise<void>
  begin(call: InjectedCall<C>): Invocation
  /** The same with other values for some keys; nobody else sees them. Its owner closes it. */
  fork(overrides: readonly Provider[]): TaskInjector<C>
  /** Called when the broker stops: closes what was given to it, if anything was. */
  stop(): Promise<void>
  /** Closes what executions share. */
  close(): Promise<void>
}
