import { ConfigError, MessageError } from '../contract/index.ts'
import type { Broker } from './broker.ts'
import { keptRetryOf } from './retry-message.ts'

const DAY_MS = 24 * 60 * 60 * 1000

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
  const [letter] = await deadLetters.list({ taskId, limit: 1 })
  if (letter === undefined) {
    throw new MessageError(
      'KIQ_MESSAGE_NOT_KEPT',
      `No message of task ${taskId} is kept. Declare the task with \`keepFailed: true\`, so that those that fail are; what ` +
        'was retried or dropped already is gone.',
    )
  }
  const message = keptRetryOf(broker.parts.formatter.loads(letter.body), letter.attempt)
  const failure = await takeResult(broker, taskId)
  try {
    // One that was retried meanwhile is not sent again.
    await broker.send([message], { key: `retry:${letter.id}`, at: letter.diedAt, ttlMs: DAY_MS })
  } catch (error) {
    await failure?.putBack()
    throw error
  }
  // Last: what ends in between is there twice, not lost.
  await deadLetters.drop({ ids: [letter.id] })
}

/** The failure goes before the message is sent: whoever waits from now on waits for the next outcome. */
async function takeResult(
  broker: Broker,
  taskId: string,
): Promise<{ readonly putBack: () => Promise<void> } | undefined> {
  const { resultBackend, results } = broker.parts
  const [body] = (await resultBackend?.get([taskId])) ?? []
  if (resultBackend === undefined || body === undefined) return undefined
  await resultBackend.forget([taskId])
  return { putBack: async () => await resultBackend.save([{ taskId, body, ttlMs: results.ttlMs }]) }
}
