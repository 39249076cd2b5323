import type { RedisConnection } from './connection.ts'
import { randomEpoch } from './sessions.ts'
import type { SessionScripts } from './sessions.ts'
import type { QueueKeys } from './keys.ts'
import { QUEUES_KEY } from './keys.ts'
import { PROMOTE_DUE, REGISTER } from './scripts/receive.ts'
import { BEAT, END_SESSIONS } from './scripts/sessions.ts'

export interface StreamSessionOptions {
  readonly connection: RedisConnection
  readonly group: string
  readonly leaseMs: number
  /** Id from which a new consumer group reads. */
  readonly groupStart: string
  /** Milliseconds after which messages of foreign consumers are taken over; `undefined` = never. */
  readonly idleMs: number | undefined
}

/** Sessions on streams. */
export function streamSessions(options: StreamSessionOptions): SessionScripts {
  const { connection, group, leaseMs, groupStart, idleMs } = options
  // Python takes no lock on a cluster, and its key would lie in another slot.
  const isLocking = !connection.isCluster
  return {
    register: async ({ queue, taken, wake, leases, epoch }, consumer) => {
      const args = [group, consumer, leaseMs, randomEpoch(), groupStart]
      const own = await connection.run(REGISTER, [queue, taken, wake, leases, epoch], args)
      // Here, because after a loss of all data nothing else would.
      await connection.call('SADD', QUEUES_KEY, queue)
      return String(own)
    },
    beat: BEAT,
    beatKeys: ({ queue, taken, wake, leases, epoch, beat, autoclaim }) => {
      return [queue, taken, wake, leases, epoch, beat, isLocking ? autoclaim : beat]
    },
    beatArgs: (consumer, epoch) => {
      return [group, consumer, String(leaseMs), epoch, isLocking && idleMs !== undefined ? String(idleMs) : '']
    },
    // What is held here was not given up by its task: it goes back as it was.
    end: async (keys, consumer) => {
      await endSessions(connection, keys, group, { beginning: consumer, less: 1 })
      // The last of ours may have left messages to Python's workers.
      await promoteDue(connection, keys, group)
    },
  }
}

/** Moves what is due, or what no worker of ours would take; returns the milliseconds until there is more to do, or -1. */
export async function promoteDue(
  connection: RedisConnection,
  { queue, leases, wake, delayed, priority, sequence, beat }: QueueKeys,
  group: string,
): Promise<number> {
  const keys = [queue, leases, wake, delayed, priority, sequence, beat]
  return Number(await connection.run(PROMOTE_DUE, keys, [group]))
}

/** Ends the sessions whose name begins so; returns how many messages others can have. */
export async function endSessions(
  connection: RedisConnection,
  { queue, taken, wake, leases }: QueueKeys,
  group: string,
  { beginning, less }: { readonly beginning: string; readonly less: 0 | 1 },
): Promise<number> {
  return Number(await connection.run(END_SESSIONS, [queue, taken, wake, leases], [group, beginning, less]))
}
