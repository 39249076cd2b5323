import type { Deps, Values, WritableScheduleSource } from '../contract/index.ts'
import type { Duration } from '../util/duration.ts'
import type { CreatedSchedule } from './created-schedule.ts'
import type { CronTrigger, Producer } from './kicker.ts'
import { Kicker } from './kicker.ts'
import type { SentTask } from './sent-task.ts'
import type { TaskDefinition } from './task-definition.ts'

/** A task that can be sent: what all kinds of tasks have. */
export interface Sendable<A extends readonly unknown[], R> {
  readonly taskName: string
  /** @internal */
  readonly definition: TaskDefinition
  /** Sends the task; see {@link Kicker.kiq}. */
  kiq(...args: A): Promise<SentTask<R>>
  /** Sends one task per entry; see {@link Kicker.kiqMany}. */
  kiqMany(calls: readonly A[]): Promise<SentTask<R>[]>
  /** Builder for one send with its own labels, id, queue, delay or broker. */
  kicker(): Kicker<A, R>
  /** Adds a schedule by a cron expression; see {@link Kicker.scheduleByCron}. */
  scheduleByCron(source: WritableScheduleSource, cron: string | CronTrigger, ...args: A): Promise<CreatedSchedule<R>>
  /** Adds a schedule that fires again and again; see {@link Kicker.scheduleByInterval}. */
  scheduleByInterval(source: WritableScheduleSource, interval: Duration, ...args: A): Promise<CreatedSchedule<R>>
  /** Adds a schedule that fires once; see {@link Kicker.scheduleByTime}. */
  scheduleByTime(source: WritableScheduleSource, time: Date, ...args: A): Promise<CreatedSchedule<R>>
}

/** A task declared with positional parameters. Calling it runs the function here, without the broker. */
export interface Task<A extends readonly unknown[], F> extends Sendable<A, Awaited<F>> {
  (...args: A): F
}

/** A task declared as a record: one object as input. Calling it, or `run`, runs the function here. */
export interface RecordTask<A extends readonly unknown[], F> extends Sendable<A, Awaited<F>> {
  (...args: A): F
  run(...args: A): F
}

/**
 * A record task with dependencies. Calling it, or `run`, runs the function here with the values it is given, which is all a
 * unit test needs.
 */
export interface InjectedRecordTask<A extends readonly unknown[], I, F, D extends Deps> extends Sendable<
  A,
  Awaited<F>
> {
  (input: I, deps: Values<D>): F
  run(input: I, deps: Values<D>): F
}

/** The sending half of a task. */
export function createSendable<A extends readonly unknown[], R>(
  definition: TaskDefinition,
  producer: () => Producer,
): Sendable<A, R> {
  // A fresh kicker per call: labels that one call adds are never seen by the next.
  const kicker = (): Kicker<A, R> => new Kicker({ definition, producer, labels: definition.labels })
  return {
    taskName: definition.name,
    definition,
    kicker,
    kiq: (...args) => kicker().kiq(...args),
    kiqMany: (calls) => kicker().kiqMany(calls),
    scheduleByCron: (source, cron, ...args) => kicker().scheduleByCron(source, cron, ...args),
    scheduleByInterval: (source, interval, ...args) => kicker().scheduleByInterval(source, interval, ...args),
    scheduleByTime: (source, time, ...args) => kicker().scheduleByTime(source, time, ...args),
  }
}

/** A task that can be sent and called. */
export function createTask<A extends readonly unknown[], F>(
  definition: TaskDefinition,
  run: (...args: A) => F,
  producer: () => Producer,
): Task<A, F> {
  const call = (...args: A): F => run(...args)
  return Object.assign(call, createSendable<A, Awaited<F>>(definition, producer))
}
