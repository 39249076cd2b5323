import type { QueueDepth } from '../../contract/index.ts'
import type { RedisConnection } from './connection.ts'
import type { QueueKeys } from './keys.ts'
import { queueKeys, QUEUES_KEY } from './keys.ts'
import type { ClientContext, ClientParts, Layout, MessageReceiver, WorkerContext } from './layout.ts'
import { Promoter } from './promoter.ts'
import { DEPTH, RETRY_DEAD } from './scripts/manage.ts'
import type { StreamSettings } from './stream-options.ts'
import { StreamReceiver } from './stream-receiver.ts'
import { endSessions, promoteDue, streamSessions } from './stream-scripts.ts'
import { streamSearch } from './stream-search.ts'
import { StreamSender } from './stream-sender.ts'
import { StreamSettler } from './stream-settler.ts'

/** Queues as streams with one consumer group. */
export function streamLayout(settings: StreamSettings): Layout {
  const { group, leaseMs, groupStart, idleMs } = settings
  const keysOf = (queue: string): QueueKeys => queueKeys(queue, group)
  return {
    name: 'redis-stream',
    capabilities: {
      persists: true,
      redelivers: true,
      delays: true,
      priorities: true,
      deduplicates: true,
      broadcasts: false,
      replacesAtomically: true,
      deadLetters: true,
      cancels: true,
      inspects: true,
    },
    leaseMs,
    queuesKey: QUEUES_KEY,
    keysOf,
    retry: { script: RETRY_DEAD, keys: ({ queue, dead }) => [queue, dead] },
    open: (context) => openClient(context, settings, keysOf),
    sessions: (connection) => streamSessions({ connection, group, leaseMs, groupStart, idleMs }),
    openReceiver: (context) => openReceiver(context, settings, keysOf),
    endSessions: (connection, keys, beginning) => endSessions(connection, keys, group, { beginning, less: 0 }),
    depth: (connection, keys) => depth(connection, keys, group),
  }
}

type KeysOf = (queue: string) => QueueKeys

function openClient(context: ClientContext, settings: StreamSettings, keysOf: KeysOf): ClientParts {
  const { connection, logger } = context
  const { group } = settings
  const promoter = new Promoter({
    logger,
    promote: async (name) => {
      return await promoteDue(connection, keysOf(name), group)
    },
  })
  const sender = new StreamSender({ connection, settings, keysOf, promoter })
  const settler = new StreamSettler({ ...context, settings, keysOf, sender, promoter })
  return { promoter, sender, settler, search: streamSearch(connection, group) }
}

function openReceiver(context: WorkerContext, settings: StreamSettings, keysOf: KeysOf): MessageReceiver {
  const { settler, sender, held, logger } = context
  return new StreamReceiver({
    ...context,
    settings,
    keysOf,
    onForeign: (delivery, reason) => {
      logger.error({ queue: delivery.queue, entry: delivery.id, fields: delivery.body }, `Dead letter: ${reason}`)
      settler.settle([{ kind: 'dead', delivery, reason }]).catch((err: unknown) => {
        // Not ours any more: whoever looks for lost entries finds it again.
        held.delete(delivery)
        logger.warn({ err, queue: delivery.queue }, 'Could not bury a foreign entry; trying again later.')
      })
    },
    onQueue: (queue) => sender.declare(queue),
    onUnused: async (deliveries) => {
      if (deliveries.length === 0) return
      try {
        await settler.settle(deliveries.map((delivery) => ({ kind: 'release', delivery })))
      } catch (err) {
        for (const delivery of deliveries) held.delete(delivery)
        logger.warn({ err }, 'Could not hand back what was claimed ahead; trying again later.')
      }
    },
  })
}

async function depth(connection: RedisConnection, keys: QueueKeys, group: string): Promise<QueueDepth> {
  const { queue, taken, delayed, priority, dead } = keys
  const counts = await connection.run(DEPTH, [queue, taken, delayed, priority, dead], [group])
  const [ready = 0, later = 0, running = 0, given = 0] = counts as readonly number[]
  return { queue, ready, delayed: later, running, dead: given }
}
