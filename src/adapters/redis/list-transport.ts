import { LeasedTransport } from './leased-transport.ts'
import { leaseOption } from './lease-options.ts'
import type { RedisLeaseOptions } from './lease-options.ts'
import { listLayout } from './list-layout.ts'
import type { RedisOptions } from './options.ts'
import { addressOf } from './registry.ts'

export interface RedisListTransportOptions extends RedisOptions, RedisLeaseOptions {}

/**
 * Transport on Redis lists, in the layout of Taskiq's `ListQueueBroker`: a message that waits is its body in a list, and
 * nothing else. Workers and producers of Python and of Kiq share it; each message goes to one of them.
 *
 * At least once for what Kiq's workers take: it lies under the name of the worker's session, which a thread renews, until
 * it is settled. Sessions that are not renewed lose what they hold to the other workers, and what they settle later is
 * refused. Settling, the result and a retry are one step of the server. Python's workers take at most once: what they
 * were at when they died is lost.
 *
 * Messages with a delay wait under a key of our own, and go to the list when they are due. There are no priorities. How
 * often a message was delivered is forgotten a day after it came back to the list. Needs Redis 6.2 or newer, or Valkey.
 */
export class RedisListTransport extends LeasedTransport {
  /** @throws {ConfigError} `KIQ_CONFIG_INVALID` for options that make no sense. */
  constructor(options: RedisListTransportOptions) {
    super(addressOf(options), listLayout(leaseOption(options)))
  }
}
