/**
 * A process of one of the contenders in JavaScript: `redis-worker.mjs <contender> <url> [worker options as JSON]`. With
 * options it runs tasks; without, it reads commands of a producer from its standard input. See `redis/child.mjs`.
 */
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

import { latencies, percentile, windowed } from './measure.mjs'
import { clock, payload } from './redis/payload.mjs'

/**
 * @typedef {object} Options
 * @property {string} url
 * @property {string} queue
 * @property {number} concurrency
 * @property {'kept' | 'none'} results
 */

const CONTENDERS = {
  raw: () => import('./redis/contender-raw.mjs'),
  bullmq: () => import('./redis/contender-bullmq.mjs'),
  kiq: () => import('./redis/contender-kiq.mjs'),
}
const BULK = 1_000
const WIDTH = 100

const [name = '', url = '', workerOptions] = process.argv.slice(2)
const contender = await CONTENDERS[/** @type {keyof typeof CONTENDERS} */ (name)]()
const say = (/** @type {object} */ answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)
// The bench is gone.
process.stdin.on('end', () => process.exit())

const commands = {
  /**
   * Milliseconds of sending `count` tasks.
   *
   * @param {{ queue: string, way: 'one' | 'flight' | 'bulk', count: number }} command
   */
  async enqueue({ queue, way, count }) {
    const producer = await contender.openProducer({ url, queue, concurrency: 1, results: 'none' })
    const data = payload()
    const startedAt = performance.now()
    if (way === 'bulk') {
      for (let sent = 0; sent < count; sent += BULK) await producer.bulk(Array(Math.min(BULK, count - sent)).fill(data))
    } else {
      await windowed(count, way === 'one' ? 1 : WIDTH, () => producer.one(data))
    }
    const ms = performance.now() - startedAt
    await producer.close()
    return { ms }
  },

  /**
   * Milliseconds from the send to the result, in this one process. A pause before each: the queue is idle, as it is
   * when somebody waits for one task.
   *
   * @param {{ queue: string, count: number }} command
   */
  async latency({ queue, count }) {
    const trip = await contender.openRoundTrip({ url, queue, concurrency: 10, results: 'kept' })
    const measured = await latencies(
      () => trip.once(payload()),
      count,
      () => pause(1),
    )
    await trip.close()
    return measured
  },

  /**
   * Sends at a fixed rate, whatever becomes of what was sent before. A sender that is late catches up; one that is too
   * slow stops after half as much time again.
   *
   * @param {{ queue: string, rate: number, count: number }} command
   */
  async produce({ queue, rate, count }) {
    const producer = await contender.openProducer({ url, queue, concurrency: 1, results: 'none' })
    /** @type {Promise<unknown>[]} */
    const sends = []
    const startedAt = performance.now()
    const limitMs = (count / rate) * 1500
    let ms = 0
    while (sends.length < count && ms < limitMs) {
      const due = Math.min(count, Math.floor((ms * rate) / 1000))
      while (sends.length < due) sends.push(producer.one(payload(clock())))
      await pause(1)
      ms = performance.now() - startedAt
    }
    await Promise.all(sends)
    ms = performance.now() - startedAt
    await producer.close()
    return { sent: sends.length, ms }
  },
}

/**
 * Runs no-op tasks, and tells after the last of `count` the processor time per task and, of an open loop, the times from
 * the send to the start of the handler; both without the first `warm`.
 *
 * @param {Options & { warm: number, count: number, openLoop: boolean }} options
 */
async function work(options) {
  const { warm, count, openLoop } = options
  let handled = 0
  let cpu = process.cpuUsage()
  /** @type {number[]} */
  const waits = []
  await contender.startWorker({ ...options, url }, async (data) => {
    if (openLoop) waits.push(clock() - data.t)
    handled += 1
    if (handled === warm) cpu = process.cpuUsage()
    if (handled !== count) return
    const { user, system } = process.cpuUsage(cpu)
    const measured = waits.slice(warm)
    say({ cpuUs: (user + system) / (count - warm), p50: percentile(measured, 0.5), p99: percentile(measured, 0.99) })
  })
  say({ ready: true })
}

if (workerOptions === undefined) {
  for await (const line of createInterface(process.stdin)) {
    const { command, ...options } = JSON.parse(line)
    try {
      say(await commands[/** @type {keyof typeof commands} */ (command)](options))
    } catch (error) {
      say({ error: String(error instanceof Error ? error.stack : error) })
    }
  }
} else {
  process.stdin.resume()
  await work(JSON.parse(workerOptions))
}
