import { startRedis } from '../support/redis-server.ts'
import type { RedisServer } from '../support/redis-server.ts'

const MOST = 100

/**
 * One server for all programs of a file, started when the first asks for it. Each program gets a database of its own,
 * since they run at the same time; only channels are common to all.
 */
export class RedisDatabases {
  #server: Promise<RedisServer> | undefined
  #used = 0

  /** The address of a database in which nothing is. */
  async next(): Promise<string> {
    this.#server ??= startRedis({ config: { databases: String(MOST) } })
    const number = this.#used
    this.#used += 1
    const { url } = await this.#server
    return `${url}/${number}`
  }

  async close(): Promise<void> {
    const server = await this.#server
    await server?.close()
  }
}
