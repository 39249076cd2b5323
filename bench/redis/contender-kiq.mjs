import { Broker, Worker } from 'kiq'
import { RedisStreamBroker, RedisStreamTransport } from 'kiq/redis'

/** @typedef {import('../redis-worker.mjs').Options} Options */

/**
 * The one place that knows how a broker with and without results is made.
 *
 * @param {Options} options
 */
function makeBroker({ url, queue, results }) {
  return results === 'kept'
    ? new RedisStreamBroker({ url, queueName: queue })
    : new Broker(new RedisStreamTransport({ url }), { queueName: queue })
}

/**
 * @param {Options} options
 * @param {(data: any) => Promise<void>} handle
 */
function declare(options, handle) {
  const broker = makeBroker(options)
  return { broker, noop: broker.task('noop', handle) }
}

/** @param {Options} options */
export async function openProducer(options) {
  const { broker, noop } = declare(options, async () => {})
  await broker.startup()
  return {
    one: (/** @type {object} */ data) => noop.kiq(data),
    bulk: (/** @type {readonly object[]} */ all) => noop.kiqMany(all.map((data) => [data])),
    close: () => broker.shutdown(),
  }
}

/**
 * @param {Options} options
 * @param {(data: any) => Promise<void>} handle
 */
export async function startWorker(options, handle) {
  const { broker } = declare(options, handle)
  const worker = new Worker(broker, { concurrency: options.concurrency })
  await worker.start()
  return {
    stop: async () => {
      await worker.stop()
      await broker.shutdown()
    },
  }
}

/** @param {Options} options */
export async function openRoundTrip(options) {
  const { broker, noop } = declare(options, async () => {})
  const worker = new Worker(broker, { concurrency: options.concurrency })
  await worker.start()
  return {
    once: async (/** @type {object} */ data) => {
      const sent = await noop.kiq(data)
      await sent.result({ timeout: '10s' })
    },
    close: async () => {
      await worker.stop()
      await broker.shutdown()
    },
  }
}
