import { ConfigError } from '../contract/index.ts'
import type { Labels, TaskMessage } from '../contract/index.ts'
import type { Duration } from '../util/duration.ts'
import { durationMs } from './duration.ts'
import type { ResultSource } from './sent-task.ts'
import { SentTask } from './sent-task.ts'
import type { TaskDefinition } from './task-definition.ts'
import { schemaInput, toWireArguments } from './task-definition.ts'
import { validate } from './validate.ts'

/** The part of a broker that a kicker needs. */
export interface Producer extends ResultSource {
  nextTaskId(): string
  /** Sends messages that travel together; one bad one sends none. */
  send(messages: readonly TaskMessage[]): Promise<void>
}

interface Plan {
  readonly definition: TaskDefinition
  readonly producer: () => Producer
  readonly labels: Labels
  readonly taskId?: string | undefined
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined
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

  /** Label `delay`: delivered no earlier than this from now. Needs a transport that delays. */
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
