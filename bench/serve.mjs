import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

import { median, percentile } from './measure.mjs'

/** @typedef {{ readonly rounds: number, readonly milliseconds: number, readonly probes: number }} Size */
/** @typedef {{ readonly rate: number, readonly p50: number, readonly p99: number }} Figures */
/** @typedef {{ readonly file: string, readonly options?: object }} Program */
/** @typedef {{ readonly child: import('node:child_process').ChildProcess, readonly port: number }} Server */

const CLIENTS = 64
const WARM_UP_ROUNDS = 2
/** Runs of the model for each batch when the cores have to be busy with it: about half a second. */
const BUSY_TIMES = 200
const PROBE_EVERY_MS = 20
const STOP_MS = 10_000

const INSTANT = 'an answer at once: the ceiling of the client'
const BATCHED = 'kiq, batches of 32, wait 2 ms'
const OVERLAPPED = 'kiq, the same, the next batch sent meanwhile'
const UNBATCHED = 'kiq, batches of 1'
const BARE = 'bare Hono, the model on its event loop'

/** @type {readonly (readonly [string, Program])[]} */
const CONTENDERS = [
  [INSTANT, { file: 'serve-instant-worker.mjs' }],
  [BATCHED, { file: 'serve-kiq-worker.mjs', options: { maxBatchSize: 32, waitMs: 2 } }],
  [OVERLAPPED, { file: 'serve-kiq-worker.mjs', options: { maxBatchSize: 32, waitMs: 2, inFlight: 2 } }],
  [UNBATCHED, { file: 'serve-kiq-worker.mjs', options: { maxBatchSize: 1 } }],
  [BARE, { file: 'serve-bare-worker.mjs' }],
]

/**
 * Frames of 32 ms for Silero VAD over HTTP, from 64 clients that each wait for their answer: the service with and without
 * batches, against a handler without a service. Then how fast the service says that it lives while the model has all cores.
 *
 * @param {Size} size
 */
export async function benchServe(size) {
  return [...(await throughput(size)), ...(await liveness(size))]
}

/** @param {Size} size */
async function throughput({ rounds, milliseconds }) {
  const client = await startProgram({ file: 'serve-client-worker.mjs' })
  const servers = /** @type {[string, Server][]} */ ([])
  try {
    for (const [name, program] of CONTENDERS) servers.push([name, await startProgram(program)])
    const figures = new Map(servers.map(([name]) => [name, /** @type {Figures[]} */ ([])]))
    // Another one begins in each round.
    for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
      for (let turn = 0; turn < servers.length; turn += 1) {
        const [name, { port }] = /** @type {[string, Server]} */ (
          servers[(turn + round + WARM_UP_ROUNDS) % servers.length]
        )
        const measured = await load(client, { port, clients: CLIENTS, milliseconds })
        if (round >= 0) figures.get(name)?.push(measured)
      }
    }
    return throughputRows(figures)
  } finally {
    await Promise.all([client, ...servers.map(([, server]) => server)].map(stopProgram))
  }
}

/** @param {ReadonlyMap<string, readonly Figures[]>} figures */
function throughputRows(figures) {
  const rows = [...figures].map(([what, all]) => ({
    suite: 'serve',
    what,
    rate: median(all.map(({ rate }) => rate)),
    p50: median(all.map(({ p50 }) => p50)),
    p99: median(all.map(({ p99 }) => p99)),
  }))
  // Within each round, as what else the machine does changes from one to the next.
  const ratio = (/** @type {string} */ one, /** @type {string} */ other) =>
    median((figures.get(one) ?? []).map(({ rate }, round) => rate / (figures.get(other)?.[round]?.rate ?? NaN)))
  const batches = (/** @type {string} */ one) =>
    `${ratio(one, UNBATCHED).toFixed(2)} × batches of 1, ${ratio(one, BARE).toFixed(2)} × bare`
  const against = /** @type {Readonly<Record<string, string>>} */ ({
    [BATCHED]: batches(BATCHED),
    [OVERLAPPED]: batches(OVERLAPPED),
    [UNBATCHED]: `${ratio(UNBATCHED, BARE).toFixed(2)} × bare`,
  })
  return rows.map((row) => ({ ...row, against: against[row.what] ?? '' }))
}

/** @param {Size} size */
async function liveness({ probes }) {
  const cores = cpus().length
  const options = { maxBatchSize: 32, waitMs: 2, workers: cores, times: BUSY_TIMES }
  const server = await startProgram({ file: 'serve-kiq-worker.mjs', options })
  const client = await startProgram({ file: 'serve-client-worker.mjs' })
  try {
    const idle = await probe(server.port, probes)
    const loading = load(client, { port: server.port, clients: CLIENTS, milliseconds: 0 })
    // Until every worker has a batch.
    await sleep(1_000)
    const before = cpus()
    const busy = await probe(server.port, probes)
    const share = busyShare(before, cpus())
    client.child.send('enough')
    await loading
    const what = '/health/live'
    return [
      { suite: 'serve', what: `${what}, idle`, ...idle },
      { suite: 'serve', what: `${what}, ${cores} workers infer`, ...busy, against: `cores ${share} % busy` },
    ]
  } finally {
    await Promise.all([server, client].map(stopProgram))
  }
}

/**
 * Asks again and again, one at a time.
 *
 * @param {number} port
 * @param {number} count
 */
async function probe(port, count) {
  const times = []
  for (let i = 0; i < count; i += 1) {
    const startedAt = performance.now()
    const answer = await fetch(`http://127.0.0.1:${port}/health/live`)
    await answer.arrayBuffer()
    if (answer.status !== 200) throw new Error(`/health/live answered ${answer.status}`)
    times.push(performance.now() - startedAt)
    await sleep(PROBE_EVERY_MS)
  }
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) }
}

/**
 * @param {readonly import('node:os').CpuInfo[]} before
 * @param {readonly import('node:os').CpuInfo[]} after
 */
function busyShare(before, after) {
  const sum = (/** @type {readonly import('node:os').CpuInfo[]} */ all, /** @type {readonly string[]} */ kinds) =>
    all.flatMap(({ times }) => Object.entries(times)).reduce((t, [kind, ms]) => t + (kinds.includes(kind) ? ms : 0), 0)
  const kinds = ['user', 'nice', 'sys', 'irq']
  const busy = sum(after, kinds) - sum(before, kinds)
  const idle = sum(after, ['idle']) - sum(before, ['idle'])
  return Math.round((100 * busy) / Math.max(1, busy + idle))
}

/**
 * @param {Server} client
 * @param {{ readonly port: number, readonly clients: number, readonly milliseconds: number }} work
 * @returns {Promise<Figures>}
 */
async function load({ child }, work) {
  const answer = messageOf(child)
  child.send(work)
  const figures = await answer
  if ('error' in figures) throw new Error(`The load failed: ${figures.error}`)
  return figures
}

/**
 * @param {Program} program
 * @returns {Promise<Server>}
 */
async function startProgram({ file, options = {} }) {
  const child = fork(new URL(file, import.meta.url), [JSON.stringify(options)])
  const message = await messageOf(child)
  return { child, port: message.port }
}

/** @param {Server} server */
async function stopProgram({ child }) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  const limit = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  child.disconnect()
  await gone
  clearTimeout(limit)
}

/**
 * The next thing that it says.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
async function messageOf(child) {
  const over = new AbortController()
  const { signal } = over
  try {
    return await Promise.race([
      once(child, 'message', { signal }).then(([message]) => message),
      once(child, 'exit', { signal }).then(() => {
        throw new Error(`${child.spawnargs.slice(1).join(' ')} has ended too early`)
      }),
    ])
  } finally {
    over.abort()
  }
}
