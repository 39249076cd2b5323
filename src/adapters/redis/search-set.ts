import type { RedisConnection } from './connection.ts'
import { CANCEL_IN_SET } from './scripts/manage.ts'

/** Removes the messages of a task that wait in a sorted set; returns how many. */
export async function searchSet(
  connection: RedisConnection,
  [key, kind]: readonly [key: string, kind: 'delayed' | 'priority'],
  taskId: string,
): Promise<number> {
  let removed = 0
  let cursor = '0'
  do {
    const reply = await connection.run(CANCEL_IN_SET, [key], [taskId, cursor, kind])
    const [next, some] = reply as readonly [Buffer, number]
    removed += some
    cursor = next.toString()
  } while (cursor !== '0')
  return removed
}
