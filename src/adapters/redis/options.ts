import type { Duration } from '../../util/duration.ts'
import type { RedisClient } from './client.ts'

/** Which Redis, and how to reach it: either `url` or `client`. */
export interface RedisOptions {
  /**
   * `redis://user:password@host:6379/0`; `rediss://…` for TLS; `redis+cluster://host1:7000,host2:7001` for a cluster;
   * `redis+sentinel://host1:26379,host2/name` for the master of that name, wherever it is. Needs the package `ioredis`.
   * Objects of one process that give the same URL share their connections.
   */
  readonly url?: string | undefined
  /**
   * A client of your own, `Redis` or `Cluster` of ioredis 5 or 6, without a `keyPrefix`. It stays yours: it is not closed,
   * and connected only when it is lazy. Reads that block and subscriptions use duplicates of it.
   */
  readonly client?: RedisClient | undefined
  /** Further options of ioredis for clients made from `url`, for example `{ tls: { ca } }`. */
  readonly clientOptions?: Readonly<Record<string, unknown>> | undefined
  /**
   * Longest wait for a connection, at the start and whenever one is needed.
   *
   * @defaultValue `'10s'`
   */
  readonly connectTimeout?: Duration | undefined
}
