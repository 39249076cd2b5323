import type { QueueDepth } from '../../contract/index.ts'
import type { RedisConnection } from './connection.ts'
import type { QueueKeys } from './keys.ts'
import { LIST_QUEUES_KEY, queueKeys } from './keys.ts'
import type { ClientContext, ClientParts, Layout } from './layout.ts'
import type { LeaseSettings } from './lease-options.ts'
import { ListReceiver } from './list-receiver.ts'
import { endListSessions, listSessions } from './list-scripts.ts'
import { listSearch } from './list-search.ts'
import { ListSender } from './list-sender.ts'
import { ListSettler } from './list-settler.ts'
import { Promoter } from './promoter.ts'
import { LIST_DEPTH, RETRY_DEAD_TO_LIST } from './scripts/list-manage.ts'
import { PROMOTE_DUE_TO_LIST } from './scripts/list-messages.ts'

const keysOf = (queue: string): QueueKeys => queueKeys(queue)

/** Queues as lists of bodies. */
export function listLayout(settings: LeaseSettings): Layout {
  const { leaseMs } = settings
  return {
    name: 'redis-list',
    capabilities: {
      persists: true,
      redelivers: true,
      delays: true,
      priorities: false,
      deduplicates: true,
      broadcasts: false,
      replacesAtomically: true,
      deadLetters: true,
      cancels: true,
      inspects: true,
    },
    leaseMs,
    queuesKey: LIST_QUEUES_KEY,
    keysOf,
    retry: { script: RETRY_DEAD_TO_LIST, keys: ({ queue, dead, attempts, ids }) => [queue, dead, attempts, ids] },
    open: (context) => openClient(context, settings),
    sessions: (connection) => listSessions(connection, leaseMs),
    openReceiver: (context) => new ListReceiver({ ...context, keysOf }),
    endSessions: (connection, keys, beginning) => endListSessions(connection, keys, { beginning, less: 0 }),
    depth,
  }
}

function openClient(context: ClientContext, { deadLetterTtlMs }: LeaseSettings): ClientParts {
  const { connection, logger } = context
  const promoter = new Promoter({
    logger,
    promote: async (name) => {
      const { queue, delayed, sequence, attempts, ids } = keysOf(name)
      return Number(await connection.run(PROMOTE_DUE_TO_LIST, [queue, delayed, sequence, attempts, ids], []))
    },
  })
  const sender = new ListSender({ connection, keysOf, promoter })
  const settler = new ListSettler({ ...context, deadLetterTtlMs, keysOf, sender, promoter })
  return { promoter, sender, settler, search: listSearch(connection) }
}

async function depth(connection: RedisConnection, keys: QueueKeys): Promise<QueueDepth> {
  const { queue, incoming, delayed, leases, dead, held } = keys
  const counts = await connection.run(LIST_DEPTH, [queue, incoming, delayed, leases, dead, held], [])
  const [ready = 0, later = 0, running = 0, given = 0] = counts as readonly number[]
  return { queue, ready, delayed: later, running, dead: given }
}
