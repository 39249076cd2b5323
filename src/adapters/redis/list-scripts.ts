import type { RedisConnection } from './connection.ts'
import type { QueueKeys } from './keys.ts'
import { LIST_QUEUES_KEY } from './keys.ts'
import { BEAT_ON_LIST, END_LIST_SESSIONS, REGISTER_ON_LIST } from './scripts/list-sessions.ts'
import { randomEpoch } from './sessions.ts'
import type { SessionScripts } from './sessions.ts'

/** Sessions on lists. */
export function listSessions(connection: RedisConnection, leaseMs: number): SessionScripts {
  return {
    register: async ({ queue, leases, epoch, sequence, incoming }, consumer) => {
      const keys = [queue, leases, epoch, sequence, incoming]
      const own = await connection.run(REGISTER_ON_LIST, keys, [consumer, leaseMs, randomEpoch()])
      // Here, because after a loss of all data nothing else would.
      await connection.call('SADD', LIST_QUEUES_KEY, queue)
      return String(own)
    },
    beat: BEAT_ON_LIST,
    beatKeys: ({ queue, leases, epoch, beat, incoming, attempts, ids, held }) => {
      return [queue, leases, epoch, beat, incoming, attempts, ids, held]
    },
    beatArgs: (consumer, epoch) => [consumer, String(leaseMs), epoch],
    // What is held here was not given up by its task: it goes back as it was.
    end: async (keys, consumer) => await endListSessions(connection, keys, { beginning: consumer, less: 1 }),
  }
}

/** Ends the sessions whose name begins so; returns how many messages others can have. */
export async function endListSessions(
  connection: RedisConnection,
  { queue, leases, incoming, attempts, ids, held }: QueueKeys,
  { beginning, less }: { readonly beginning: string; readonly less: 0 | 1 },
): Promise<number> {
  const keys = [queue, leases, incoming, attempts, ids, held]
  return Number(await connection.run(END_LIST_SESSIONS, keys, [beginning, less]))
}
