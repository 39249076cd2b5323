import { MessageError } from '../../contract/index.ts'
import { show } from '../../util/show.ts'

/** @throws {MessageError} `KIQ_ARGUMENTS_INVALID` for text that is no JSON. */
export function parseMessage(queueName: string, message: string): unknown {
  try {
    return JSON.parse(message)
  } catch (cause) {
    throw new MessageError(
      'KIQ_ARGUMENTS_INVALID',
      `The message to queue ${show(queueName)} is no JSON: ${show(message)}. Pass \`JSON.stringify(value)\`.`,
      { cause },
    )
  }
}
