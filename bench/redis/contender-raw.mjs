/**
 * What Redis and the driver can do in the same batches, without a queue's duties: no task id, labels, leases, retries
 * or schema; nobody takes over what a dead worker held.
 */
import { Redis } from 'ioredis'

const GROUP = 'raw'
const RESULT_TTL_SECONDS = 24 * 60 * 60
const RESULT = '{"is_err":false,"log":null,"return_value":null,"execution_time":0,"labels":{},"error":null}'

/** @typedef {import('../redis-worker.mjs').Options} Options */

/** @param {Options} options */
export async function openProducer({ url, queue }) {
  // Without `enableAutoPipelining`: ioredis already joins the writes of one turn, and is twice as fast so.
  const redis = new Redis(url)
  // One script of 1,000 XADD is faster than a pipeline of them: one reply instead of 1,000.
  redis.defineCommand('xaddAll', {
    numberOfKeys: 1,
    lua: "for i = 1, #ARGV do redis.call('XADD', KEYS[1], '*', 'data', ARGV[i]) end",
  })
  await createGroup(redis, queue)
  return {
    one: (/** @type {object} */ data) => redis.xadd(queue, '*', 'data', JSON.stringify(data)),
    bulk: (/** @type {readonly object[]} */ all) =>
      /** @type {any} */ (redis).xaddAll(queue, ...all.map((data) => JSON.stringify(data))),
    close: async () => redis.disconnect(),
  }
}

/**
 * @param {Options} options
 * @param {(data: any) => Promise<void>} handle
 */
export async function startWorker(options, handle) {
  return await consume(options, handle, () => undefined)
}

/** @param {Options} options */
export async function openRoundTrip(options) {
  const { url, queue } = options
  const results = `${queue}:results`
  /** @type {(() => void) | undefined} */
  let arrived
  const subscriber = new Redis(url)
  await subscriber.subscribe(results)
  subscriber.on('message', () => arrived?.())
  const producer = await openProducer(options)
  const worker = await consume(
    options,
    async () => {},
    (pipeline, id) => pipeline.publish(results, `${id} ${RESULT}`),
  )
  return {
    once: async (/** @type {object} */ data) => {
      const result = new Promise((/** @type {(value?: unknown) => void} */ resolve) => (arrived = resolve))
      await producer.one(data)
      await result
    },
    close: async () => {
      await worker.stop()
      await producer.close()
      subscriber.disconnect()
    },
  }
}

/**
 * Reads up to `concurrency`, runs them, and settles them in one pipeline while the next batch is already being read.
 *
 * @param {Options} options
 * @param {(data: any) => Promise<void>} handle
 * @param {(pipeline: import('ioredis').ChainableCommander, id: string) => void} tell
 */
async function consume({ url, queue, concurrency, results }, handle, tell) {
  const reader = new Redis(url)
  const writer = new Redis(url)
  await createGroup(writer, queue)
  let running = true
  const loop = async () => {
    /** @type {Promise<unknown>} */
    let settled = Promise.resolve()
    while (running) {
      const reply = /** @type {any} */ (
        await reader.xreadgroup('GROUP', GROUP, 'c', 'COUNT', concurrency, 'BLOCK', 1_000, 'STREAMS', queue, '>')
      )
      if (!reply) continue
      /** @type {[id: string, fields: string[]][]} */
      const entries = reply[0][1]
      await Promise.all(entries.map(([, fields]) => handle(JSON.parse(fields[1] ?? ''))))
      const ids = entries.map(([id]) => id)
      const pipeline = writer.pipeline()
      if (results === 'kept') for (const id of ids) pipeline.set(`result:${id}`, RESULT, 'EX', RESULT_TTL_SECONDS)
      pipeline.xack(queue, GROUP, ...ids).xdel(queue, ...ids)
      for (const id of ids) tell(pipeline, id)
      await settled
      settled = pipeline.exec()
    }
    await settled
  }
  const ended = loop().catch((error) => {
    if (running) throw error
  })
  return {
    stop: async () => {
      running = false
      reader.disconnect()
      await ended
      writer.disconnect()
    },
  }
}

/**
 * @param {Redis} redis
 * @param {string} queue
 */
async function createGroup(redis, queue) {
  await redis.xgroup('CREATE', queue, GROUP, '0', 'MKSTREAM').catch((/** @type {Error} */ error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error
  })
}
