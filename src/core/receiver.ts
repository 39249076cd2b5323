import { ConfigError, KiqError, MessageError } from '../contract/index.ts'
import type {
  Delivery,
  FailureControl,
  Labels,
  ResultRecord,
  RetryOptions,
  Settlement,
  TaskMessage,
  TaskResult,
  Thrown,
} from '../contract/index.ts'
import { messageOf } from '../util/show.ts'
import type { Broker, BrokerParts } from './broker.ts'
import { Execution, executionTimeSince } from './execution.ts'
import type { ExecutionParts } from './execution.ts'
import { toFailure } from './failure.ts'
import { requeueOf, retryOf } from './retry-message.ts'
import type { EncodeOptions } from './results.ts'
import type { RunTask } from './run-task.ts'
import type { Settler } from './settler.ts'
import { TaskSignal } from './signals.ts'
import type { SlotState } from './slots.ts'
import type { AckType, TaskDefinition } from './task-definition.ts'
import { parseAckType } from './task-definition.ts'

export interface ReceiverParts {
  readonly broker: Broker
  readonly settler: Settler
  readonly runTask: RunTask
  readonly ackType: AckType
  /** Deliveries without an outcome after which a message is given up. */
  readonly maxDeliveries: number
  /** Called around the execution, so that the worker can abort it. */
  readonly onStart: (execution: Execution) => void
  readonly onEnd: (execution: Execution) => void
  /** The task has ended; only the write of its outcome is left. Followed by `onDone`. */
  readonly onEnded: (delivery: Delivery) => SlotState
  /** The delivery is settled, or could not be. */
  readonly onDone: (delivery: Delivery, error: unknown, slot?: SlotState) => void
  /** The message has its outcome: no retry, requeue or hand-back follows. */
  readonly onFinal: (taskId: string) => void
}

/** What becomes of a message after its execution. */
type Verdict =
  | { readonly kind: 'done' }
  | { readonly kind: 'retry'; readonly message: TaskMessage; readonly visible: 'nothing' | 'failure' }
  | { readonly kind: 'dead'; readonly reason: string }
  | { readonly kind: 'release' }
  | { readonly kind: 'requeue' }

const DONE: Verdict = { kind: 'done' }

/** How an execution ended: with a result to store or not, and a verdict on the message. */
interface Outcome {
  readonly result: TaskResult
  readonly stored: boolean
  readonly verdict: Verdict
}

/**
 * Turns one delivery into an outcome: decode, find the task, hooks, execute, hooks, store, settle. Whatever goes wrong on
 * the way becomes a stored failure; nothing escapes, and no delivery is left unsettled.
 */
export class Receiver {
  readonly #parts: ReceiverParts
  readonly #core: BrokerParts
  readonly #execution: ExecutionParts

  constructor(parts: ReceiverParts) {
    this.#parts = parts
    this.#core = parts.broker.parts
    this.#execution = {
      state: parts.broker.state,
      logger: this.#core.logger,
      results: this.#core.results,
      ack: async (delivery) => await this.#settle({ kind: 'ack', delivery }),
    }
  }

  /**
   * Calls `onDone` of the parts once, when the delivery is settled; with an error when it could not be, and will be
   * delivered again. No promise, because this stands in the path of every message: an execution without hooks costs none
   * but the handler's own.
   */
  process(delivery: Delivery): void {
    let message: TaskMessage
    try {
      message = this.#core.formatter.loads(delivery.body)
    } catch (error) {
      this.#ends(delivery, this.#giveUp(delivery, delivery.taskId, undefined, error))
      return
    }
    const definition = this.#parts.broker.findTask(message.taskName)
    if (definition?.run === undefined) {
      this.#ends(delivery, this.#giveUp(delivery, message.taskId, message, this.#unknownTask(message.taskName)))
    } else if (delivery.attempt > this.#parts.maxDeliveries) {
      this.#ends(delivery, this.#giveUp(delivery, message.taskId, message, poisoned(delivery)))
    } else {
      this.#execute(definition, delivery, message)
    }
  }

  /** The delivery is done when the promise is. */
  #ends(delivery: Delivery, end: Promise<void>, slot?: SlotState): void {
    const { onDone } = this.#parts
    end.then(
      () => onDone(delivery, undefined, slot),
      (error: unknown) => onDone(delivery, error, slot),
    )
  }

  #execute(definition: TaskDefinition, delivery: Delivery, received: TaskMessage): void {
    const startedAt = performance.now()
    const simple = this.#core.middlewares.with('preExecute').length === 0
    const ackType = definition.ackType ?? this.#parts.ackType
    const execution = new Execution({ definition, message: received, delivery, startedAt }, this.#execution)
    this.#parts.onStart(execution)
    if (simple && ackType !== 'when_received' && received.labels['ack_type'] === undefined) {
      this.#run(execution, ackType)
      return
    }
    this.#prepare(execution).then(
      ({ ackType: chosen, thrown }) => {
        if (execution.isStale) this.#drop(execution)
        else if (thrown) this.#end(execution, chosen, thrown, undefined)
        else this.#run(execution, chosen)
      },
      (error: unknown) => {
        this.#parts.onEnd(execution)
        this.#parts.onDone(delivery, error)
      },
    )
  }

  /** What comes before the task when it needs waiting for. */
  async #prepare(execution: Execution): Promise<Prepared> {
    let ackType = this.#parts.ackType
    try {
      execution.message = await this.#core.middlewares.preExecute(execution.message)
      ackType = this.#ackType(execution.definition, execution.message)
    } catch (error) {
      return { ackType, thrown: { error } }
    }
    if (ackType === 'when_received') await execution.ack()
    return { ackType, thrown: undefined }
  }

  #run(execution: Execution, ackType: AckType): void {
    this.#parts.runTask(execution, (thrown, value) => this.#end(execution, ackType, thrown, value))
  }

  /** The message went to another worker: whatever happened here does not count. */
  #drop(execution: Execution): void {
    this.#parts.onEnd(execution)
    this.#parts.onDone(execution.delivery, undefined)
  }

  #end(execution: Execution, ackType: AckType, thrown: Thrown | undefined, value: unknown): void {
    this.#parts.onEnd(execution)
    if (execution.isStale) this.#parts.onDone(execution.delivery, undefined)
    else this.#after(execution, ackType, thrown, value)
  }

  #after(execution: Execution, ackType: AckType, thrown: Thrown | undefined, value: unknown): void {
    const { message, delivery } = execution
    const executionTime = executionTimeSince(execution.startedAt)
    const hooks = this.#core.middlewares.with('postExecute').length > 0
    if (thrown === undefined && ackType === 'when_saved' && !hooks) {
      const result: TaskResult = { isErr: false, returnValue: value, executionTime, labels: message.labels }
      this.#finish(execution, result, 'stored', DONE)
      return
    }
    const facts = { executionTime, labels: message.labels }
    this.#outcome(execution, { thrown, value, ackType }, facts).then(
      ({ result, stored, verdict }) => this.#finish(execution, result, stored ? 'stored' : 'dropped', verdict),
      (error: unknown) => this.#parts.onDone(delivery, error),
    )
  }

  #ackType(definition: TaskDefinition, message: TaskMessage): AckType {
    const label = message.labels['ack_type']
    return label === undefined ? (definition.ackType ?? this.#parts.ackType) : parseAckType(label)
  }

  /** Hooks after the execution, and what they and the ack type make of it. */
  async #outcome(execution: Execution, { thrown, value, ackType }: Ended, facts: Facts): Promise<Outcome> {
    const { middlewares } = this.#core
    const { message } = execution
    let outcome: Outcome =
      thrown === undefined
        ? { result: { isErr: false, returnValue: value, ...facts }, stored: true, verdict: { kind: 'done' } }
        : await this.#failed(execution, thrown.error, facts)
    if (ackType === 'when_executed' && isFinal(outcome.verdict)) await execution.ack()
    if (middlewares.with('postExecute').length > 0) {
      try {
        await middlewares.postExecute(message, outcome.result)
      } catch (error) {
        outcome = { ...outcome, result: { isErr: true, error: toFailure(error), ...facts } }
      }
    }
    if (ackType === 'manual' && !execution.isAcked && outcome.verdict.kind === 'done') {
      return { ...outcome, stored: false, verdict: { kind: 'requeue' } }
    }
    return outcome
  }

  async #failed(execution: Execution, error: unknown, facts: Facts): Promise<Outcome> {
    const { message } = execution
    if (error instanceof TaskSignal) return this.#steered(execution, error, facts)
    const failed = (cause: unknown): TaskResult => ({ isErr: true, error: toFailure(cause), ...facts })
    // The worker stops: not the task's fault. Its message goes to another worker as it is.
    if (KiqError.is(error, 'KIQ_WORKER_STOPPED') && error === execution.abortedBy && !execution.isAcked) {
      return { result: failed(error), stored: false, verdict: { kind: 'release' } }
    }
    const result = failed(error)
    const decision: { current: Verdict } = { current: { kind: 'done' } }
    try {
      await this.#core.middlewares.onError(message, result, error, failureControl(execution, decision))
    } catch (hookError) {
      this.#core.logger.error(
        { err: hookError, taskId: message.taskId, taskName: message.taskName },
        'An onError hook threw; its error is stored as the outcome of the task.',
      )
      return { result: failed(hookError), stored: true, verdict: { kind: 'done' } }
    }
    const verdict = this.#kept(execution, decision.current, result)
    this.#logFailure(execution, error, verdict)
    return { result, stored: verdict.kind !== 'retry' || verdict.visible === 'failure', verdict }
  }

  /** The message of a final failure is kept where the task asks for that. */
  #kept({ definition, isAcked }: Execution, verdict: Verdict, result: TaskResult): Verdict {
    if (!definition.keepFailed || verdict.kind !== 'done' || isAcked || !result.isErr) return verdict
    return { kind: 'dead', reason: `${result.error.name}: ${result.error.message}` }
  }

  /** What a task asked for by throwing a signal. */
  #steered({ message }: Execution, { steering }: TaskSignal, facts: Facts): Outcome {
    const result = (name: string, text: string, code?: string): TaskResult => ({
      isErr: true,
      error: { name, message: text, args: text === '' ? [] : [text], module: 'javascript', ...(code ? { code } : {}) },
      ...facts,
    })
    switch (steering.kind) {
      case 'no-result':
        return { result: result('NoResultError', ''), stored: false, verdict: { kind: 'done' } }
      case 'reject':
        return {
          result: result('TaskRejectedError', steering.reason, 'KIQ_TASK_REJECTED'),
          stored: true,
          verdict: { kind: 'dead', reason: steering.reason },
        }
      case 'retry': {
        const next = retryOf(message, steering.delayMs, steering.labels)
        const verdict = { kind: 'retry', message: next, visible: 'nothing' } as const
        return { result: result('NoResultError', 'retry'), stored: false, verdict }
      }
      case 'requeue': {
        const verdict = { kind: 'retry', message: requeueOf(message, steering.delayMs), visible: 'nothing' } as const
        return { result: result('NoResultError', 'requeue'), stored: false, verdict }
      }
    }
  }

  /** Stores and settles; then tells the hooks. */
  #finish(execution: Execution, result: TaskResult, keeping: 'stored' | 'dropped', verdict: Verdict): void {
    const { settler, onDone } = this.#parts
    if (execution.isStale) {
      onDone(execution.delivery, undefined)
      return
    }
    const keeps = keeping === 'stored' && this.#core.resultBackend !== undefined
    const { message, delivery } = execution
    if (verdict.kind !== 'done' || execution.isAcked || (keeps && !settler.joined)) {
      this.#ends(delivery, this.#finishSlowly(execution, { result, stored: keeps, verdict }))
      return
    }
    const record = keeps ? this.#record(execution, result) : undefined
    const slot = this.#parts.onEnded(delivery)
    settler.push({ kind: 'ack', delivery, result: record?.stored }, (failure, settled) => {
      if (failure) {
        onDone(delivery, failure.reason, slot)
        return
      }
      if (settled === 'stale') this.#warnStale({ kind: 'ack', delivery })
      else this.#parts.onFinal(message.taskId)
      if (settled === 'stale' || !record || this.#core.middlewares.with('postSave').length === 0) {
        onDone(delivery, undefined, slot)
      } else {
        this.#ends(delivery, this.#notifySaved(message, record.result), slot)
      }
    })
  }

  async #notifySaved(message: TaskMessage, result: TaskResult): Promise<void> {
    await this.#core.middlewares.notify('postSave', message, result, this.#core.logger)
  }

  /** Every end that is more than one acknowledgement. */
  async #finishSlowly(execution: Execution, outcome: Outcome): Promise<void> {
    const { message, delivery } = execution
    let { result, stored, verdict } = outcome
    let settlement: Settlement | undefined
    let next: TaskMessage | undefined
    if (verdict.kind === 'retry') {
      try {
        if (await this.#core.sender.schedule(verdict.message)) {
          // A scheduler sends it when it is due.
          settlement = { kind: 'ack', delivery }
        } else {
          const prepared = await this.#core.sender.prepare(verdict.message)
          next = prepared.message
          settlement = { kind: 'replace', delivery, message: prepared.wire }
        }
      } catch (error) {
        // The next attempt cannot be sent at all: that is the outcome.
        const { executionTime, labels } = result
        result = { isErr: true, error: toFailure(error), executionTime, labels }
        stored = true
        verdict = { kind: 'done' }
      }
    }
    settlement ??= plainSettlement(verdict, execution)
    const record = stored && this.#core.resultBackend ? this.#record(execution, result) : undefined
    if (execution.isAcked) {
      await this.#finishAcked(execution, verdict, settlement, record?.stored)
    } else if (record && this.#parts.settler.joined && carriesResult(settlement)) {
      if ((await this.#settle({ ...settlement, result: record.stored })) === 'stale') return
    } else {
      if (record) await this.#parts.settler.save(record.stored)
      if ((await this.#settle(settlement)) === 'stale') return
    }
    if (next) await this.#core.sender.sent(next)
    else if (verdict.kind !== 'retry' && (settlement.kind === 'ack' || settlement.kind === 'dead'))
      this.#parts.onFinal(message.taskId)
    if (record && this.#core.middlewares.with('postSave').length > 0) await this.#notifySaved(message, record.result)
  }

  /** The message is gone already: what would replace it is sent, what would keep it is only said. */
  async #finishAcked(
    execution: Execution,
    verdict: Verdict,
    settlement: Settlement,
    record: ResultRecord | undefined,
  ): Promise<void> {
    // The failure first: the next attempt may end, and store its result, before this line is done.
    if (record) await this.#parts.settler.save(record)
    if (settlement.kind === 'replace') await this.#parts.settler.send(settlement.message)
    if (verdict.kind === 'dead') {
      execution.log.warn({ reason: verdict.reason }, 'A task was rejected after it was acknowledged: no dead letter.')
    }
  }

  /** The result as bytes; one that cannot be stored becomes a failure that can. */
  #record({ definition, message, delivery }: Execution, result: TaskResult): StoredResult | undefined {
    const { taskId, taskName } = message
    const options = { ttlMs: definition.resultTtlMs, request: delivery.body }
    const stored = this.#encode(taskId, result, options)
    if (stored instanceof Error) {
      this.#core.logger.error(
        { err: stored, taskId, taskName },
        'The result cannot be serialized; a failure that says so is stored instead.',
      )
      return this.#failureRecord(taskId, stored, { ...result, labels: {} }, options)
    }
    return { stored, result }
  }

  /** A failure that can be stored, as long as anything can. */
  #failureRecord(taskId: string, error: unknown, facts: Facts, options: EncodeOptions): StoredResult | undefined {
    const { executionTime, labels } = facts
    const result: TaskResult = { isErr: true, error: toFailure(error), executionTime, labels }
    const stored = this.#encode(taskId, result, options)
    if (!(stored instanceof Error)) return { stored, result }
    // Its labels or its arguments do not fit the serializer.
    const { name, message, code } = result.error
    const bare: TaskResult = {
      isErr: true,
      error: { name, message, args: [message], ...(code === undefined ? {} : { code }) },
      executionTime,
      labels: {},
    }
    const storedBare = this.#encode(taskId, bare, options)
    if (!(storedBare instanceof Error)) return { stored: storedBare, result: bare }
    this.#core.logger.error({ err: storedBare, taskId }, 'Not even a failure can be serialized; no result is stored.')
    return undefined
  }

  #encode(taskId: string, result: TaskResult, options: EncodeOptions): ResultRecord | Error {
    try {
      return this.#core.results.encode(taskId, result, options)
    } catch (error) {
      return error instanceof Error ? error : new Error(messageOf(error))
    }
  }

  /** To the dead letters, with a failed result for whoever waits. */
  async #giveUp(
    delivery: Delivery,
    taskId: string | undefined,
    message: TaskMessage | undefined,
    error: unknown,
  ): Promise<void> {
    const { resultBackend, logger } = this.#core
    const failure = toFailure(error)
    const reason = failure.message
    const taskName = message?.taskName
    logger.error({ taskId, taskName, queue: delivery.queue, attempt: delivery.attempt }, `Dead letter: ${reason}`)
    const facts = { executionTime: 0, labels: message?.labels ?? {} }
    const keeps = taskId !== undefined && resultBackend !== undefined
    const result = keeps ? this.#failureRecord(taskId, error, facts, { request: delivery.body })?.stored : undefined
    const joined = this.#parts.settler.joined
    if (result && !joined) await this.#parts.settler.save(result)
    await this.#settle({ kind: 'dead', delivery, reason, taskName, result: joined ? result : undefined })
    if (taskId !== undefined) this.#parts.onFinal(taskId)
  }

  async #settle(settlement: Settlement): Promise<'settled' | 'stale'> {
    const outcome = await this.#parts.settler.settle(settlement)
    if (outcome === 'stale') this.#warnStale(settlement)
    return outcome
  }

  #warnStale({ kind, delivery: { taskId, queue, attempt } }: Settlement): void {
    this.#core.logger.warn(
      { taskId, queue, attempt, settlement: kind },
      'The lease of this delivery went to another worker; its outcome here is dropped.',
    )
  }

  #logFailure({ message, attempt }: Execution, error: unknown, verdict: Verdict): void {
    const fields = { err: error, taskId: message.taskId, taskName: message.taskName, attempt }
    if (KiqError.is(error, 'KIQ_TASK_CANCELLED'))
      this.#core.logger.info(fields, `Task ${message.taskName} was cancelled.`)
    else if (verdict.kind === 'retry')
      this.#core.logger.info(fields, `Task ${message.taskName} failed; it will be retried.`)
    else this.#core.logger.error(fields, `Task ${message.taskName} failed.`)
  }

  #unknownTask(name: string): ConfigError {
    const known = this.#parts.broker.tasks.map((task) => task.name)
    const shown = known.length > 20 ? [...known.slice(0, 20), `… ${known.length - 20} more`] : known
    return new ConfigError(
      'KIQ_TASK_UNKNOWN',
      `No task named "${name}" is registered in this worker (it knows: ${shown.join(', ') || 'none'}). Load the module ` +
        'that declares it, then put the message back with `kiq dead retry`.',
    )
  }
}

function carriesResult(
  settlement: Settlement,
): settlement is Extract<Settlement, { kind: 'ack' | 'replace' | 'dead' }> {
  return settlement.kind === 'ack' || settlement.kind === 'replace' || settlement.kind === 'dead'
}

/** How the function ended, and when its message is to be acknowledged. */
interface Ended {
  readonly thrown: Thrown | undefined
  readonly value: unknown
  readonly ackType: AckType
}

interface Prepared {
  readonly ackType: AckType
  readonly thrown: Thrown | undefined
}

interface StoredResult {
  readonly stored: ResultRecord
  readonly result: TaskResult
}

interface Facts {
  readonly executionTime: number
  readonly labels: Labels
}

function isFinal(verdict: Verdict): boolean {
  return verdict.kind === 'done'
}

function plainSettlement(verdict: Verdict, { delivery, taskName }: Execution): Settlement {
  switch (verdict.kind) {
    case 'release':
      return { kind: 'release', delivery }
    case 'requeue':
      return { kind: 'requeue', delivery }
    case 'dead':
      return { kind: 'dead', delivery, reason: verdict.reason, taskName }
    case 'done':
    case 'retry':
      return { kind: 'ack', delivery }
  }
}

function failureControl({ message, attempt }: Execution, decision: { current: Verdict }): FailureControl {
  return {
    attempt,
    get decision() {
      const { kind } = decision.current
      return kind === 'retry' ? 'retry' : kind === 'dead' ? 'reject' : 'fail'
    },
    retry: ({ delayMs = 0, labels = {}, visible = 'nothing' }: RetryOptions = {}) => {
      decision.current = { kind: 'retry', message: retryOf(message, delayMs, labels), visible }
    },
    reject: (reason) => {
      decision.current = { kind: 'dead', reason }
    },
  }
}

function poisoned(delivery: Delivery): MessageError {
  return new MessageError(
    'KIQ_MESSAGE_POISONED',
    `The message was delivered ${delivery.attempt - 1} times without an outcome: the process that ran it died each time, ` +
      'or its ack type is `manual` and it ended without ack(). Fix the task, then put the message back with ' +
      '`kiq dead retry`.',
  )
}
