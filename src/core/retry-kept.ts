import { ConfigError, MessageError } from '../contract/index.ts'
import type { DeadLetter, DeadLetters } from '../contract/index.ts'
import type { Broker } from './broker.ts'
import { keptRetryOf } from './retry-message.ts'

/**
 * Sends a task again whose message was kept, under its id; its attempts go on where they were.
 *
 * @throws {ConfigError} `KIQ_UNSUPPORTED` when the transport keeps no messages.
 * @throws {MessageError} `KIQ_MESSAGE_NOT_KEPT` when there is none of that task.
 */
export async function retryKept(broker: Broker, taskId: string): Promise<void> {
  const { deadLetters, name } = broker.transport
  if (deadLetters === undefined) {
    throw new ConfigError(
      'KIQ_UNSUPPORTED',
      `The transport "${name}" keeps no messages of tasks that failed, so none can be retried. Send the task again.`,
    )
  }
  const letter = await find(deadLetters, taskId)
  if (letter === undefined) {
    throw new MessageError(
      'KIQ_MESSAGE_NOT_KEPT',
      `No message of task ${taskId} is kept. Declare the task with \`keepFailed: true\`, so that those that fail are; what ` +
        'was retried or dropped already is gone.',
    )
  }
  const message = keptRetryOf(broker.parts.formatter.loads(letter.body), letter.attempt)
  // In this order: what ends in between is there twice, not lost. One that was retried meanwhile is not sent again.
  await broker.send([message], { key: `retry:${letter.id}`, at: letter.diedAt, ttlMs: DAY_MS })
  await deadLetters.drop({ ids: [letter.id] })
}

const DAY_MS = 24 * 60 * 60 * 1000

async function find(deadLetters: DeadLetters, taskId: string): Promise<DeadLetter | undefined> {
  const [letter] = await deadLetters.list({ taskId, limit: 1 })
  return letter
}
