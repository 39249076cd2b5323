import { ConfigError, ScheduleError } from '../contract/index.ts'
import type { Labels, Schedule, TaskMessage, WritableScheduleSource } from '../contract/index.ts'
import type { Duration } from '../util/duration.ts'
import { show } from '../util/show.ts'
import { CreatedSchedule } from './created-schedule.ts'
import { durationMs } from './duration.ts'
import { intervalMs, rulesOf, timeOf } from './schedule-options.ts'
import type { ScheduleOptions, Trigger } from './schedule-options.ts'
import type { ResultSource } from './sent-task.ts'
import { SentTask } from './sent-task.ts'
import type { TaskDefinition } from './task-definition.ts'
import { schemaInput, toWireArguments } from './task-definition.ts'
import { randomTaskId } from './task-id.ts'
import { validate } from './validate.ts'

/** The part of a broker that a kicker needs. */
export interface Producer extends ResultSource {
  nextTaskId(): string
  /** Sends messages that travel together; one bad one sends none. */
  send(messages: readonly TaskMessage[]): Promise<void>
}

/** A cron expression with what belongs to it. */
export interface CronTrigger extends ScheduleOptions {
  readonly cron: string
}

interface Plan {
  readonly definition: TaskDefinition
  readonly producer: () => Producer
  readonly labels: Labels
  readonly taskId?: string | undefined
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined
  readonly scheduleId?: string | undefined
  readonly schedule?: ScheduleOptions | undefined
}

/** Immutable builder of one send: every `with…` returns a new kicker. */
export class Kicker<A extends readonly unknown[] = readonly unknown[], R = unknown> {
  readonly #plan: Plan

  /** @internal Use `task.kicker()`. */
  constructor(plan: Plan) {
    this.#plan = plan
  }

  /** Adds labels; later ones win, `undefined` takes one away. */
  withLabels(labels: Labels): Kicker<A, R> {
    return this.#with({ labels: { ...this.#plan.labels, ...labels } })
  }

  /** Uses this id instead of a generated one. Nothing checks that it is unique; two results under one id overwrite. */
  withTaskId(taskId: string): Kicker<A, R> {
    if (typeof taskId !== 'string' || taskId === '') {
      throw new ConfigError('KIQ_CONFIG_INVALID', `The task id is ${JSON.stringify(taskId)}. Use text, not empty.`)
    }
    return this.#with({ taskId })
  }

  /** Sends through another broker, this once. */
  withBroker(broker: Producer): Kicker<A, R> {
    return this.#with({ producer: () => broker })
  }

  /**
   * Adds keyword arguments: for tasks of other languages, for positional tasks with `params`, and for fields of a record
   * task's input. `kiq()` may then be called without arguments.
   */
  withKwargs(kwargs: Readonly<Record<string, unknown>>): Kicker<A | [], R> {
    return new Kicker<A | [], R>({ ...this.#plan, kwargs: { ...this.#plan.kwargs, ...kwargs } })
  }

  /** Label `queue_name`: only workers of that queue take it. */
  withQueue(queue: string): Kicker<A, R> {
    return this.withLabels({ queue_name: queue })
  }

  /** Label `delay`: delivered no earlier than this from now. Needs a transport that delays, or a schedule source of the broker. */
  withDelay(delay: Duration): Kicker<A, R> {
    return this.withLabels({ delay: durationMs('delay', delay) / 1000 })
  }

  /** Label `priority`: higher runs first among the waiting ones. Needs a transport with priorities. */
  withPriority(priority: number): Kicker<A, R> {
    if (!Number.isSafeInteger(priority)) {
      throw new ConfigError('KIQ_CONFIG_INVALID', `The priority is ${priority}. Use a whole number.`)
    }
    return this.withLabels({ priority })
  }

  /** Label `timeout`: longest execution, more than 0. */
  withTimeout(timeout: Duration): Kicker<A, R> {
    const timeoutMs = durationMs('timeout', timeout)
    if (timeoutMs > 0) return this.withLabels({ timeout: timeoutMs / 1000 })
    throw new ConfigError('KIQ_CONFIG_INVALID', 'The timeout is 0. Use more, or leave it out for no limit.')
  }

  /** Id of a schedule that is added: in its source it replaces the one that has it. */
  withScheduleId(scheduleId: string): Kicker<A, R> {
    if (typeof scheduleId !== 'string' || scheduleId === '') {
      throw new ScheduleError('KIQ_SCHEDULE_INVALID', `The schedule id is ${show(scheduleId)}. Use text, not empty.`)
    }
    return this.#with({ scheduleId })
  }

  /** Time zone, jitter, start and end, overlap and catching up of a schedule that is added. */
  withScheduleOptions(options: ScheduleOptions): Kicker<A, R> {
    return this.#with({ schedule: { ...this.#plan.schedule, ...options } })
  }

  /**
   * Adds a schedule by a cron expression to a source, for a scheduler to send the task with these arguments.
   *
   * @param cron - Five fields, or six with seconds first; or an object with the expression and its time zone.
   * @throws {ScheduleError} `KIQ_SCHEDULE_INVALID` with the position in the expression.
   */
  async scheduleByCron(
    source: WritableScheduleSource,
    cron: string | CronTrigger,
    ...args: A
  ): Promise<CreatedSchedule<R>> {
    if (typeof cron === 'string') return await this.#schedule(source, { cron }, args)
    const { cron: expression, ...options } = cron
    return await this.withScheduleOptions(options).#schedule(source, { cron: expression }, args)
  }

  /**
   * Adds a schedule that fires at once, and then again and again after this time.
   *
   * @param interval - At least 100 ms.
   * @throws {ScheduleError} `KIQ_SCHEDULE_INVALID`
   */
  async scheduleByInterval(
    source: WritableScheduleSource,
    interval: Duration,
    ...args: A
  ): Promise<CreatedSchedule<R>> {
    return await this.#schedule(source, { intervalMs: intervalMs(interval) }, args)
  }

  /**
   * Adds a schedule that fires once, at that time; at once, if it has passed. It is then deleted.
   *
   * @throws {ScheduleError} `KIQ_SCHEDULE_INVALID`
   */
  async scheduleByTime(source: WritableScheduleSource, time: Date, ...args: A): Promise<CreatedSchedule<R>> {
    return await this.#schedule(source, { time: timeOf('time', time) }, args)
  }

  async #schedule(source: WritableScheduleSource, trigger: Trigger, callArgs: A): Promise<CreatedSchedule<R>> {
    const { definition, labels, taskId, scheduleId = randomTaskId() } = this.#plan
    const { args, kwargs } = toWireArguments(definition, callArgs, this.#plan.kwargs)
    if (definition.schema) await this.#validate({ taskId: '', taskName: definition.name, labels, args, kwargs })
    const schedule: Schedule = {
      scheduleId,
      taskName: definition.name,
      labels,
      args,
      kwargs,
      ...(taskId === undefined ? {} : { taskId }),
      ...trigger,
      ...rulesOf(this.#plan.schedule ?? {}),
    }
    await source.addSchedule(schedule)
    return new CreatedSchedule<R>(schedule, source, () => this.kiq(...callArgs))
  }

  /**
   * Sends the task. Resolves when the transport has accepted it.
   *
   * @throws {MessageError} `KIQ_ARGUMENTS_INVALID`, `KIQ_ARGUMENTS_UNSERIALIZABLE`, `KIQ_LABEL_INVALID`
   * @throws {BrokerError} `KIQ_SEND_FAILED`, `KIQ_SEND_TIMED_OUT`
   */
  async kiq(...args: A): Promise<SentTask<R>> {
    const producer = this.#plan.producer()
    const message = this.#message(producer, args)
    if (this.#plan.definition.schema) await this.#validate(message)
    await producer.send([message])
    return new SentTask<R>(message.taskId, producer)
  }

  /**
   * Sends one task per entry, in as few round trips as the transport allows. Bad arguments of one call send none.
   *
   * @throws {BrokerError} `KIQ_SEND_FAILED` when the transport did not take all; it says how many.
   */
  async kiqMany(calls: readonly A[]): Promise<SentTask<R>[]> {
    if (this.#plan.taskId !== undefined && calls.length > 1) {
      throw new ConfigError(
        'KIQ_CONFIG_INVALID',
        `kiqMany() was asked to send ${calls.length} tasks under one id, ${this.#plan.taskId}. Drop withTaskId().`,
      )
    }
    const producer = this.#plan.producer()
    if (calls.length === 0) return []
    const messages = calls.map((args) => this.#message(producer, args))
    if (this.#plan.definition.schema) await Promise.all(messages.map((message) => this.#validate(message)))
    await producer.send(messages)
    return messages.map((message) => new SentTask<R>(message.taskId, producer))
  }

  #with(change: Partial<Plan>): Kicker<A, R> {
    return new Kicker({ ...this.#plan, ...change })
  }

  #message(producer: Producer, callArgs: A): TaskMessage {
    const { definition, labels, taskId } = this.#plan
    const { args, kwargs } = toWireArguments(definition, callArgs, this.#plan.kwargs)
    return { taskId: taskId ?? producer.nextTaskId(), taskName: definition.name, labels, args, kwargs }
  }

  /** What travels is what the caller gave: the worker runs the schema again and uses its output. */
  async #validate(message: TaskMessage): Promise<void> {
    const { schema, name } = this.#plan.definition
    if (schema) await validate(schema, schemaInput(this.#plan.definition, message), `sent to task "${name}"`)
  }
}
