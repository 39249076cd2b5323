import type { Search } from './canceller.ts'
import type { RedisConnection } from './connection.ts'
import type { QueueKeys } from './keys.ts'
import { CANCEL_IN_LIST, COUNT_HELD, FIND_IDS } from './scripts/list-manage.ts'
import { searchSet } from './search-set.ts'

/** Bodies per call: some milliseconds of the server. */
const BATCH = 1_000

/** Finds the messages of a task where lists keep them; in the direction in which they move. */
export function listSearch(connection: RedisConnection): Search {
  return async (keys, taskId) => {
    let removed = await searchSet(connection, [keys.delayed, 'delayed'], taskId)
    const silent = await silentBodies(connection, keys.ids, taskId)
    for (const list of [keys.queue, keys.incoming]) {
      removed += await searchList(connection, [list, keys.ids], [taskId, silent])
    }
    return { removed, running: await countHeld(connection, keys, taskId) }
  }
}

/** The SHA-1 of the task's bodies that do not tell it. */
async function silentBodies(connection: RedisConnection, ids: string, taskId: string): Promise<readonly string[]> {
  const found = new Set<string>()
  let cursor = '0'
  do {
    const [next, ...some] = (await connection.run(FIND_IDS, [ids], [taskId, cursor])) as readonly Buffer[]
    for (const sha of some) found.add(sha.toString('latin1'))
    cursor = String(next)
  } while (cursor !== '0')
  return [...found]
}

async function searchList(
  connection: RedisConnection,
  keys: readonly [list: string, ids: string],
  [taskId, silent]: readonly [taskId: string, silent: readonly string[]],
): Promise<number> {
  let removed = 0
  let from = 0
  while (from >= 0) {
    const reply = await connection.run(CANCEL_IN_LIST, keys, [taskId, from, BATCH, ...silent])
    const [next, some] = reply as readonly [number, number]
    removed += some
    from = next
  }
  return removed
}

async function countHeld(connection: RedisConnection, { leases, held }: QueueKeys, taskId: string): Promise<number> {
  const consumers = (await connection.call('ZRANGE', leases, 0, -1)) as readonly string[]
  const counts = await Promise.all(consumers.map((consumer) => connection.run(COUNT_HELD, [held + consumer], [taskId])))
  return counts.reduce<number>((sum, count) => sum + Number(count), 0)
}
