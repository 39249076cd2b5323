import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { SqliteBroker } from 'kiq/sqlite'

import { senders } from './memory.mjs'
import { latencies, rate } from './measure.mjs'
import { openRaw, rawProduce } from './raw-sqlite.mjs'

const BATCH = 100
const IN_FLIGHT = 2_000
const WORKERS = 2

/**
 * One file, one producer, two worker processes; against bare SQL doing the same inserts, claims, deletes and result
 * writes in the same batches between the same number of processes.
 *
 * @param {{ readonly tasks: number, readonly samples: number }} size
 */
export async function benchSqlite({ tasks, samples }) {
  const rows = []
  for (const [what, send] of senders(tasks / 4)) {
    await inTempDir(async (dir) => {
      const broker = new SqliteBroker({ path: join(dir, 'kiq.db') })
      const task = broker.task('add', async (/** @type {number} */ a) => a + 1)
      await broker.startup()
      rows.push({ suite: 'sqlite', what, rate: await rate(() => send(task), 2) })
      await broker.shutdown()
    })
  }
  const raw = await inTempDir(async (dir) => await rawRate(join(dir, 'raw.db'), tasks))
  rows.push({ suite: 'sqlite', what: `raw SQL, ${WORKERS} workers, batches of ${BATCH}, results kept`, rate: raw })
  for (const concurrency of [1, 10, 100]) {
    await inTempDir(async (dir) => {
      const path = join(dir, 'kiq.db')
      const workers = await startWorkers('sqlite-worker.mjs', path, concurrency)
      const broker = new SqliteBroker({ path })
      const task = broker.task('add', async (/** @type {number} */ a) => a + 1)
      await broker.startup()
      const count = concurrency === 1 ? tasks / 4 : tasks
      const endToEnd = await rate(() => produce(task, count), 2)
      rows.push({
        suite: 'sqlite',
        what: `end to end with results, ${WORKERS} workers, concurrency ${concurrency}`,
        rate: endToEnd,
        against: `${((endToEnd / raw) * 100).toFixed(0)} % of raw`,
      })
      if (concurrency === 100) {
        const latency = await latencies(async () => await (await task.kiq(1)).result(), samples)
        rows.push({ suite: 'sqlite', what: 'kiq → result in another process, one at a time', ...latency })
      }
      await broker.shutdown()
      await stopWorkers(workers)
    })
  }
  return rows
}

/**
 * Sends in batches and waits for all results, with a bounded number in flight.
 *
 * @param {any} task
 * @param {number} count
 */
async function produce(task, count) {
  /** @type {Promise<unknown>[]} */
  const batches = []
  for (let i = 0; i < count; i += BATCH) {
    const sent = await task.kiqMany(Array.from({ length: BATCH }, (_, k) => [i + k]))
    batches.push(Promise.all(sent.map((/** @type {any} */ one) => one.result())))
    if (batches.length >= IN_FLIGHT / BATCH) await batches.shift()
  }
  await Promise.all(batches)
  return count
}

/**
 * @param {string} path
 * @param {number} tasks
 */
async function rawRate(path, tasks) {
  const database = await openRaw(path)
  const workers = await startWorkers('raw-sqlite-worker.mjs', path, BATCH)
  const measured = await rate(() => rawProduce(database, tasks, BATCH, IN_FLIGHT), 2)
  await stopWorkers(workers)
  database.close()
  return measured
}

/**
 * @param {string} program
 * @param {string} path
 * @param {number} concurrency
 */
async function startWorkers(program, path, concurrency) {
  const workers = Array.from({ length: WORKERS }, () =>
    fork(new URL(program, import.meta.url), [path, String(concurrency)]),
  )
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  return workers
}

/** @param {readonly import('node:child_process').ChildProcess[]} workers */
async function stopWorkers(workers) {
  await Promise.all(
    workers.map(async (worker) => {
      const gone = once(worker, 'exit')
      worker.send('stop')
      await gone
    }),
  )
}

/**
 * @template T
 * @param {(dir: string) => Promise<T>} work
 */
async function inTempDir(work) {
  const dir = await mkdtemp(join(tmpdir(), 'kiq-bench-'))
  try {
    return await work(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
