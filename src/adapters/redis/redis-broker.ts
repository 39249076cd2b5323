import { Broker } from '../../core/index.ts'
import type { BrokerOptions } from '../../core/index.ts'
import type { RedisListTransportOptions } from './list-transport.ts'
import { RedisListTransport } from './list-transport.ts'
import type { RedisPubSubTransportOptions } from './pubsub-transport.ts'
import { RedisPubSubTransport } from './pubsub-transport.ts'
import { RedisResultBackend } from './result-backend.ts'
import type { RedisStreamTransportOptions } from './stream-options.ts'
import { RedisStreamTransport } from './stream-transport.ts'

export interface RedisStreamBrokerOptions extends BrokerOptions, RedisStreamTransportOptions {}

/**
 * Broker on Redis streams, on one queue with Python's `RedisStreamBroker`. At least once, with retries, delays,
 * priorities and dead letters. Results go to the same Redis, in JSON, unless another backend is given.
 */
export class RedisStreamBroker extends Broker {
  constructor(options: RedisStreamBrokerOptions) {
    super(new RedisStreamTransport(options), { resultBackend: new RedisResultBackend(options), ...options })
  }
}

export interface RedisListBrokerOptions extends BrokerOptions, RedisListTransportOptions {}

/**
 * Broker on Redis lists, on one queue with Python's `ListQueueBroker`. At least once for what Kiq's workers take, at most
 * once for what Python's take; with retries, delays and dead letters, without priorities. Results go to the same Redis,
 * in JSON, unless another backend is given.
 */
export class RedisListBroker extends Broker {
  constructor(options: RedisListBrokerOptions) {
    super(new RedisListTransport(options), { resultBackend: new RedisResultBackend(options), ...options })
  }
}

export interface RedisPubSubBrokerOptions extends BrokerOptions, RedisPubSubTransportOptions {}

/**
 * Broker on Redis channels, on one queue with Python's `PubSubBroker`: every worker runs every task. At most once: what is
 * sent while a worker is away never reaches it. No delays (also none of retries), no priorities, no dead letters. Results
 * go to the same Redis, in JSON, unless another backend is given; of a task that several workers ran, the last one stays.
 */
export class RedisPubSubBroker extends Broker {
  constructor(options: RedisPubSubBrokerOptions) {
    super(new RedisPubSubTransport(options), { resultBackend: new RedisResultBackend(options), ...options })
  }
}
