import { PartialSendError } from '../../contract/index.ts'
import type { WireMessage } from '../../contract/index.ts'
import type { RedisConnection } from './connection.ts'

/**
 * Sends the messages of each queue together. What is not accepted for want of a connection is tried again until `signal`
 * aborts.
 *
 * @throws {PartialSendError} when some queues accepted theirs.
 */
export async function sendByQueue(
  connection: RedisConnection,
  messages: readonly WireMessage[],
  send: (queue: string, messages: readonly WireMessage[]) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const [first] = messages
  if (first === undefined) return
  if (messages.every(({ queue }) => queue === first.queue)) {
    await connection.persist(() => send(first.queue, messages), signal)
    return
  }
  const positions = new Map<string, number[]>()
  for (const [i, { queue }] of messages.entries()) {
    const known = positions.get(queue)
    if (known) known.push(i)
    else positions.set(queue, [i])
  }
  const failures = new Map<number, unknown>()
  await Promise.all(
    [...positions].map(async ([queue, all]) => {
      const group = all.map((i) => messages[i] as WireMessage)
      try {
        await connection.persist(() => send(queue, group), signal)
      } catch (error) {
        for (const i of all) failures.set(i, error)
      }
    }),
  )
  if (failures.size === messages.length) throw failures.get(0)
  if (failures.size > 0) throw new PartialSendError(failures)
}
