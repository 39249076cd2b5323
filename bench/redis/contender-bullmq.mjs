/** BullMQ as its guide shows it: one Queue, one Worker with `concurrency`, QueueEvents to wait for a result. */
import { Queue, QueueEvents, Worker } from 'bullmq'

/** @typedef {import('../redis-worker.mjs').Options} Options */

/** @param {Options} options */
export async function openProducer(options) {
  const queue = new Queue(options.queue, { connection: connection(options) })
  await queue.waitUntilReady()
  return {
    one: (/** @type {object} */ data) => queue.add('noop', data),
    bulk: (/** @type {readonly object[]} */ all) => queue.addBulk(all.map((data) => ({ name: 'noop', data }))),
    close: () => queue.close(),
  }
}

/**
 * @param {Options} options
 * @param {(data: any) => Promise<void>} handle
 */
export async function startWorker(options, handle) {
  const worker = new Worker(options.queue, async (job) => await handle(job.data), {
    connection: connection(options),
    concurrency: options.concurrency,
    // Set on the worker, and not as an option of each job: those would be stored with every job, which costs the sender.
    // `count: 0` is the guide's "remove all". A limit that is never reached is what keeps them at the least cost: with one
    // that is reached, each job that ends also removes another.
    removeOnComplete: { count: options.results === 'kept' ? 10_000_000 : 0 },
  })
  worker.on('error', (error) => console.error(error))
  await worker.waitUntilReady()
  return { stop: () => worker.close(true) }
}

/** @param {Options} options */
export async function openRoundTrip(options) {
  const events = new QueueEvents(options.queue, { connection: connection(options) })
  await events.waitUntilReady()
  const queue = new Queue(options.queue, { connection: connection(options) })
  const worker = await startWorker(options, async () => {})
  return {
    once: async (/** @type {object} */ data) => {
      const job = await queue.add('noop', data)
      await job.waitUntilFinished(events)
    },
    close: async () => {
      await worker.stop()
      await events.close()
      await queue.close()
    },
  }
}

/**
 * Without `enableAutoPipelining`: it makes BullMQ slower on a loopback connection.
 *
 * @param {Options} options
 */
function connection({ url }) {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port), maxRetriesPerRequest: null }
}
