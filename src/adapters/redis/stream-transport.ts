import { LeasedTransport } from './leased-transport.ts'
import { addressOf } from './registry.ts'
import { streamLayout } from './stream-layout.ts'
import type { RedisStreamTransportOptions } from './stream-options.ts'
import { streamSettings } from './stream-options.ts'

/**
 * Transport on Redis streams, in the layout of Taskiq's `RedisStreamBroker`: a stream for each queue, its entries in the
 * field `data`, one consumer group. Workers and producers of Python and of Kiq share it.
 *
 * A delivery is pending under the name of its worker's session, which a thread renews. Sessions that are not renewed
 * lose what they hold to the other workers, and what they settle later is refused. Settling, the result and a retry are
 * one step of the server. What is acknowledged is deleted.
 *
 * Messages with a delay or a priority wait under keys of our own and end in standard entries; see the docs for what that
 * means beside Python's workers. Needs Redis 6.2 or newer, or Valkey.
 */
export class RedisStreamTransport extends LeasedTransport {
  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense. */
  constructor(options: RedisStreamTransportOptions) {
    super(addressOf(options), streamLayout(streamSettings(options)))
  }
}
