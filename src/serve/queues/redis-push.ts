import { BrokerError, ConfigError } from '../../contract/index.ts'
import { messageOf } from '../../util/show.ts'

/** The part of an ioredis client, 5 or 6, that sends messages; `Redis` and `Cluster` both have it. */
export interface RedisPushClient {
  lpush(key: string, value: string): Promise<unknown>
}

/** A client of our own. */
export interface OwnRedisClient extends RedisPushClient {
  /** For example `wait`, `connecting`, `ready`, `reconnecting`, `end`. */
  readonly status: string
  connect(): Promise<unknown>
  disconnect(): void
  on(event: string, listener: (error: unknown) => void): unknown
  off(event: string, listener: (error: unknown) => void): unknown
}

/** Longest wait for a connection, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000
const MAX_RECONNECT_MS = 2_000

/**
 * A client that never keeps a command for later, neither while it has no connection nor when it loses one: who sends has
 * given up by then, and sends again.
 *
 * @throws {ConfigError} `KIQ_PEER_MISSING` with the install command.
 */
export async function openRedis(url: string): Promise<OwnRedisClient> {
  const { Redis } = await import('ioredis').catch((cause: unknown) => {
    throw new ConfigError(
      'KIQ_PEER_MISSING',
      'Queues in Redis by `url` need the package "ioredis", which is not installed. Run `npm install ioredis`, or pass ' +
        'a `client` of your own.',
      { cause },
    )
  })
  return new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: (attempt: number) => Math.min(attempt * 100, MAX_RECONNECT_MS),
  })
}

/**
 * Resolves when the client is connected. It goes on trying by itself; this waits for its next try and no longer.
 *
 * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` when that fails too.
 */
export function connected(client: OwnRedisClient): Promise<void> {
  if (client.status === 'ready') return Promise.resolve()
  return new Promise((resolve, reject) => {
    let cause: unknown
    const end = (): void => {
      client.off('ready', ready)
      client.off('close', failed)
      client.off('end', failed)
      client.off('error', note)
    }
    const ready = (): void => {
      end()
      resolve()
    }
    const failed = (): void => {
      end()
      const why = cause === undefined ? 'the connection was closed' : messageOf(cause)
      reject(new BrokerError('KIQ_TRANSPORT_FAILED', `Redis cannot be reached: ${why}. Check the \`url\`.`, { cause }))
    }
    const note = (error: unknown): void => {
      cause = error
    }
    client.on('ready', ready)
    client.on('close', failed)
    client.on('end', failed)
    client.on('error', note)
    // Its outcome is in the events.
    if (client.status === 'wait') client.connect().catch(() => undefined)
  })
}
