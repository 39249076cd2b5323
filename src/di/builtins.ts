import { systemClock } from '../contract/index.ts'
import type { Clock as ClockType, Labels, Logger, Token } from '../contract/index.ts'
import type { ProgressTracker, State } from '../core/index.ts'
import type { Enqueuer as EnqueuerType } from './enqueuer.ts'
import { createEnqueuer } from './enqueuer.ts'
import { BUILT_IN } from './find-problems.ts'
import { nameOf, token } from './keys.ts'
import type { Registered } from './module.ts'
import { bind } from './provider.ts'
import type { ProviderRecord } from './provider.ts'
import type { Scope, ScopeStore, TaskFacts } from './scope.ts'
import { taskOf } from './scope.ts'
import { sentAt } from './sent-at.ts'

/** What a task can know of its own execution. */
export interface TaskInfo {
  readonly taskId: string
  readonly taskName: string
  /** This execution: 1 = the first. Counts retries and redeliveries. */
  readonly attempt: number
  readonly labels: Labels
  /** Arguments as they were sent. */
  readonly args: readonly unknown[]
  readonly kwargs: Readonly<Record<string, unknown>>
  /** When the task was sent; `undefined` when its id does not tell, as Python's do not. */
  readonly enqueuedAt: Date | undefined
}

interface TaskInfoKey extends Token<TaskInfo> {
  /** One for tests, with something sensible for what is not given. */
  fake(facts?: Partial<TaskInfo>): TaskInfo
}

function fakeInfo(facts: Partial<TaskInfo> = {}): TaskInfo {
  const bare = { taskId: 'fake', taskName: 'fake', attempt: 1, labels: {}, args: [], kwargs: {}, enqueuedAt: undefined }
  return { ...bare, ...facts }
}

/** Id, name, attempt, labels and arguments of the running task. */
export const TaskInfo: TaskInfoKey = Object.freeze({ ...token<TaskInfo>('TaskInfo'), fake: fakeInfo })
/** Aborts on timeout, cancel and stop; as `context().signal`. */
export const TaskSignal: Token<AbortSignal> = token<AbortSignal>('TaskSignal')
/** The broker's logger with id, name and attempt of the task. */
export const TaskLog: Token<Logger> = token<Logger>('TaskLog')
/** Reports how far the task has come. */
export const TaskProgress: Token<ProgressTracker> = token<ProgressTracker>('TaskProgress')
/** What `broker.on('workerStartup', …)` put there. */
export const TaskState: Token<State> = token<State>('TaskState')
export type Enqueuer = EnqueuerType
/** Sends tasks as children of the running one. */
export const Enqueuer: Token<EnqueuerType> = token<EnqueuerType>('Enqueuer')
export type Clock = ClockType
/** What time it is; a test sets it. */
export const Clock: Token<ClockType> = token<ClockType>('Clock')
/** The scope itself, for what is not known before the task runs. */
export const CurrentScope: Token<Scope> = token<Scope>('CurrentScope')

/** What the running task is called and was sent with. */
export function infoOf({ context }: Pick<TaskFacts, 'context'>): TaskInfo {
  const { message, taskId, taskName, attempt } = context
  const { args, kwargs, labels } = message
  return { taskId, taskName, attempt, labels, args, kwargs, enqueuedAt: sentAt(taskId) }
}

/** In every container. */
export const builtIns: readonly Registered[] = [
  ofTask(TaskInfo, infoOf),
  ofTask(TaskSignal, ({ context }) => context.signal),
  ofTask(TaskLog, ({ context }) => context.log),
  ofTask(TaskProgress, ({ context }) => context.progress),
  ofTask(TaskState, ({ context }) => context.state),
  ofTask(Enqueuer, createEnqueuer),
  ambient(CurrentScope, (scope) => scope),
  { provider: bind(Clock, { value: systemClock }) as ProviderRecord, moduleName: BUILT_IN },
]

function ofTask<T>(key: Token<T>, read: (task: TaskFacts) => T): Registered {
  const name = nameOf(key)
  return ambient(key, (scope) => read(taskOf(scope, name)))
}

function ambient<T>(key: Token<T>, read: (scope: ScopeStore) => T): Registered {
  const provider = {
    key,
    recipe: { kind: 'ambient', read },
    scope: 'scoped',
    deps: {},
    dispose: false,
    eager: false,
    override: false,
    multi: false,
  } as const
  return { provider, moduleName: BUILT_IN }
}
