import { sleep } from '../../util/abort.ts'
import type { RedisClient } from './client.ts'

type Listener = (message: Buffer) => void

/**
 * One connection for the messages of any number of channels. Subscriptions survive reconnects; what was published
 * meanwhile is lost, which {@link Hub.onResumed} tells.
 */
export class Hub {
  readonly #makeClient: () => RedisClient
  readonly #listeners = new Map<string, Set<Listener>>()
  /** Channels that Redis has confirmed on the present connection. */
  readonly #standing = new Set<string>()
  readonly #resumed = new Set<() => void>()
  readonly #changed = new Set<() => void>()
  #client: RedisClient | undefined
  #failure: unknown

  constructor(makeClient: () => RedisClient) {
    this.#makeClient = makeClient
  }

  /** Why the last subscription was refused, if it was. */
  get failure(): unknown {
    return this.#failure
  }

  /**
   * Calls `listener` with every message of the channel. Resolves when the subscription stands; rejects never: without a
   * connection it is made as soon as there is one, and told by `onResumed` and `onChanged`.
   */
  async subscribe(channel: string, listener: Listener): Promise<void> {
    const listeners = this.#listeners.get(channel)
    if (listeners) listeners.add(listener)
    else this.#listeners.set(channel, new Set([listener]))
    const client = this.#connect()
    if (client.status === 'ready' && !this.#standing.has(channel)) await this.#join(client, [channel])
  }

  unsubscribe(channel: string, listener: Listener): void {
    const listeners = this.#listeners.get(channel)
    if (!listeners?.delete(listener) || listeners.size > 0) return
    this.#listeners.delete(channel)
    this.#standing.delete(channel)
    if (this.#client?.status === 'ready') this.#client.unsubscribe(channel).catch(() => undefined)
  }

  /** Whether messages of the channel come now. */
  stands(channel: string): boolean {
    return this.#standing.has(channel)
  }

  /** Resolves when the subscription of the channel stands, or after that time. */
  async whenStanding(channel: string, timeoutMs: number): Promise<void> {
    const standing = new AbortController()
    const end = this.onChanged(() => {
      if (this.stands(channel)) standing.abort()
    })
    if (!this.stands(channel)) await sleep(timeoutMs, standing.signal)
    end()
  }

  /** Calls back whenever messages may have been missed. */
  onResumed(listener: () => void): () => void {
    this.#resumed.add(listener)
    return () => this.#resumed.delete(listener)
  }

  /** Calls back whenever some subscription begins to stand, is refused, or stands no longer. */
  onChanged(listener: () => void): () => void {
    this.#changed.add(listener)
    return () => this.#changed.delete(listener)
  }

  close(): void {
    this.#listeners.clear()
    this.#standing.clear()
    this.#resumed.clear()
    this.#changed.clear()
    this.#client?.disconnect()
    this.#client = undefined
  }

  #connect(): RedisClient {
    if (this.#client) return this.#client
    const client = this.#makeClient()
    this.#client = client
    // The connection for commands tells what is wrong; this one only tries again.
    client.on('error', () => undefined)
    client.on('messageBuffer', (channel, message) => {
      for (const listener of [...(this.#listeners.get(String(channel)) ?? [])]) listener(message as Buffer)
    })
    client.on('ready', () => void this.#resubscribe(client))
    client.on('close', () => {
      this.#standing.clear()
      tell(this.#changed)
    })
    client.connect().catch(() => undefined)
    return client
  }

  async #resubscribe(client: RedisClient): Promise<void> {
    while (this.#client === client && client.status === 'ready') {
      const channels = [...this.#listeners.keys()]
      if (channels.length === 0 || (await this.#join(client, channels))) break
      await sleep(100)
    }
    tell(this.#resumed)
  }

  /** @returns False when Redis refuses, or the connection breaks. */
  async #join(client: RedisClient, channels: readonly string[]): Promise<boolean> {
    try {
      await client.subscribe(...channels)
    } catch (error) {
      this.#failure = error
      tell(this.#changed)
      return false
    }
    this.#failure = undefined
    for (const channel of channels) if (this.#listeners.has(channel)) this.#standing.add(channel)
    tell(this.#changed)
    return true
  }
}

function tell(listeners: ReadonlySet<() => void>): void {
  for (const listener of [...listeners]) listener()
}
