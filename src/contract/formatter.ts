import type { Body, TaskMessage } from './message.ts'

/** A message as the formatter wrote it, with the labels as encoded, which transports may repeat as headers. */
export interface FormattedMessage {
  readonly body: Body
  readonly labels: Readonly<Record<string, unknown>>
}

/** {@link TaskMessage} ⇄ bytes. The default is Taskiq's message format in the broker's serializer. */
export interface Formatter {
  /**
   * @throws {MessageError} `KIQ_ARGUMENTS_UNSERIALIZABLE` with the path of the value, `KIQ_LABEL_INVALID` with the label.
   */
  dumps(message: TaskMessage): FormattedMessage
  /** @throws {MessageError} `KIQ_MESSAGE_UNDECODABLE` saying what is wrong with the bytes. */
  loads(body: Body): TaskMessage
}
