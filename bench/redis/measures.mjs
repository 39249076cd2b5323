import { setTimeout as pause } from 'node:timers/promises'

import { serverCpuSeconds, serverMemory } from './server.mjs'

/**
 * @typedef {import('./contenders.mjs').Contender} Contender
 * @typedef {import('./contenders.mjs').WorkerConfig} WorkerConfig
 * @typedef {Record<string, number | string>} Values By id of row; a text says why there is no figure
 *
 * @typedef {object} Stage
 * @property {import('ioredis').Redis} redis
 * @property {string} url
 * @property {number} scale Part of the full number of tasks
 * @property {number} openLoopSeconds
 * @property {(contender: Contender) => import('./child.mjs').Child} producer The one process that sends
 *
 * @typedef {object} Measure
 * @property {string} name
 * @property {boolean} [once] The same in every round
 * @property {(stage: Stage, contender: Contender) => Promise<Values>} run
 */

const QUEUE = 'bench'
const LIMIT_MS = 30_000
/** Part of the tasks at the start that only warm up. */
const WARM = 0.25
const POLL_MS = 5
/** Its sender or its worker does not reach the rate. */
const SLOW = { p50: 'too slow', p99: 'too slow' }
/** All were done at the first look, as happens in a small run. */
const TOO_FEW = 'too few'

/**
 * @param {import('./rows.mjs').Shape} shape
 * @returns {readonly Measure[]}
 */
export function measuresOf({ concurrencies, rates }) {
  return [
    .../** @type {const} */ (['one', 'flight', 'bulk']).map(enqueue),
    .../** @type {const} */ (['none', 'kept']).flatMap((results) =>
      concurrencies.map((concurrency) => processing(concurrency, results)),
    ),
    { name: 'kiq → result', run: latency },
    ...rates.map(openLoop),
    { name: 'memory', once: true, run: memory },
  ]
}

/**
 * @param {'one' | 'flight' | 'bulk'} way
 * @returns {Measure}
 */
function enqueue(way) {
  return {
    name: `enqueue ${way}`,
    run: async (stage, contender) => {
      const count = scaled(stage, contender.counts[way])
      const { ms } = await send(stage, contender, way, count)
      return { [way]: (count / ms) * 1000 }
    },
  }
}

/**
 * Tasks wait, then a worker process starts. Counted from outside, for all alike: what is neither waiting nor in work any
 * more according to Redis, from when the worker is warm to the last.
 *
 * @param {number} concurrency
 * @param {'none' | 'kept'} results
 * @returns {Measure}
 */
function processing(concurrency, results) {
  return {
    name: `process ${concurrency} ${results}`,
    run: async (stage, contender) => {
      const count = scaled(stage, contender.counts.work[concurrency] ?? 0)
      await send(stage, contender, 'bulk', count)
      const config = { concurrency, results, count, openLoop: false }
      return await withWorker(stage, contender, config, async (worker, { warm }) => {
        const { rate, serverUs } = await watch(stage, contender, worker, count, warm)
        await worker.next(LIMIT_MS) // ready
        const { cpuUs } = await worker.next(LIMIT_MS)
        const stored = results === 'kept' ? await contender.resultCount(stage.redis, QUEUE) : count
        if (stored !== count) throw new Error(`${stored} results of ${count} tasks.`)
        const id = `work-${concurrency}-${results}`
        return concurrency === 100
          ? { [id]: rate, [`cpu-${results}`]: cpuUs, [`server-${results}`]: serverUs }
          : { [id]: rate }
      })
    },
  }
}

/**
 * @param {Stage} stage
 * @param {Contender} contender
 * @param {import('./child.mjs').Child} worker
 * @param {number} count
 * @param {number} warm
 */
async function watch({ redis }, contender, worker, count, warm) {
  const giveUpAt = performance.now() + LIMIT_MS
  /** @type {{ done: number, at: number, cpuSeconds: number } | undefined} */
  let first
  for (;;) {
    const done = count - (await contender.unfinished(redis, QUEUE, count))
    const at = performance.now()
    if (first === undefined && done >= warm) first = { done, at, cpuSeconds: await serverCpuSeconds(redis) }
    if (first !== undefined && done === count) {
      const measured = count - first.done
      if (measured === 0) return { rate: TOO_FEW, serverUs: TOO_FEW }
      const cpuSeconds = (await serverCpuSeconds(redis)) - first.cpuSeconds
      return { rate: (measured / (at - first.at)) * 1000, serverUs: (cpuSeconds / measured) * 1e6 }
    }
    worker.check()
    if (at > giveUpAt) throw new Error(`${done} of ${count} tasks done in ${LIMIT_MS} ms.`)
    await pause(POLL_MS)
  }
}

/** @type {Measure['run']} */
async function latency(stage, contender) {
  const count = scaled(stage, contender.counts.latency)
  const ask = async () => await stage.producer(contender).ask({ command: 'latency', queue: QUEUE, count }, LIMIT_MS)
  const config = /** @type {const} */ ({ concurrency: 10, results: 'kept', count: 1e9, openLoop: false })
  const { p50, p99 } = contender.latencyNeedsWorker
    ? await withWorker(stage, contender, config, async (worker) => {
        await worker.next(LIMIT_MS)
        return await ask()
      })
    : await ask()
  return { 'latency-p50': p50, 'latency-p99': p99 }
}

/**
 * The worker has run some tasks before: one that is still cold would fall behind at once, and be measured catching up.
 *
 * @param {number} rate
 * @returns {Measure}
 */
function openLoop(rate) {
  return {
    name: `open loop ${rate}/s`,
    run: async (stage, contender) => {
      const before = scaled(stage, (contender.counts.work[100] ?? 0) / 4)
      const count = rate * stage.openLoopSeconds
      const config = /** @type {const} */ ({ concurrency: 50, results: 'none', openLoop: true })
      const counts = { count: before + count, warm: before + Math.floor(count / 10) }
      return await withWorker(stage, contender, { ...config, ...counts }, async (worker) => {
        await worker.next(LIMIT_MS) // ready
        await send(stage, contender, 'bulk', before)
        await drained(stage, contender, before)
        const command = { command: 'produce', queue: QUEUE, rate, count }
        const { sent, ms } = await stage.producer(contender).ask(command, LIMIT_MS)
        const inTime = sent === count && ms < stage.openLoopSeconds * 1_250
        const { p50, p99 } = inTime ? await worker.next(stage.openLoopSeconds * 2_000, SLOW) : SLOW
        return { [`open-${rate}-p50`]: p50, [`open-${rate}-p99`]: p99 }
      })
    },
  }
}

/**
 * @param {Stage} stage
 * @param {Contender} contender
 * @param {number} sent
 */
async function drained({ redis }, contender, sent) {
  const giveUpAt = performance.now() + LIMIT_MS
  while ((await contender.unfinished(redis, QUEUE, sent)) > 0) {
    if (performance.now() > giveUpAt) throw new Error(`${sent} tasks were not done in ${LIMIT_MS} ms.`)
    await pause(POLL_MS)
  }
}

/** @type {Measure['run']} */
async function memory(stage, contender) {
  const count = scaled(stage, contender.counts.waiting)
  const before = await serverMemory(stage.redis)
  await send(stage, contender, 'bulk', count)
  const after = await serverMemory(stage.redis)
  return {
    message: await contender.storedBytes(stage.redis, QUEUE),
    dataset: (after.dataset - before.dataset) / count,
    memory: (after.all - before.all) / count,
  }
}

/**
 * @param {Stage} stage
 * @param {Contender} contender
 * @param {'one' | 'flight' | 'bulk'} way
 * @param {number} count
 */
async function send(stage, contender, way, count) {
  return await stage.producer(contender).ask({ command: 'enqueue', queue: QUEUE, way, count }, LIMIT_MS)
}

/**
 * @template T
 * @param {Stage} stage
 * @param {Contender} contender
 * @param {Omit<WorkerConfig, 'queue' | 'warm'> & { readonly warm?: number }} options
 * @param {(worker: import('./child.mjs').Child, config: WorkerConfig) => Promise<T>} use
 */
async function withWorker(stage, contender, options, use) {
  const config = { warm: Math.floor(options.count * WARM), ...options, queue: QUEUE }
  const worker = contender.startWorker(stage.url, config)
  try {
    return await use(worker, config)
  } finally {
    await worker.kill()
  }
}

/**
 * @param {Stage} stage
 * @param {number} count
 */
function scaled({ scale }, count) {
  return Math.max(200, Math.floor(count * scale))
}
