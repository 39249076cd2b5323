import type { Found, Search } from './canceller.ts'
import type { RedisConnection } from './connection.ts'
import { CANCEL_IN_STREAM } from './scripts/manage.ts'
import { searchSet } from './search-set.ts'

/** Entries per call: some milliseconds of the server. */
const BATCH = 1_000

/** Finds the messages of a task where streams keep them. */
export function streamSearch(connection: RedisConnection, group: string): Search {
  return async ({ queue, taken, delayed, priority }, taskId) => {
    const found = [
      await searchStream(connection, [queue, group], taskId),
      await searchStream(connection, [taken, group], taskId),
      { removed: await searchSet(connection, [delayed, 'delayed'], taskId), running: 0 },
      { removed: await searchSet(connection, [priority, 'priority'], taskId), running: 0 },
    ]
    return {
      removed: found.reduce((sum, { removed }) => sum + removed, 0),
      running: found.reduce((sum, { running }) => sum + running, 0),
    }
  }
}

async function searchStream(
  connection: RedisConnection,
  [stream, group]: readonly [stream: string, group: string],
  taskId: string,
): Promise<Found> {
  let removed = 0
  let running = 0
  let from = '-'
  while (from !== '') {
    const reply = await connection.run(CANCEL_IN_STREAM, [stream], [group, taskId, from, BATCH])
    const [next, some, others] = reply as readonly [Buffer, number, number]
    removed += some
    running += others
    from = next.toString()
  }
  return { removed, running }
}
