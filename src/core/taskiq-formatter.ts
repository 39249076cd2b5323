import { MessageError } from '../contract/index.ts'
import type { Body, FormattedMessage, Formatter, Labels, Serializer, TaskMessage } from '../contract/index.ts'
import { asPythonJson, isPythonJson } from '../serializers/python-json.ts'
import { decodeLabels, encodeLabels } from './labels.ts'
import type { EncodedLabels } from './labels.ts'
import { toPlain } from './plain.ts'

const ARGS = { root: 'args', code: 'KIQ_ARGUMENTS_UNSERIALIZABLE' } as const
const KWARGS = { root: 'kwargs', code: 'KIQ_ARGUMENTS_UNSERIALIZABLE' } as const

/** Taskiq's message (wire format, section 1) in the serializer it is given. */
export class TaskiqFormatter implements Formatter {
  readonly #serializer: Serializer
  /**
   * Arguments that came from Python, which a retry shares: it is written in the same way, so that a result backend still
   * sees who asked.
   */
  readonly #pythons = new WeakSet<readonly unknown[]>()
  #lastLabels: Labels | undefined
  #lastEncoded: EncodedLabels | undefined

  constructor(serializer: Serializer) {
    this.#serializer = serializer
  }

  dumps(message: TaskMessage): FormattedMessage {
    const { labels, types } = this.#encode(message.labels)
    const wire = {
      task_id: message.taskId,
      task_name: message.taskName,
      labels,
      labels_types: types,
      args: toPlain(message.args, ARGS),
      kwargs: toPlain(message.kwargs, KWARGS),
    }
    try {
      const body = this.#serializer.dumpb(wire)
      return { body: this.#pythons.has(message.args) ? asPythonJson(body) : body, labels }
    } catch (error) {
      throw new MessageError(
        'KIQ_ARGUMENTS_UNSERIALIZABLE',
        `The arguments of task "${message.taskName}" do not fit the serializer "${this.#serializer.name}": ` +
          `${text(error)}. Change the value, or choose a serializer that can hold it.`,
        { cause: error },
      )
    }
  }

  /** Labels that no send has changed are encoded once: they are the frozen ones of the task. */
  #encode(labels: Labels): EncodedLabels {
    if (labels === this.#lastLabels && this.#lastEncoded) return this.#lastEncoded
    const encoded = encodeLabels(labels)
    if (Object.isFrozen(labels)) {
      this.#lastLabels = labels
      this.#lastEncoded = encoded
    }
    return encoded
  }

  loads(body: Body): TaskMessage {
    let wire: unknown
    try {
      wire = this.#serializer.loadb(body)
    } catch (error) {
      throw undecodable(`it is not ${this.#serializer.name}: ${text(error)}`, error)
    }
    if (!isRecord(wire)) throw undecodable('it is not an object')
    const { task_id: taskId, task_name: taskName, labels, labels_types: types, args, kwargs } = wire
    if (typeof taskId !== 'string') throw undecodable(`\`task_id\` is ${kind(taskId)}, not text`)
    if (typeof taskName !== 'string') throw undecodable(`\`task_name\` is ${kind(taskName)}, not text`)
    if (!isRecord(labels)) throw undecodable(`\`labels\` is ${kind(labels)}, not an object`)
    if (types !== undefined && types !== null && !isRecord(types)) {
      throw undecodable(`\`labels_types\` is ${kind(types)}, not an object`)
    }
    if (!Array.isArray(args)) throw undecodable(`\`args\` is ${kind(args)}, not an array`)
    if (!isRecord(kwargs)) throw undecodable(`\`kwargs\` is ${kind(kwargs)}, not an object`)
    if (isPythonJson(body)) this.#pythons.add(args)
    try {
      return { taskId, taskName, labels: types ? decodeLabels(labels, types) : labels, args, kwargs }
    } catch (error) {
      throw undecodable(text(error).replace(/\.$/, ''), error)
    }
  }
}

function undecodable(why: string, cause?: unknown): MessageError {
  return new MessageError(
    'KIQ_MESSAGE_UNDECODABLE',
    `The message cannot be read: ${why}. Check that producer and worker use the same serializer and formatter.`,
    { cause },
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kind(value: unknown): string {
  if (value === undefined) return 'missing'
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
