import { BrokerError, ConfigError } from '../../contract/index.ts'
import type { Logger } from '../../contract/index.ts'
import { defaultLogger } from '../../core/index.ts'
import { show } from '../../util/show.ts'
import type { QueueBackend } from '../queue-backend.ts'
import { hasMethods, textOption } from './options.ts'
import type { OwnRedisClient, RedisPushClient } from './redis-push.ts'
import { connected, openRedis } from './redis-push.ts'

export interface RedisQueueOptions {
  /** Such as `redis://localhost:6379/0`, or `rediss://…` for TLS. Either this or `client`. */
  readonly url?: string | undefined
  /** A `Redis` or `Cluster` of ioredis, which stays yours: it is not closed. Set its time limits as you want them. */
  readonly client?: RedisPushClient | undefined
  /**
   * Before the name of each queue. Requests name the queues: set one where Redis holds anything else.
   *
   * @defaultValue `''`
   */
  readonly prefix?: string | undefined
  /** @defaultValue warnings and errors on standard error; connections that fail are logged at debug level */
  readonly logger?: Logger | undefined
}

/** Pushes each message to the left of a list, `prefix + queueName`; consumers take the oldest with `BRPOP`. */
export class RedisQueueBackend implements QueueBackend {
  readonly #url: string | undefined
  readonly #given: RedisPushClient | undefined
  readonly #prefix: string
  readonly #logger: Logger
  #own: Promise<OwnRedisClient> | undefined
  /** Many messages wait for one connection. */
  #connecting: Promise<void> | undefined
  #isClosed = false

  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` without a usable `url` or `client`, or with both. */
  constructor({ url, client, prefix, logger = defaultLogger }: RedisQueueOptions) {
    if ((url === undefined) === (client === undefined)) {
      throw new ConfigError('KIQ_CONFIG_INVALID', 'Queues in Redis need `url` or `client`, and not both. Pass one.')
    }
    if (url !== undefined) checkUrl(url)
    if (client !== undefined && !hasMethods(client, 'lpush')) {
      throw new ConfigError('KIQ_CONFIG_INVALID', `\`client\` is ${show(client)}. Pass a client of ioredis.`)
    }
    this.#url = url
    this.#given = client
    this.#prefix = textOption('prefix', prefix, '')
    this.#logger = logger
  }

  /**
   * @returns `true` when Redis has the message.
   * @throws {BrokerError} `KIQ_TRANSPORT_FAILED` when Redis cannot be reached, `KIQ_SEND_FAILED` after `close()`, or what
   * Redis answers.
   * @throws {ConfigError} `KIQ_PEER_MISSING`
   */
  async sendMessage(queueName: string, message: string): Promise<boolean> {
    const client = this.#given ?? (await this.#connected())
    await client.lpush(this.#prefix + queueName, message)
    return true
  }

  /** Closes the connection, unless it is that of `client`. */
  async close(): Promise<void> {
    this.#isClosed = true
    const own = await this.#own?.catch(() => undefined)
    own?.disconnect()
  }

  async #connected(): Promise<OwnRedisClient> {
    this.#own ??= this.#open()
    const client = await this.#own
    if (this.#isClosed) {
      throw new BrokerError('KIQ_SEND_FAILED', 'The queue backend is closed. Close it after the last message.')
    }
    if (client.status !== 'ready') {
      this.#connecting ??= connected(client).finally(() => {
        this.#connecting = undefined
      })
      await this.#connecting
    }
    return client
  }

  async #open(): Promise<OwnRedisClient> {
    const client = await openRedis(this.#url ?? '')
    // Without a listener the driver writes to the console.
    client.on('error', (error) => this.#logger.debug({ err: error }, 'The connection of the queues to Redis failed.'))
    return client
  }
}

/** The text is not shown: there may be a password in it. */
function checkUrl(url: unknown): void {
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined
  if (parsed !== undefined && ['redis:', 'rediss:'].includes(parsed.protocol)) return
  const what = parsed === undefined ? 'is no URL' : `begins with ${show(parsed.protocol)}`
  throw new ConfigError(
    'KIQ_CONFIG_INVALID',
    `The \`url\` of the queues in Redis ${what}. Use redis://host:port or rediss://host:port; for a cluster or ` +
      'sentinels pass a `client`.',
  )
}
